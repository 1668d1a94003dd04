import { type Connection, section } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../src/clock.ts";
import { Host } from "../src/host.ts";
import type { LinkRule } from "../src/internet.ts";
import { Internet } from "../src/internet.ts";
import { Random } from "../src/random.ts";
import { Trace } from "../src/trace.ts";
import { simTransport } from "../src/transport.ts";

interface Pair {
  readonly clock: VirtualClock;
  readonly internet: Internet;
  readonly hosts: readonly [Host, Host];
  readonly near: Connection;
  readonly far: Connection;
}

async function pair(link: LinkRule = { latencyMs: 10 }, breakMs = 60_000): Promise<Pair> {
  const clock = new VirtualClock();
  const { scheduler } = clock;
  const trace = new Trace(() => scheduler.now);
  const internet = new Internet({ scheduler, random: new Random(1), trace, link, breakMs });
  const hosts = ["a", "b"].map((name) => new Host(name, "", "public", Number.POSITIVE_INFINITY));
  const [a, b] = hosts as [Host, Host];
  for (const host of hosts) internet.hosts.set(host.name, host);
  let far: Connection | undefined;
  const place = section("sim", "b");
  await simTransport(internet, b).listen?.(place, (connection) => {
    far = connection;
  });
  const { signal } = new AbortController();
  const near = await clock.during(simTransport(internet, a).dial(place, { signal }));
  if (far === undefined) throw new Error("nothing was accepted");
  return { clock, internet, hosts: [a, b], near, far };
}

const bytes = (length: number, value = 0): Uint8Array => new Uint8Array(length).fill(value);

async function readAll(connection: Connection): Promise<number> {
  let count = 0;
  for await (const chunk of connection) count += chunk.length;
  return count;
}

describe("a connection", () => {
  test("brings bytes in order, and its end behind them", async () => {
    const { clock, near, far } = await pair({ latencyMs: 10, jitterMs: 500, lossRate: 0.2 });
    const read: number[] = [];
    const reading = (async () => {
      for await (const chunk of far) read.push(...chunk);
    })();
    for (let i = 0; i < 100; i++) near.write(Uint8Array.of(i), bytes(0));
    const ended = near.end();
    expect(near.write(Uint8Array.of(1))).toBe(false);
    await clock.during(Promise.all([ended, reading]));
    expect(read).toEqual(Array.from({ length: 100 }, (_, at) => at));
    far.write(bytes(3, 7));
    const both = Promise.all([far.close(), readAll(near)]);
    expect(await clock.during(both)).toEqual([undefined, 3]);
    expect(await near.closed).toBeUndefined();
    expect(await far.closed).toBeUndefined();
    await far.end();
    expect(clock.pending).toBe(0);
  });

  test("hands on the very bytes that were written", async () => {
    const { clock, near, far } = await pair();
    const chunk = bytes(10, 1);
    near.write(chunk);
    const next = clock.during(far[Symbol.asyncIterator]().next());
    expect((await next).value).toBe(chunk);
  });

  test("is as wide as its link", async () => {
    const { clock, near, far } = await pair({ latencyMs: 10, bandwidth: 10_000 });
    const start = clock.now();
    near.write(bytes(20_000));
    void near.end();
    expect(await clock.during(readAll(far))).toBe(20_000);
    expect(clock.now() - start).toBe(2_010);
  });

  test("says to wait while too much is under way, whether the link or the reader is slow", async () => {
    const { clock, near, far } = await pair();
    const chunk = bytes(64 * 1024);
    let written = 0;
    while (near.write(chunk)) written++;
    expect(written).toBe(3);
    await clock.advance(1_000);
    while (near.write(chunk)) written++;
    // Nobody reads: a full inbox, and as much under way.
    await clock.advance(1_000);
    let drained = false;
    const draining = near.drain().then(() => {
      drained = true;
    });
    await clock.advance(60_000);
    expect(drained).toBe(false);
    expect(written).toBeLessThan(12);
    const reading = readAll(far);
    await clock.during(draining);
    void near.end();
    expect(await clock.during(reading)).toBeGreaterThanOrEqual(written * chunk.length);
    await near.drain();
  });

  test("an abort is seen at once here, and after the way there", async () => {
    const { clock, near, far } = await pair();
    near.write(bytes(5));
    near.abort(new Error("enough"));
    near.abort(new Error("again"));
    expect(await near.closed).toMatchObject({ message: "enough" });
    await expect(readAll(near)).rejects.toThrow("enough");
    expect(near.write(bytes(1))).toBe(false);
    await near.drain();
    await near.end();
    const reading = expect(clock.during(readAll(far))).rejects.toMatchObject({ code: "TRUNCATED" });
    await reading;
    expect(await far.closed).toMatchObject({ code: "TRUNCATED" });
    await clock.advance(1_000);
    expect(clock.pending).toBe(0);
  });
});

describe("when the way is cut", () => {
  const cut = ({ internet, hosts }: Pair): void => internet.partition([[hosts[0]]]);

  test("bytes wait, and come when it is open and the sender tries again", async () => {
    const both = await pair();
    const { clock, internet, near, far } = both;
    near.write(bytes(1));
    await clock.advance(5);
    cut(both);
    near.write(bytes(2));
    const reading = readAll(far);
    await clock.advance(10_000);
    internet.heal();
    const healed = clock.now();
    void near.end();
    expect(await clock.during(reading)).toBe(3);
    // Up to as long again as it had waited so far.
    expect(clock.now() - healed).toBeGreaterThan(0);
    expect(clock.now() - healed).toBeLessThan(11_000);
  });

  test("it breaks for whoever sends, and for the other side when that speaks again", async () => {
    const both = await pair({ latencyMs: 10 }, 5_000);
    const { clock, internet, near, far } = both;
    cut(both);
    near.write(bytes(1));
    await clock.advance(6_000);
    expect(await near.closed).toMatchObject({ code: "TRUNCATED" });
    let over = false;
    void far.closed.then(() => {
      over = true;
    });
    internet.heal();
    await clock.advance(60_000);
    expect(over).toBe(false);
    far.write(bytes(1));
    await clock.advance(100);
    expect(over).toBe(true);
  });

  test("an idle connection outlives it", async () => {
    const both = await pair({ latencyMs: 10 }, 5_000);
    cut(both);
    await both.clock.advance(3_600_000);
    both.internet.heal();
    both.near.write(bytes(4));
    void both.near.end();
    expect(await both.clock.during(readAll(both.far))).toBe(4);
  });

  test("a second cut before the sender tries again holds it up further", async () => {
    const both = await pair();
    const { clock, internet, near, far } = both;
    cut(both);
    near.write(bytes(1));
    await clock.advance(3_000);
    internet.heal();
    cut(both);
    await clock.advance(5_000);
    internet.partition([[]]);
    void near.end();
    expect(await clock.during(readAll(far))).toBe(1);
  });
});

test("a link that changes holds for what is sent from then on", async () => {
  const { clock, internet, near, far } = await pair();
  internet.setLink("a", "b", { latencyMs: 300 });
  const start = clock.now();
  near.write(bytes(1));
  await clock.during(far[Symbol.asyncIterator]().next());
  expect(clock.now() - start).toBe(300);
});

describe("datagrams", () => {
  const LINK = { latencyMs: 10, jitterMs: 200, lossRate: 0.2 };

  async function started(link: LinkRule = LINK): Promise<Pair> {
    const both = await pair(link);
    for (const { datagrams } of [both.near, both.far]) datagrams?.start();
    return both;
  }

  /** What has arrived by now. */
  async function arrived({ far, near, clock }: Pair): Promise<number[]> {
    await clock.advance(1_000);
    near.abort(new Error("over"));
    await clock.advance(1_000);
    const seen: number[] = [];
    for await (const [first = -1] of far.datagrams ?? []) seen.push(first);
    return seen;
  }

  test("get lost, overtake each other, and arrive whole and once", async () => {
    const both = await started();
    const sent = Uint8Array.of(0, 9);
    for (let i = 0; i < 200; i++) {
      sent[0] = i;
      expect(both.near.datagrams?.send(sent)).toBe(true);
    }
    const seen = await arrived(both);
    expect(seen.length).toBeGreaterThan(130);
    expect(seen.length).toBeLessThan(185);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).not.toEqual(seen.toSorted((a, b) => a - b));
  });

  test("are not sent before the start, when too long, or over a connection that is over", async () => {
    const both = await pair();
    const { datagrams } = both.near;
    expect([datagrams?.maxBytes, datagrams?.send(bytes(0))]).toEqual([0, false]);
    datagrams?.start();
    expect(() => datagrams?.start()).toThrow(TypeError);
    expect(datagrams?.send(bytes(1_201))).toBe(false);
    expect(datagrams?.send(bytes(1_200))).toBe(true);
    // The other side has not started.
    expect(await arrived(both)).toEqual([]);
    expect(datagrams?.send(bytes(1))).toBe(false);
  });

  test("that nobody reads go, the oldest first; a reader that waits gets the next", async () => {
    const both = await started({ latencyMs: 1 });
    const reader = both.far.datagrams?.[Symbol.asyncIterator]();
    const waiting = reader?.next();
    await expect(reader?.next()).rejects.toThrow(TypeError);
    both.near.datagrams?.send(bytes(1, 7));
    expect((await both.clock.during(Promise.resolve(waiting)))?.value).toEqual(bytes(1, 7));
    for (let i = 0; i < 300; i++) both.near.datagrams?.send(bytes(1, i % 256));
    const seen = await arrived(both);
    expect(seen).toHaveLength(256);
    expect(seen[0]).toBe(44);
  });

  test("do not cross a partition", async () => {
    const both = await started({ latencyMs: 1 });
    both.internet.partition([[both.hosts[0]]]);
    expect(both.near.datagrams?.send(bytes(1))).toBe(true);
    await both.clock.advance(10);
    both.internet.heal();
    expect(await arrived(both)).toEqual([]);
  });
});
