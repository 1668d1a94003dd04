import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, toUtf8 } from "../src/bytes.ts";
import { networkError } from "../src/errors.ts";
import { LANES, type Lane } from "../src/lane.ts";
import { type Batch, BufferPool, Outbox } from "../src/outbox.ts";
import type { Session } from "../src/transform.ts";
import { ManualConnection } from "./support/manual-connection.ts";

const BATCH_BYTES = 65_519;
const EMPTY = new Uint8Array(0);
const ALL_LANES: readonly Lane[] = [LANES.control, LANES.reply, LANES.normal, LANES.bulk];

interface Rig {
  readonly connection: ManualConnection;
  readonly outbox: Outbox;
  /** What `seal` was given, each call joined. */
  readonly runs: Uint8Array[];
  readonly congestion: boolean[];
  readonly failures: unknown[];
  sealing: "works" | "fails";
}

function rig(options: { maxBytes?: number; boxBytes?: number } = {}): Rig {
  const { maxBytes = 2 ** 20, boxBytes = BATCH_BYTES } = options;
  const connection = new ManualConnection();
  const made: Omit<Rig, "outbox"> = {
    connection,
    runs: [],
    congestion: [],
    failures: [],
    sealing: "works",
  };
  const session: Session = {
    remoteKey: undefined,
    boxBytes,
    seal(plain) {
      if (made.sealing === "fails") throw new Error("no more nonces");
      const run = concat(...plain);
      made.runs.push(run);
      return [run];
    },
    open: (chunk) => [chunk],
    ended: true,
  };
  const outbox: Outbox = new Outbox({
    connection,
    session,
    pool: new BufferPool(),
    maxBytes,
    owner: {
      congested: (now) => made.congestion.push(now),
      sealingFailed: (error) => {
        made.failures.push(error);
        outbox.close(networkError("STREAM_CLOSED", "sealing failed"));
      },
    },
  });
  return Object.assign(made, { outbox });
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function outcome(batch: Batch): Promise<string> {
  const waiting = tick()
    .then(tick)
    .then(() => "waiting");
  return Promise.race([
    batch.sent.then(
      () => "sent",
      (error) => String(error.code),
    ),
    waiting,
  ]);
}

describe("an outbox at ease", () => {
  it("sends what one tick brings in one write, and says so", async () => {
    const { connection, outbox, runs } = rig();
    const batches = [1, 2, 3].map((n) =>
      outbox.append(LANES.normal, Uint8Array.of(n), [Uint8Array.of(n, n)]),
    );
    expect(connection.writes).toEqual([]);
    expect(outbox.queuedBytes).toBe(9);
    await tick();
    expect(connection.writes).toEqual([Uint8Array.of(1, 1, 1, 2, 2, 2, 3, 3, 3)]);
    expect(runs).toHaveLength(1);
    expect(outbox.queuedBytes).toBe(0);
    expect(outbox.bytesOut).toBe(9);
    // They travel together, so they share one promise.
    expect(new Set(batches).size).toBe(1);
    expect(await outcome(batches[0] as Batch)).toBe("sent");
  });

  it("keeps nothing of the caller's body", async () => {
    for (const size of [10, BATCH_BYTES + 10]) {
      const { connection, outbox } = rig();
      const body = new Uint8Array(size).fill(1);
      outbox.append(LANES.normal, Uint8Array.of(9), [body]);
      body.fill(0);
      await tick();
      expect(connection.written.filter((byte) => byte === 1)).toHaveLength(size);
    }
  });

  it("takes the lanes in their order, whatever the order of the calls", async () => {
    const { connection, outbox } = rig();
    for (const lane of [LANES.bulk, LANES.reply, LANES.normal, LANES.control, LANES.reply]) {
      outbox.append(lane, Uint8Array.of(lane), []);
    }
    await tick();
    expect([...connection.written]).toEqual([0, 1, 1, 2, 3]);
  });

  it("sends a full batch without waiting for the tick, in whole boxes", () => {
    const { outbox, runs } = rig();
    for (let i = 0; i < 100; i++) outbox.append(LANES.normal, EMPTY, [new Uint8Array(1_000)]);
    expect(runs.length).toBeGreaterThan(0);
    for (const run of runs) expect(run.length).toBeLessThanOrEqual(BATCH_BYTES);
  });

  it("seals a frame larger than a batch at once, behind what came before it", async () => {
    const { connection, outbox, runs } = rig({ maxBytes: 10 ** 7 });
    outbox.append(LANES.normal, Uint8Array.of(1), []);
    outbox.append(LANES.bulk, Uint8Array.of(3), []);
    const large = outbox.append(LANES.normal, Uint8Array.of(2), [new Uint8Array(200_000)]);
    expect(runs).toHaveLength(1);
    expect(runs[0]?.length).toBe(3 * BATCH_BYTES);
    outbox.append(LANES.control, Uint8Array.of(9), []);
    await tick();
    const { written } = connection;
    expect(written.length).toBe(200_004);
    expect([...written.subarray(0, 3), written.at(-1)]).toEqual([1, 3, 2, 9]);
    expect(await outcome(large)).toBe("sent");
  });

  it("makes room for a large message by sending what only waits for the tick", async () => {
    const { connection, outbox } = rig({ maxBytes: 100 });
    outbox.append(LANES.normal, EMPTY, [new Uint8Array(60)]);
    outbox.append(LANES.normal, EMPTY, [new Uint8Array(60)]);
    expect(connection.written.length).toBe(60);
    await tick();
    expect(connection.written.length).toBe(120);
  });
});

describe("an outbox whose connection is congested", () => {
  /** Congested by a first message of 10 bytes. */
  async function congested(maxBytes: number = 1_000): Promise<Rig & { first: Batch }> {
    const made = rig({ maxBytes });
    made.connection.welcome = false;
    const first = made.outbox.append(LANES.normal, EMPTY, [new Uint8Array(10)]);
    await tick();
    return Object.assign(made, { first });
  }

  it("holds everything back, promises included, until it takes again", async () => {
    const { connection, outbox, congestion, first } = await congested();
    expect(congestion).toEqual([true]);
    const second = outbox.append(LANES.normal, Uint8Array.of(2), []);
    await tick();
    expect(connection.writes).toHaveLength(1);
    expect([await outcome(first), await outcome(second)]).toEqual(["waiting", "waiting"]);
    expect(outbox.queuedBytes).toBe(1);
    connection.relax();
    expect([await outcome(first), await outcome(second)]).toEqual(["sent", "sent"]);
    expect(congestion).toEqual([true, false]);
    expect(connection.written.length).toBe(11);
  });

  it("lets urgent frames overtake in later lanes, never in their own", async () => {
    const { connection, outbox } = await congested();
    for (const round of [0, 1]) {
      for (const lane of [...ALL_LANES].reverse()) {
        outbox.append(lane, Uint8Array.of(lane * 10 + round), []);
      }
    }
    connection.relax();
    await tick();
    expect([...connection.written.subarray(10)]).toEqual([0, 1, 10, 11, 20, 21, 30, 31]);
  });

  it("refuses what does not fit, but keeps room for the protocol and for channels", async () => {
    const { outbox } = await congested(1_000);
    outbox.append(LANES.normal, EMPTY, [new Uint8Array(600)]);
    const refused = expect.objectContaining({ name: "StreamError", code: "SEND_BUFFER_FULL" });
    for (const lane of [LANES.normal, LANES.reply]) {
      expect(() => outbox.append(lane, EMPTY, [new Uint8Array(401)])).toThrow(refused);
    }
    outbox.append(LANES.normal, EMPTY, [new Uint8Array(400)]);
    outbox.append(LANES.bulk, EMPTY, [new Uint8Array(64 * 1_024)]);
    outbox.append(LANES.control, EMPTY, [new Uint8Array(64 * 1_024)]);
    expect(() => outbox.append(LANES.bulk, EMPTY, [new Uint8Array(192 * 1_024)])).toThrow(refused);
    expect(() => outbox.append(LANES.control, EMPTY, [new Uint8Array(256 * 1_024)])).toThrow(
      refused,
    );
  });

  it("takes one message of any size into an empty queue", async () => {
    const { connection, outbox } = await congested(1_000);
    const large = outbox.append(LANES.normal, Uint8Array.of(7), [new Uint8Array(300_000)]);
    expect(() => outbox.append(LANES.normal, EMPTY, [EMPTY, Uint8Array.of(1)])).toThrow();
    connection.relax();
    expect(await outcome(large)).toBe("sent");
    expect(connection.written.length).toBe(300_011);
  });

  it("drains a backlog a few batches at a time, and stops when it is told to", async () => {
    const { connection, outbox } = await congested(10 ** 7);
    for (let i = 0; i < 600; i++) outbox.append(LANES.normal, EMPTY, [new Uint8Array(1_000)]);
    const before = connection.writes.length;
    connection.relax();
    connection.welcome = false;
    await tick();
    expect(connection.writes.length).toBe(before + 1);
    expect(connection.writes.at(-1)?.length).toBeLessThanOrEqual(4 * BATCH_BYTES);
    expect(outbox.queuedBytes).toBeGreaterThan(0);
    while (outbox.queuedBytes > 0) {
      connection.relax();
      await tick();
    }
    expect(connection.written.length).toBe(600_010);
  });

  it("rejects what was handed over when the connection closes instead of draining", async () => {
    const { connection, outbox, first } = await congested();
    const second = outbox.append(LANES.normal, EMPTY, [new Uint8Array(5)]);
    connection.abort(new Error("reset"));
    expect([await outcome(first), await outcome(second)]).toEqual([
      "STREAM_CLOSED",
      "STREAM_CLOSED",
    ]);
    expect(() => outbox.append(LANES.normal, EMPTY, [])).toThrow(
      expect.objectContaining({ code: "STREAM_CLOSED", cause: expect.any(Error) }),
    );
    expect(outbox.queuedBytes).toBe(0);
  });
});

describe("an outbox that is flushed or closed", () => {
  it("is flushed when all is handed over and the connection takes again", async () => {
    const { connection, outbox } = rig();
    await outbox.flushed();
    connection.welcome = false;
    outbox.append(LANES.normal, EMPTY, [new Uint8Array(10)]);
    let flushed = false;
    const flushing = outbox.flushed().then(() => {
      flushed = true;
    });
    await tick();
    expect(flushed).toBe(false);
    connection.relax();
    await flushing;
    expect(connection.written.length).toBe(10);
  });

  it("rejects what waits with the reason of the close, once, and is flushed then", async () => {
    const { connection, outbox } = rig();
    connection.welcome = false;
    const handed = outbox.append(LANES.normal, EMPTY, [new Uint8Array(10)]);
    await tick();
    const waiting = outbox.append(LANES.bulk, EMPTY, [new Uint8Array(10)]);
    const flushing = outbox.flushed();
    outbox.close(networkError("NETWORK_CLOSED", "bye"));
    outbox.close(networkError("STREAM_CLOSED", "again"));
    await flushing;
    await outbox.flushed();
    expect([await outcome(handed), await outcome(waiting)]).toEqual([
      "NETWORK_CLOSED",
      "NETWORK_CLOSED",
    ]);
    connection.relax();
    await tick();
    expect(connection.writes).toHaveLength(1);
  });

  it("does nothing in the tick after it was closed", async () => {
    const { connection, outbox } = rig();
    const batch = outbox.append(LANES.normal, EMPTY, [new Uint8Array(10)]);
    outbox.close(networkError("STREAM_CLOSED", "bye"));
    await tick();
    expect(connection.writes).toEqual([]);
    expect(await outcome(batch)).toBe("STREAM_CLOSED");
  });

  it("tells its owner when sealing fails, and rejects what was to be sealed", async () => {
    const made = rig();
    const batch = made.outbox.append(LANES.normal, EMPTY, [new Uint8Array(10)]);
    made.sealing = "fails";
    await tick();
    expect(await outcome(batch)).toBe("STREAM_CLOSED");
    expect(made.failures).toMatchObject([{ message: "no more nonces" }]);
    expect(made.connection.writes).toEqual([]);
  });
});

describe("every run of an outbox", () => {
  const step = fc.record({
    lane: fc.constantFrom(...ALL_LANES),
    size: fc.oneof(fc.nat(200), fc.nat(20_000), fc.nat(150_000)),
    after: fc.constantFrom("nothing", "tick", "congest", "relax"),
  });

  it("brings every frame once, in the order of its lane, whole", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.constantFrom(4_096, BATCH_BYTES, Number.POSITIVE_INFINITY),
        async (steps, boxBytes) => {
          const { connection, outbox } = rig({ maxBytes: 10 ** 8, boxBytes });
          const sent: { lane: number; number: number }[] = [];
          const batches: Batch[] = [];
          for (const [number, { lane, size, after }] of steps.entries()) {
            batches.push(outbox.append(lane, header(lane, number, size), [new Uint8Array(size)]));
            sent.push({ lane, number });
            if (after === "tick") await tick();
            if (after === "congest") connection.welcome = false;
            if (after === "relax") connection.relax();
          }
          while (outbox.queuedBytes > 0 || !connection.welcome) {
            connection.relax();
            await tick();
          }
          await Promise.all(batches.map((batch) => batch.sent));
          const arrived = frames(connection.written);
          for (const lane of ALL_LANES) {
            expect(arrived.filter((frame) => frame.lane === lane)).toEqual(
              sent.filter((frame) => frame.lane === lane),
            );
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  function header(lane: number, number: number, size: number): Uint8Array {
    return toUtf8(`${lane} ${String(number).padStart(3, "0")} ${String(size).padStart(7, "0")}`);
  }

  function frames(written: Uint8Array): { lane: number; number: number }[] {
    const found: { lane: number; number: number }[] = [];
    for (let at = 0; at < written.length; ) {
      const head = new TextDecoder().decode(written.subarray(at, at + 13)).split(" ");
      found.push({ lane: Number(head[0]), number: Number(head[1]) });
      at += 13 + Number(head[2]);
    }
    return found;
  }
});

describe("the pool", () => {
  it("gives back what it was given, and keeps few", () => {
    const pool = new BufferPool();
    const [small, large] = [pool.small(), pool.large()];
    pool.give(small);
    pool.give(large);
    pool.give(new Uint8Array(17));
    expect(pool.small()).toBe(small);
    expect(pool.large()).toBe(large);
    const many = Array.from({ length: 100 }, () => [pool.small(), pool.large()]).flat();
    for (const buffer of many) pool.give(buffer);
    const kept = Array.from({ length: 100 }, () => [pool.small(), pool.large()])
      .flat()
      .filter((buffer) => many.includes(buffer));
    expect(kept.length).toBe(64);
  });
});
