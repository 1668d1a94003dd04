/**
 * Somebody on the line between two real nodes: flips bits, doubles and swaps what passes, and cuts it anywhere.
 * Nothing forged is taken, nothing comes that was not sent, and no cut goes unnoticed.
 */

import { type Channel, type ErrorCode, equal, Network, NetworkError } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { cutAfter, flipBit, type Meddler } from "../support/pipes.ts";
import { Random } from "./fuzz.ts";
import { Line, type LineOptions } from "./line.ts";
import { Answer, Ask, TRANSFORMS, Victim } from "./victim.ts";

const SAMPLES = 60;
const LINES: readonly string[] = Array.from({ length: 5 }, (_, index) =>
  `${index}`.repeat(1 + 7 * index),
);
/** For an answer that may never come, since a length was hurt; and for one that must, or an end. */
const [SOME_MS, ALL_MS] = [150, 10_000];

interface Call {
  readonly failure: unknown;
  /** The ends that the caller and the victim saw. */
  readonly here: readonly (ErrorCode | undefined)[];
  readonly there: readonly (ErrorCode | undefined)[];
  readonly heard: readonly string[];
}

/** Somebody honest who calls through a line, again and again with one key. */
class Caller {
  readonly #network: Network;
  readonly #victim: Victim;
  readonly #line: Line;
  readonly #deleted: (ErrorCode | undefined)[] = [];
  /** Bytes of both directions that had passed when the last line was answered. */
  passed = { up: 0, down: 0 };

  private constructor(victim: Victim, line: Line) {
    this.#victim = victim;
    this.#line = line;
    const limits = { closeTimeoutMs: 300, handshakeTimeoutMs: 1_000 };
    this.#network = new Network({ stacks: [[net(), victim.transform]], limits });
  }

  static async start(victim: Victim, line: Line): Promise<Caller> {
    const caller = new Caller(victim, line);
    await caller.#network.registerPlugin({
      nodeDeleted: ({ reason }) => void caller.#deleted.push(reason?.code),
    });
    return caller;
  }

  /** Says each line and waits for its answer, then leaves. */
  async call(options: LineOptions, lines = LINES, timeoutMs = ALL_MS): Promise<Call> {
    const victim = this.#victim;
    const [added, heard, own] = [victim.added.length, victim.heard.length, this.#deleted.length];
    this.#line.options = options;
    const address = this.#line.through(victim.address);
    let failure: unknown;
    try {
      const peer = await this.#network.add(address);
      for (const line of lines) {
        const answer = await peer.request(Ask.of(line), Answer, { timeoutMs });
        expect(answer).toBe(`${line.slice(0, 40)}!`);
      }
      this.passed = { up: this.#line.said.up.length, down: this.#line.said.down.length };
    } catch (error) {
      failure = error;
      expect(failure).toBeInstanceOf(NetworkError);
    }
    for (const peer of [...this.#network.peers.values()]) await this.#network.delete(peer);
    await this.#line.idle();
    const there = await this.#departures(added);
    return {
      failure,
      here: this.#deleted.slice(own),
      there,
      heard: victim.heard.slice(heard).map(({ line }) => line),
    };
  }

  /** Pours bytes into a channel that the victim reads, ends it and leaves; what the reader made of it. */
  async pour(options: LineOptions, body: Uint8Array): Promise<string> {
    const added = this.#victim.added.length;
    let result: Promise<string> = Promise.resolve("unopened");
    const stop = this.#victim.network.handleChannel("pour", (channel) => {
      result = drink(channel, body);
      return result.then(() => {});
    });
    this.#line.options = options;
    try {
      const peer = await this.#network.add(this.#line.through(this.#victim.address));
      const channel = await peer.openChannel("pour");
      for (let at = 0; at < body.length; at += 10_000) {
        if (!channel.write(body.subarray(at, at + 10_000))) await channel.drain();
      }
      await channel.close();
      this.passed = { up: this.#line.said.up.length, down: this.#line.said.down.length };
    } catch (error) {
      expect(error).toBeInstanceOf(NetworkError);
    }
    for (const peer of [...this.#network.peers.values()]) await this.#network.delete(peer);
    await this.#line.idle();
    await this.#departures(added);
    stop();
    return result;
  }

  /** How the victim saw those leave who came behind the first `added`. */
  async #departures(added: number): Promise<(ErrorCode | undefined)[]> {
    const victim = this.#victim;
    const ids = victim.added.slice(added).map((peer) => peer.id.text);
    await victim.until(() => ids.every((id) => victim.deleted.some((each) => each.id === id)));
    const there = victim.deleted.filter(({ id }) => ids.includes(id)).map(({ code }) => code);
    victim.deleted.splice(0);
    return there;
  }

  async close(): Promise<void> {
    await this.#network.close();
  }
}

/** Reads to the end: `all` of it, or the code of the error that came instead. What came must be what was poured. */
async function drink(channel: Channel, body: Uint8Array): Promise<string> {
  let read = 0;
  try {
    for await (const chunk of channel) {
      if (!equal(chunk, body.subarray(read, read + chunk.length))) return "something else";
      read += chunk.length;
    }
  } catch (error) {
    return `${(error as NetworkError).code} after ${read}`;
  }
  return read === body.length ? "all" : `an end after ${read}`;
}

/** What was heard is what was said, from the start, and nothing else. */
function mustBePrefix(heard: readonly string[], said: readonly string[]): void {
  expect(heard).toEqual(said.slice(0, heard.length));
}

function codeOfFailure({ failure }: Call): ErrorCode | undefined {
  return failure instanceof NetworkError ? failure.code : undefined;
}

for (const make of TRANSFORMS) {
  const { name, authenticates } = make();
  describe(`somebody on the line of net~${name}`, () => {
    expectNoLeaks();
    let victim: Victim;
    let line: Line;
    let caller: Caller;
    const random = new Random(21);

    beforeAll(async () => {
      victim = await Victim.start(make, { handshakeTimeoutMs: 1_000, closeTimeoutMs: 300 });
      line = await Line.open(victim.port);
      caller = await Caller.start(victim, line);
    });

    afterAll(async () => {
      await victim.mustServe();
      await caller.close();
      await victim.close();
      await line.close();
    });

    it("who lets everything pass is not noticed", async () => {
      const call = await caller.call({});
      expect(call).toMatchObject({ failure: undefined, heard: LINES });
      expect(call.there).toEqual(["STREAM_CLOSED"]);
      expect(caller.passed.up).toBeGreaterThan(100);
    });

    it("a flipped bit anywhere is noticed, and nothing forged is heard", async () => {
      for (let i = 0; i < SAMPLES; i++) {
        const way = i % 2 === 0 ? "up" : "down";
        const position = random.below(caller.passed[way]);
        const call = await caller.call(
          { [way]: flipBit(position, random.below(8)) },
          LINES,
          SOME_MS,
        );
        mustBePrefix(call.heard, LINES);
        const seen = [codeOfFailure(call), ...call.here, ...call.there].join(" ");
        expect(call.failure, `${way}, byte ${position}: ${seen}`).toBeDefined();
      }
      await victim.mustServe();
    }, 30_000);

    it("a cut anywhere, by an end or a reset, is TRUNCATED at both ends", async () => {
      for (let i = 0; i < 2 * SAMPLES; i++) {
        const way = i % 2 === 0 ? "up" : "down";
        const position = i < 12 ? Math.floor(i / 2) : random.below(caller.passed[way]);
        const call = await caller.call({ [way]: cutAfter(position), reset: i % 4 > 1 });
        mustBePrefix(call.heard, LINES);
        const about = `${way}, byte ${position}`;
        // Before the handshake is done the dialer may only guess why nobody answers.
        expect(codeOfFailure(call), about).toMatch(/^(TRUNCATED|HANDSHAKE_FAILED)$/);
        expect(
          call.there.filter((code) => code !== "TRUNCATED"),
          about,
        ).toEqual([]);
        expect(
          call.here.filter((code) => code !== "TRUNCATED"),
          about,
        ).toEqual([]);
      }
      await victim.mustServe();
    }, 30_000);

    it("a cut of a longer transfer is TRUNCATED, and no more is heard than passed", async () => {
      const long = Array.from({ length: 16 }, (_, index) => `${index} `.padEnd(65_536, "x"));
      const whole = await caller.call({}, long);
      expect(whole.heard.length).toBe(16);
      const total = caller.passed.up;
      expect(total).toBeGreaterThan(1024 * 1024);
      for (let i = 0; i < SAMPLES / 2; i++) {
        const position = random.below(total);
        const call = await caller.call({ up: cutAfter(position), reset: i % 2 === 0 }, long);
        expect(call.heard.length * 65_536).toBeLessThanOrEqual(position);
        expect(call.there.filter((code) => code !== "TRUNCATED")).toEqual([]);
      }
    }, 30_000);

    it("a cut of a channel is an error to its reader, never an end", async () => {
      const length = 200_000;
      const body = Uint8Array.from({ length }, (_, at) => (at * 2_654_435_761) >>> 24);
      expect(await caller.pour({}, body)).toBe("all");
      const total = caller.passed.up;
      expect(total).toBeGreaterThan(length);
      const results: string[] = [];
      for (let i = 0; i < SAMPLES / 2; i++) {
        const result = await caller.pour(
          { up: cutAfter(random.below(total)), reset: i % 2 === 0 },
          body,
        );
        // A cut in the last few bytes is behind the channel's own end.
        expect(result).toMatch(/^(unopened|all|TRUNCATED after \d+)$/);
        results.push(result);
      }
      expect(results.filter((result) => result.startsWith("TRUNCATED")).length).toBeGreaterThan(5);
    }, 30_000);

    it.runIf(authenticates)(
      "what is doubled, swapped or said again is FRAME_MALFORMED",
      async () => {
        // Each request is one box in one chunk; the first chunks are the handshake's.
        const held: Uint8Array[] = [];
        const tricks: readonly [string, Meddler][] = [
          ["doubled", (bytes, offset) => (offset > 250 ? [bytes, bytes] : [bytes])],
          [
            "said again",
            (bytes, offset) => {
              if (offset > 250) held.push(bytes);
              return held.length === 3 ? [bytes, held[0] as Uint8Array] : [bytes];
            },
          ],
        ];
        for (const [trick, up] of tricks) {
          held.splice(0);
          const call = await caller.call({ up });
          mustBePrefix(call.heard, LINES);
          expect(call.there, trick).toEqual(["FRAME_MALFORMED"]);
          expect(call.failure, trick).toBeDefined();
        }
      },
    );
  });
}
