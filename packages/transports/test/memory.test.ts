import {
  type Connection,
  type Listener,
  type Runtime,
  section,
  systemRuntime,
} from "@testudo/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import {
  failureOf,
  isPending,
  pattern,
  Reader,
  readAll,
  turns,
} from "../../../test/support/traffic.ts";
import { MemoryHub, type MemoryOptions, memory } from "../src/memory/index.ts";
import { checkLinkOptions, Link, seededRandom } from "../src/memory/link.ts";

expectNoLeaks();

/** Time that goes on only when told to. */
class ManualRuntime implements Runtime {
  readonly #timers = new Map<number, { at: number; callback: () => void }>();
  #now = 1_000;
  #count = 0;

  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  wallClock(): number {
    return this.#now;
  }

  setTimer(callback: () => void, delayMs: number): { cancel(): void } {
    const id = ++this.#count;
    this.#timers.set(id, { at: this.#now + delayMs, callback });
    return { cancel: () => this.#timers.delete(id) };
  }

  randomBytes(length: number): Uint8Array {
    return new Uint8Array(length);
  }

  /** Runs what is due within `ms`, in order, letting promises go on in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await turns(1);
      const due = [...this.#timers].filter(([, timer]) => timer.at <= until);
      const [first] = due.sort(([a, x], [b, y]) => x.at - y.at || a - b);
      if (first === undefined) break;
      this.#timers.delete(first[0]);
      this.#now = Math.max(this.#now, first[1].at);
      first[1].callback();
    }
    this.#now = until;
  }
}

const soon = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });
const place = section("memory", "place");

interface Ends {
  readonly dialer: Connection;
  readonly accepted: Connection;
  readonly listener: Listener;
}

async function pair(options: MemoryOptions = {}): Promise<Ends> {
  const transport = memory({ hub: new MemoryHub(), ...options });
  const taken: Connection[] = [];
  const listener = (await transport.listen?.(place, (connection) =>
    taken.push(connection),
  )) as Listener;
  const dialing = transport.dial(place, soon());
  if (options.runtime instanceof ManualRuntime) await options.runtime.advance(1_000);
  const dialer = await dialing;
  return { dialer, accepted: taken[0] as Connection, listener };
}

describe("the hub", () => {
  it("knows its names, and no other hub's", async () => {
    const [here, there] = [new MemoryHub(), new MemoryHub()];
    const listener = await memory({ hub: here }).listen?.(place, () => {});
    expect([here.names, there.names]).toEqual([["place"], []]);
    expect(await failureOf(memory({ hub: there }).dial(place, soon()))).toMatchObject({
      code: "DIAL_REFUSED",
    });
    await listener?.close();
    expect(here.names).toEqual([]);
  });

  it("is one for the process when none is given", async () => {
    const taken: Connection[] = [];
    const own = section("memory", "a name of this test");
    const listener = await memory().listen?.(own, (connection) => taken.push(connection));
    const dialer = await memory().dial(own, soon());
    await listener?.close();
    dialer.write(pattern(3));
    expect(await new Reader(taken[0] as Connection).take(3)).toEqual(pattern(3));
  });

  it("does not lose a name to a listener that was closed before", async () => {
    const hub = new MemoryHub();
    const first = await memory({ hub }).listen?.(place, () => {});
    await first?.close();
    await memory({ hub }).listen?.(place, () => {});
    await first?.close();
    expect(hub.names).toEqual(["place"]);
  });

  it("names every visitor differently", async () => {
    const hub = new MemoryHub();
    const seen: string[] = [];
    await memory({ hub }).listen?.(place, (connection) => seen.push(connection.remote.text));
    for (let i = 0; i < 3; i++) await memory({ hub }).dial(place, soon());
    expect(seen).toEqual(["memory:place@1", "memory:place@2", "memory:place@3"]);
  });

  it("cuts a connection whose acceptance throws", async () => {
    const hub = new MemoryHub();
    await memory({ hub }).listen?.(place, () => {
      throw new Error("cannot take it");
    });
    const dialer = await memory({ hub }).dial(place, soon());
    expect(await failureOf(readAll(dialer))).toMatchObject({ code: "TRUNCATED" });
  });
});

describe("a good line", () => {
  it("needs no timer and no clock", async () => {
    const refuse = (): never => {
      throw new Error("no time is needed");
    };
    const runtime: Runtime = { ...systemRuntime, now: refuse, setTimer: refuse };
    const { dialer, accepted } = await pair({ runtime });
    dialer.write(pattern(100));
    void dialer.end();
    expect(await readAll(accepted)).toEqual(pattern(100));
    accepted.abort(new Error("cut"));
    expect(await failureOf(readAll(dialer))).toMatchObject({ code: "TRUNCATED" });
  });

  it("shares no memory between the two ends", async () => {
    const { dialer, accepted } = await pair();
    const sent = pattern(50);
    dialer.write(sent);
    const got = await new Reader(accepted).take(50);
    sent.fill(0);
    expect(got).toEqual(pattern(50));
  });
});

describe("a line with delays", () => {
  it("takes the runtime's time: the latency, there and back to dial, once to arrive", async () => {
    const runtime = new ManualRuntime();
    const transport = memory({ hub: new MemoryHub(), runtime, latencyMs: 50 });
    const taken: Connection[] = [];
    await transport.listen?.(place, (connection) => taken.push(connection));
    const dialing = transport.dial(place, soon());
    await runtime.advance(99);
    expect(taken.length).toBe(0);
    await runtime.advance(1);
    const dialer = await dialing;
    dialer.write(pattern(10));
    const reading = new Reader(taken[0] as Connection).take(10);
    await runtime.advance(49);
    expect(await isPending(reading)).toBe(true);
    await runtime.advance(1);
    expect(await reading).toEqual(pattern(10));
  });

  it("sends no faster than its width", async () => {
    const runtime = new ManualRuntime();
    const { dialer, accepted } = await pair({ runtime, bandwidth: 1_000 });
    dialer.write(pattern(500));
    dialer.write(pattern(500));
    const reader = new Reader(accepted);
    const first = reader.take(500);
    await runtime.advance(499);
    expect(await isPending(first)).toBe(true);
    await runtime.advance(1);
    await first;
    const rest = reader.take(500);
    await runtime.advance(499);
    expect(await isPending(rest)).toBe(true);
    await runtime.advance(1);
    expect(await rest).toEqual(pattern(500));
  });

  it("does the same for the same seed, and something else for another", async () => {
    const arrivals = async (seed: number): Promise<number[]> => {
      const runtime = new ManualRuntime();
      const { dialer, accepted } = await pair({
        runtime,
        latencyMs: 5,
        jitterMs: 20,
        lossRate: 0.3,
        seed,
      });
      const began = runtime.now();
      const times: number[] = [];
      const reading = (async () => {
        for await (const _ of accepted) times.push(runtime.now() - began);
      })();
      for (let i = 0; i < 20; i++) {
        dialer.write(pattern(10));
        await runtime.advance(3);
      }
      void dialer.end();
      await runtime.advance(5_000);
      await reading;
      return times;
    };
    const times = await arrivals(7);
    expect(times.length).toBe(20);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(await arrivals(7)).toEqual(times);
    expect(await arrivals(8)).not.toEqual(times);
  });

  it("shows a cut a latency later, and leaves no timer", async () => {
    const runtime = new ManualRuntime();
    const { dialer, accepted } = await pair({ runtime, latencyMs: 30 });
    dialer.write(pattern(10));
    const reading = failureOf(readAll(accepted));
    dialer.abort(new Error("cut"));
    await runtime.advance(29);
    expect(await isPending(reading)).toBe(true);
    await runtime.advance(1);
    expect(await reading).toMatchObject({ code: "TRUNCATED" });
    expect(runtime.pending).toBe(0);
  });

  it("drops its timer when the dial is given up", async () => {
    const runtime = new ManualRuntime();
    const hub = new MemoryHub();
    await memory({ hub }).listen?.(place, () => {});
    const controller = new AbortController();
    const dialing = memory({ hub, runtime, latencyMs: 10 }).dial(place, {
      signal: controller.signal,
    });
    expect(runtime.pending).toBe(1);
    controller.abort(new Error("given up"));
    await expect(dialing).rejects.toBe(controller.signal.reason);
    expect(runtime.pending).toBe(0);
  });
});

describe("the link machine", () => {
  it("refuses lines that cannot be", () => {
    expect(() => memory({ latencyMs: -1 })).toThrow("latencyMs");
    expect(() => memory({ jitterMs: Number.NaN })).toThrow("jitterMs");
    expect(() => memory({ lossRate: 1 })).toThrow(RangeError);
    expect(() => memory({ bandwidth: 0 })).toThrow("bandwidth");
  });

  it("never reorders, never hurries and never waits forever", async () => {
    await fc.assert(
      fc.property(
        fc.record({
          latencyMs: fc.nat(100),
          jitterMs: fc.nat(100),
          lossRate: fc.double({ min: 0, max: 0.99, noNaN: true }),
          bandwidth: fc.integer({ min: 1_000, max: 10_000_000 }),
        }),
        fc.array(fc.tuple(fc.nat(50), fc.nat(5_000)), { maxLength: 50 }),
        fc.integer(),
        (options, chunks, seed) => {
          const link = new Link(checkLinkOptions(options), seededRandom(seed));
          let now = 0;
          let last = 0;
          for (const [pause, bytes] of chunks) {
            now += pause;
            const at = link.arrival(now, bytes);
            expect(at).toBeGreaterThanOrEqual(last);
            expect(at).toBeGreaterThanOrEqual(now + options.latencyMs);
            expect(at - now).toBeLessThan(400_000);
            last = at;
          }
        },
      ),
    );
  });

  it("loses the part it should", () => {
    const link = new Link(checkLinkOptions({ lossRate: 0.25 }), seededRandom(3));
    let late = 0;
    // A second apart, so that no loss holds up the next.
    for (let i = 0; i < 10_000; i++) if (link.arrival(i * 1_000, 1) > i * 1_000) late++;
    expect(late / 10_000).toBeCloseTo(0.25, 1);
  });

  it("spreads its numbers evenly", () => {
    const random = seededRandom(11);
    const buckets = new Array<number>(10).fill(0);
    for (let i = 0; i < 20_000; i++) {
      const bucket = Math.floor(random() * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    for (const count of buckets) expect(Math.abs(count - 2_000)).toBeLessThan(250);
    expect(seededRandom(5)()).toBe(seededRandom(5)());
    expect(seededRandom(5)()).not.toBe(seededRandom(6)());
  });
});
