import fc from "fast-check";
import { expect, test } from "vitest";
import type { Channel } from "../src/channel.ts";
import { Link, pattern, seeded, settle } from "./support/channel-link.ts";

/** One end of a channel under test: what it wrote, and whether what it reads is what the other end wrote. */
class Tester {
  readonly channel: Channel;
  written = 0;
  read = 0;
  done = false;
  ended = false;
  #reading = false;

  constructor(channel: Channel) {
    this.channel = channel;
  }

  get salt(): number {
    return this.channel.id * 2 + (this.channel.side === "dialer" ? 1 : 0);
  }

  write(length: number): void {
    if (this.ended) return;
    const bytes = pattern(length, this.salt + this.written);
    const cut = length >> 1;
    this.channel.write(bytes.subarray(0, cut), bytes.subarray(cut));
    bytes.fill(0);
    this.written += length;
  }

  end(): Promise<void> {
    this.ended = true;
    return this.channel.end();
  }

  /** Asks for one chunk, unless it still waits for one. */
  async take(from: Tester): Promise<void> {
    if (this.#reading || this.done) return;
    this.#reading = true;
    const { done, value } = await this.channel[Symbol.asyncIterator]().next();
    this.#reading = false;
    this.done = done === true;
    if (done) return;
    expect(value).toEqual(pattern(value.length, from.salt + this.read));
    this.read += value.length;
  }
}

const actions = fc.array(
  fc.record({
    channel: fc.nat(2),
    side: fc.nat(1),
    act: fc.oneof(
      fc.record({ write: fc.integer({ min: 0, max: 6_000 }) }),
      fc.record({ steps: fc.integer({ min: 1, max: 12 }) }),
      fc.constant("take" as const),
      fc.constant("end" as const),
      fc.constant("congest" as const),
    ),
  }),
  { maxLength: 60 },
);
const windows = fc.integer({ min: 1, max: 5_000 });

test("every byte arrives once and in order, whatever the windows, the lanes and the readers do", async () => {
  await fc.assert(
    fc.asyncProperty(actions, windows, windows, fc.integer(), async (script, a, b, seed) => {
      const choose = seeded(seed);
      const link = new Link({
        manual: true,
        a: { limits: { channelWindowBytes: a } },
        b: { limits: { channelWindowBytes: b } },
      });
      const pairs: [Tester, Tester][] = [];
      for (let i = 0; i < 3; i++) {
        const opening = link.pair();
        link.run();
        const [ours, theirs] = await opening;
        pairs.push([new Tester(ours), new Tester(theirs)]);
      }
      for (const { channel, side, act } of script) {
        const pair = pairs[channel] as [Tester, Tester];
        const [tester, other] = side === 0 ? pair : [pair[1], pair[0]];
        if (act === "take") void tester.take(other);
        else if (act === "end") void tester.end();
        else if (act === "congest") link.a.congested = !link.a.congested;
        else if ("write" in act) tester.write(act.write);
        else for (let i = 0; i < act.steps; i++) link.step(choose);
        await settle();
        // Bytes sent and not read never pass the window that granted them.
        expect(link.a.dataBytes(2 * channel) - pair[1].read).toBeLessThanOrEqual(b);
        expect(link.b.dataBytes(2 * channel) - pair[0].read).toBeLessThanOrEqual(a);
      }
      link.a.congested = false;
      const ends = pairs.flat().map((tester) => tester.end());
      for (let idle = 0; idle < 3; ) {
        idle = link.step(choose) ? 0 : idle + 1;
        for (const [ours, theirs] of pairs) {
          void ours.take(theirs);
          void theirs.take(ours);
        }
        await settle();
      }
      await Promise.all(ends);
      for (const [ours, theirs] of pairs) {
        expect([ours.read, theirs.read]).toEqual([theirs.written, ours.written]);
        expect([ours.done, theirs.done]).toEqual([true, true]);
        expect(await Promise.all([ours.channel.closed, theirs.channel.closed])).toEqual([
          undefined,
          undefined,
        ]);
      }
      expect([link.a.host.count, link.b.host.count]).toEqual([0, 0]);
      expect([...link.a.faults, ...link.b.faults]).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
