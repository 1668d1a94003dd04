/** Whole connections of kcpgo on virtual time: bad networks, ends without a word for it, silence, and dials. */

import { concat, equal } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { failureOf, pattern, Reader, readAll } from "../../../../test/support/traffic.ts";
import { DIALER, LISTENER, listened, PASSWORD, type Scene, scene } from "./virtual.ts";

const SHAPES: { fec: false | readonly [number, number] }[] = [
  { fec: false },
  { fec: [10, 3] },
  { fec: [2, 1] },
];
const BAD = { lossRate: 0.1, duplicateRate: 0.05, reorderRate: 0.1, jitterMs: 50 };

async function exchange({ udp, dialer, other }: Scene, size: number): Promise<boolean[]> {
  const [there, back] = [pattern(size, 1), pattern(size, 2)];
  for (let at = 0; at < size; at += 7_001) {
    dialer.write(there.subarray(at, at + 7_001));
    other.write(back.subarray(at, at + 7_001));
  }
  const work = Promise.all([new Reader(other).take(size), new Reader(dialer).take(size)]);
  const [first, second] = await udp.runtime.during(work, 300_000);
  return [equal(first, there), equal(second, back)];
}

describe("over a bad network", () => {
  it.each(SHAPES)("every byte is right, fec $fec", async ({ fec }) => {
    const made = await scene({ ...PASSWORD, fec }, BAD, 11);
    expect(await exchange(made, 200_000)).toEqual([true, true]);
    await made.end();
  });

  it("parity brings back what was lost without a resend of it", async () => {
    const options = { ...PASSWORD, fec: [2, 1] } as const;
    const made = await scene(options, { latencyMs: 10 });
    let count = 0;
    // One in twelve: never two of a group of three.
    made.udp.drops = ({ to }) => to.address === LISTENER.address && ++count % 12 === 5;
    expect(await exchange(made, 150_000)).toEqual([true, true]);
    expect(made.other.statistics.recovered).toBeGreaterThan(5);
    await made.end();
  });

  it("dials through loss, and both preset and modes can talk", async () => {
    const made = await scene(
      { preset: "kcptun", mode: "fast3", crypt: "salsa20", password: "p" },
      BAD,
      5,
    );
    expect(await exchange(made, 20_000)).toEqual([true, true]);
    await made.end();
  });
});

describe("ending", () => {
  it("brings all that was written before a close, and the other side hears silence", async () => {
    const made = await scene(PASSWORD, { lossRate: 0.2 }, 3);
    const { udp, dialer, other } = made;
    const sent = pattern(300_000, 4);
    dialer.write(sent);
    const closing = dialer.close();
    const chunks: Uint8Array[] = [];
    const reading = (async () => {
      for await (const chunk of other) chunks.push(chunk);
    })();
    const failing = failureOf(reading);
    await udp.runtime.during(closing, 60_000);
    expect(await dialer.closed).toBeUndefined();
    expect(await udp.runtime.during(failing, 60_000)).toMatchObject({ code: "TRUNCATED" });
    expect(equal(concat(...chunks), sent)).toBe(true);
    await made.end();
  });

  it("hears what the other side still says while it ends, and acknowledges it", async () => {
    const made = await scene();
    const { udp, dialer, other } = made;
    const closing = dialer.close();
    other.write(pattern(5_000, 1));
    const ending = other.end();
    const reading = readAll(dialer);
    await udp.runtime.during(Promise.all([closing, ending]), 5_000);
    expect(equal(await reading, pattern(5_000, 1))).toBe(true);
    await udp.runtime.during(other.closed, 5_000);
    expect(await other.closed).toBeUndefined();
    await made.end();
  });

  it("gives up when nothing is acknowledged any more, and says that not all arrived", async () => {
    const made = await scene({ ...PASSWORD, drainTimeoutMs: 3_000 });
    const { udp, dialer } = made;
    udp.drops = () => true;
    dialer.write(pattern(10));
    const ending = dialer.end();
    const from = udp.runtime.now();
    await udp.runtime.during(ending, 10_000);
    expect(await dialer.closed).toMatchObject({ code: "TRUNCATED" });
    expect(udp.runtime.now() - from).toBeLessThan(3_500);
    await made.end();
  });

  it("waits for a reader that is there and takes its time", async () => {
    const made = await scene({ ...PASSWORD, drainTimeoutMs: 60_000, receiveWindow: 64 });
    const { udp, dialer, other } = made;
    const sent = pattern(600_000, 6);
    dialer.write(sent);
    const ending = dialer.end();
    await udp.runtime.advance(20_000);
    expect(other.statistics.receiveReady).toBe(64);
    const got = new Reader(other).take(sent.length);
    await udp.runtime.during(ending, 60_000);
    expect(equal(await udp.runtime.during(got), sent)).toBe(true);
    await made.end();
  });
});

describe("silence", () => {
  it("is answered by questions, so a quiet connection lives", async () => {
    const made = await scene({ ...PASSWORD, idleTimeoutMs: 30_000, keepaliveMs: 10_000 });
    const before = made.udp.sent.length;
    await made.udp.runtime.advance(300_000);
    expect(await exchange(made, 100)).toEqual([true, true]);
    // A question and its answer from each side in ten seconds at most.
    expect(made.udp.sent.length - before).toBeLessThan(140);
    await made.end();
  });

  it.each(["dialer", "listener"])(
    "of a vanished %s is reported within the timeout",
    async (who) => {
      const made = await scene({ ...PASSWORD, idleTimeoutMs: 9_000 });
      const { udp, dialer, other } = made;
      const [left, place] = who === "dialer" ? [other, DIALER] : [dialer, LISTENER];
      udp.drops = ({ from }) => from.address === place.address;
      const from = udp.runtime.now();
      const error = await udp.runtime.during(failureOf(readAll(left)), 20_000);
      expect(error).toMatchObject({ code: "TRUNCATED" });
      expect(udp.runtime.now() - from).toBeLessThanOrEqual(9_100);
      await made.end();
    },
  );

  it("is not believed of a process that was busy itself", async () => {
    const made = await scene({ ...PASSWORD, idleTimeoutMs: 9_000 });
    const { udp, dialer } = made;
    // Nobody asks anything for a minute, since nobody gets a turn.
    const { now } = udp.runtime;
    let ahead = 0;
    udp.runtime.now = () => now.call(udp.runtime) + ahead;
    ahead = 60_000;
    expect(await exchange(made, 100)).toEqual([true, true]);
    await udp.runtime.advance(5_000);
    expect(dialer.write(pattern(1))).toBe(true);
    await made.end();
  });
});

describe("back-pressure", () => {
  it("holds a writer whose reader does not read, with bounded memory there", async () => {
    const made = await scene({ ...PASSWORD, receiveWindow: 128 });
    const { udp, dialer, other } = made;
    let written = 0;
    for (let stuck = 0; stuck < 2; stuck++) {
      for (; dialer.write(pattern(65_536)); stuck = 0) written += 65_536;
      await udp.runtime.advance(30_000);
    }
    expect(written).toBeLessThan(4 * 1_048_576);
    expect(other.statistics.receiveReady).toBeLessThanOrEqual(128);
    const reader = new Reader(other);
    const drained = dialer.drain();
    await udp.runtime.during(reader.take(300_000), 60_000);
    await udp.runtime.during(drained, 60_000);
    await made.end();
  });
});

describe("dialling", () => {
  it("finds nobody who has another key", async () => {
    const made = await listened();
    const dialing = made.dial({ ...PASSWORD, password: "another", openTimeoutMs: 5_000 });
    expect(await failureOf(dialing)).toMatchObject({ code: "DIAL_TIMEOUT" });
    expect(made.accepted).toEqual([]);
    await made.end();
  });

  it("is refused where a listener has closed and its connections live on", async () => {
    const made = await scene();
    await made.close();
    expect(await failureOf(made.dial())).toMatchObject({ code: "DIAL_REFUSED" });
    expect(await exchange(made, 100)).toEqual([true, true]);
    await made.end();
  });

  it("is refused when there is no room", async () => {
    const made = await listened({ ...PASSWORD, maxConnections: 2 });
    await made.dial();
    await made.dial();
    expect(await failureOf(made.dial())).toMatchObject({ code: "DIAL_REFUSED" });
    expect(made.accepted).toHaveLength(2);
    await made.end();
  });

  it("without a greeting is done at once, and heard of with the first byte", async () => {
    const made = await listened();
    const dialer = await made.dial({ ...PASSWORD, greet: false });
    await made.udp.runtime.advance(1_000);
    expect(made.accepted).toEqual([]);
    expect(made.udp.sent).toEqual([]);
    dialer.write(pattern(20_000));
    await made.udp.runtime.until(() => made.accepted.length > 0, 1_000);
    const [other] = made.accepted;
    if (other === undefined) throw new Error("nobody came");
    expect(await exchange({ ...made, dialer, other }, 0)).toEqual([true, true]);
    expect(
      equal(await made.udp.runtime.during(new Reader(other).take(20_000)), pattern(20_000)),
    ).toBe(true);
    await made.end();
  });

  it("stops at its signal and leaves nothing", async () => {
    const made = await listened();
    made.udp.drops = () => true;
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    made.udp.runtime.setTimer(() => controller.abort(reason), 700);
    expect(await failureOf(made.dial(PASSWORD, controller.signal))).toBe(reason);
    await made.end();
  });
});
