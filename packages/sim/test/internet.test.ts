import { describe, expect, test } from "vitest";
import type { Nat } from "../src/host.ts";
import type { SimNode } from "../src/node.ts";
import type { World } from "../src/world.ts";
import { add, newWorld, Say } from "./support/world.ts";

/** `ok`, or the code of what went wrong. */
async function dial(world: World, from: SimNode, to: SimNode): Promise<string> {
  const work = from.network.add(to.address).then(
    () => "ok",
    (error: { code: string }) => error.code,
  );
  return world.during(work);
}

/** A dial that succeeds, and the listener knows of it too: the dialer is first by a moment. */
async function join(world: World, from: SimNode, to: SimNode): Promise<void> {
  expect(await dial(world, from, to)).toBe("ok");
  const { text } = from.identity.id;
  expect(await world.until(() => to.network.peers.has(text), 1_000)).toBe(true);
}

describe("links", () => {
  test("are of a pair, else of groups, else of all", async () => {
    const world = newWorld({ link: { latencyMs: 1 } });
    const [a, b] = [add(world, "a", { group: "eu" }), add(world, "b", { group: "us" })];
    const [c, d] = [add(world, "c", { group: "eu" }), add(world, "d", { group: "us" })];
    world.link("eu", "us", { latencyMs: 50 });
    world.link(a, b, { latencyMs: 200 });
    world.link("c", "us", { latencyMs: 80 });
    const took = async (from: SimNode, to: SimNode): Promise<number> => {
      const start = world.now;
      expect(await dial(world, from, to)).toBe("ok");
      return world.now - start;
    };
    expect([await took(a, b), await took(a, d), await took(d, c), await took(c, a)]).toEqual([
      800, 200, 320, 4,
    ]);
    world.link({ latencyMs: 2 });
    expect(await took(b, d)).toBe(8);
  });

  test("may be asked for each pair", async () => {
    const world = newWorld({
      link: (from, to) => ({ latencyMs: from.name === "a" || to.name === "a" ? 100 : 1 }),
    });
    const [a, b, c] = [add(world, "a"), add(world, "b"), add(world, "c")];
    await dial(world, b, c);
    expect(world.now).toBe(4);
    await dial(world, b, a);
    expect(world.now).toBe(404);
    world.link(() => ({ latencyMs: 5 }));
    await dial(world, a, c);
    expect(world.now).toBe(424);
  });

  test("of one node share its own width", async () => {
    const world = newWorld({ link: { latencyMs: 0 } });
    const hub = add(world, "hub", { bandwidth: 10_000 });
    const others = ["a", "b", "c", "d"].map((name) => add(world, name));
    for (const other of others) await dial(world, other, hub);
    await world.run(1_000);
    const start = world.now;
    hub.network.broadcast(Say.of("x".repeat(10_000)));
    await world.until(() => others.every(({ diary }) => diary.lines.length === 2), 60_000);
    expect(world.now - start).toBeGreaterThan(4_000);
    expect(world.now - start).toBeLessThan(4_100);
  });

  test("that lose much still carry everything, late", async () => {
    const world = newWorld({ link: { latencyMs: 10, lossRate: 0.5 } });
    const [a, b] = [add(world, "a"), add(world, "b")];
    expect(await dial(world, a, b)).toBe("ok");
    for (let i = 0; i < 50; i++) a.network.broadcast(Say.of(String(i)));
    await world.until(() => b.diary.lines.length === 51, 600_000);
    expect(b.diary.lines.slice(1)).toEqual(Array.from({ length: 50 }, (_, at) => String(at)));
  });
});

describe("a partition", () => {
  test("lets nothing through: dials time out, and come through once it heals", async () => {
    const world = newWorld({ link: { latencyMs: 10 } });
    const [a, b, c] = [add(world, "a"), add(world, "b", { group: "far" }), add(world, "c")];
    world.partition(["far"]);
    expect(await dial(world, a, c)).toBe("ok");
    const start = world.now;
    expect(await dial(world, a, b)).toBe("DIAL_TIMEOUT");
    expect(world.now - start).toBe(10_000);
    const dialling = dial(world, a, b);
    world.clock.setTimer(() => world.heal(), 2_000);
    expect(await dialling).toBe("ok");
    expect(() => world.partition(["nobody"])).toThrow(TypeError);
  });

  test("breaks what is sent over it, and spares what is idle", async () => {
    const world = newWorld({ link: { latencyMs: 10 }, breakMs: 20_000 });
    const [a, b, c] = [add(world, "a"), add(world, "b"), add(world, "c")];
    for (const other of [b, c]) await join(world, other, a);
    world.partition([a], [b], [c]);
    await world.during(a.network.broadcast(Say.of("lost"), b.identity.id.text).report());
    await world.run(30_000);
    expect(a.diary.lines).toEqual(["+b", "+c", "-b"]);
    expect(c.diary.lines).toEqual(["+a"]);
    world.heal();
    await world.run(60_000);
    expect(b.diary.lines).toEqual(["+a"]);
    a.network.broadcast(Say.of("again"));
    await world.run(1_000);
    expect(c.diary.lines).toEqual(["+a", "again"]);
  });
});

describe("a node that leaves", () => {
  test("politely says why", async () => {
    const world = newWorld();
    const [a, b] = [add(world, "a"), add(world, "b")];
    await join(world, a, b);
    await world.during(b.stop());
    expect(b.running).toBe(false);
    expect(a.diary.lines).toEqual(["+b", "-b"]);
    expect(a.diary.reasons).toEqual(["NETWORK_CLOSED"]);
    expect(await dial(world, a, b)).toBe("DIAL_REFUSED");
    await b.stop();
  });

  test("killed is cut off, refuses dials, and runs no more", async () => {
    const world = newWorld({ link: { latencyMs: 10 } });
    const [a, b] = [add(world, "a"), add(world, "b")];
    await join(world, a, b);
    let ticks = 0;
    b.network.runtime.setTimer(() => ticks++, 5);
    b.kill();
    b.kill();
    expect(a.diary.lines).toEqual(["+b"]);
    await world.run(10);
    expect(a.diary.lines).toEqual(["+b", "-b"]);
    expect(b.diary.lines).toEqual(["+a"]);
    expect(await dial(world, a, b)).toBe("DIAL_REFUSED");
    expect(ticks).toBe(0);
    expect([...world.nodes.keys()]).toEqual(["a"]);
  });

  test("without its machine leaves silence", async () => {
    const world = newWorld({ link: { latencyMs: 10 }, breakMs: 5_000 });
    const [a, b] = [add(world, "a"), add(world, "b")];
    await join(world, a, b);
    b.vanish();
    await world.run(60_000);
    expect(a.diary.lines).toEqual(["+b"]);
    a.network.broadcast(Say.of("are you there"));
    await world.run(6_000);
    expect(a.diary.lines).toEqual(["+b", "-b"]);
    expect(await dial(world, a, b)).toBe("DIAL_TIMEOUT");
  });

  test("is not the one that comes in its place", async () => {
    const world = newWorld();
    const [a, b] = [add(world, "a"), add(world, "b")];
    b.kill();
    const next = add(world, "b");
    expect(await dial(world, a, b)).toBe("PEER_UNEXPECTED");
    expect(await dial(world, a, next)).toBe("ok");
  });
});

describe("NATs", () => {
  /** Whether `from` reaches `to` at once, and once `to` has dialled it. */
  async function reach(from: Nat, to: Nat): Promise<[boolean, boolean]> {
    const world = newWorld({ link: { latencyMs: 10 } });
    const a = world.add({ nat: from });
    const b = world.add({ nat: to });
    const first = await dial(world, a, b);
    if (first === "ok") return [true, true];
    b.network.add(a.address).catch(() => {});
    await world.run(15);
    const second = await dial(world, a, b);
    return [false, second === "ok"];
  }

  test.each<[Nat, Nat, boolean, boolean]>([
    ["public", "public", true, true],
    ["symmetric", "public", true, true],
    ["none", "public", true, true],
    ["restricted", "full-cone", false, true],
    ["restricted", "restricted", false, true],
    ["symmetric", "restricted", false, false],
    ["none", "restricted", false, true],
    ["restricted", "symmetric", false, false],
    ["restricted", "none", false, false],
  ])("%s dials %s: %s, and %s once it was dialled itself", async (from, to, now, then) => {
    expect(await reach(from, to)).toEqual([now, then]);
  });

  test("of a full cone close when nothing goes out any more", async () => {
    const world = newWorld({ link: { latencyMs: 10 } });
    const [open, a, b] = [world.add({ nat: "full-cone" }), world.add(), world.add()];
    expect(await dial(world, open, a)).toBe("ok");
    expect(await dial(world, b, open)).toBe("ok");
    a.kill();
    b.kill();
    await world.run(130_000);
    expect(await dial(world, world.add(), open)).toBe("DIAL_TIMEOUT");
  });
});
