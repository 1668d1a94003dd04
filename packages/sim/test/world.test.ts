import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { defineMessage, Identity, Network, text } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { World } from "../src/world.ts";
import { add, newWorld, Say } from "./support/world.ts";

describe("time", () => {
  test("a dial costs two round trips, a message one way", async () => {
    const world = newWorld({ link: { latencyMs: 50 } });
    const [alice, bob] = [add(world, "alice"), add(world, "bob")];
    const peer = await world.during(bob.network.add(alice.address));
    expect(world.now).toBe(200);
    await world.during(peer.send(Say.of("hello")));
    await world.until(() => alice.diary.lines.includes("hello"), 1_000);
    expect(world.now).toBe(250);
    expect(alice.diary.lines).toEqual(["+bob", "hello"]);
    await world.during(peer.request(Say.of("nobody answers"), Say).catch(() => {}));
    expect(world.now).toBe(30_250);
  });

  test("run, until and sleep move it", async () => {
    const world = newWorld();
    await world.run(1_000);
    await world.during(world.sleep(500));
    expect(world.now).toBe(1_500);
    expect(await world.until(() => false, 100)).toBe(false);
    expect(world.now).toBe(1_600);
    let asked = 0;
    expect(await world.until(() => ++asked === 3, 1_000, 10)).toBe(true);
    expect(world.now).toBe(1_620);
    expect(await world.until(() => false, 25, 10)).toBe(false);
    await expect(world.until(() => true, 10, 0)).rejects.toThrow(RangeError);
    expect(world.now).toBe(1_645);
  });

  test("clocks differ and jump, and time does not care", async () => {
    const world = newWorld();
    const [early, late] = [world.add(), world.add({ skewMs: -5_000 })];
    const gap = (): number => early.network.runtime.wallClock() - late.network.runtime.wallClock();
    expect(gap()).toBe(5_000);
    late.skewMs = 60_000;
    await world.run(10);
    expect(gap()).toBe(-60_000);
    expect(early.network.runtime.now()).toBe(late.network.runtime.now());
    expect(() => (late.skewMs = Number.NaN)).toThrow(RangeError);
  });

  test("a signal ends it", async () => {
    const controller = new AbortController();
    const world = newWorld({ signal: controller.signal });
    controller.abort(new Error("interrupted"));
    await expect(world.run(1)).rejects.toThrow("interrupted");
  });
});

describe("nodes", () => {
  test("have a name, an address with their key, and a key from the seed", () => {
    const world = newWorld();
    const [first, named] = [world.add(), world.add({ name: "alice", group: "eu" })];
    expect(first.name).toBe("n0");
    expect(named.address).toBe(`sim:alice~vouch:${named.identity.id.text}`);
    expect([...world.nodes.keys()]).toEqual(["n0", "alice"]);
    expect(world.nameOf(named.identity.id.text)).toBe("alice");
    const again = newWorld();
    expect(again.add({ name: "alice" }).identity.id.text).toBe(named.identity.id.text);
    expect(newWorld({ seed: 2 }).add({ name: "alice" }).identity.id.equals(named.identity.id)).toBe(
      false,
    );
  });

  test("listen where their address says", async () => {
    const world = newWorld();
    const [listener, silent] = [world.add(), world.add({ listen: false })];
    await world.during(Promise.all([listener.ready, silent.ready]));
    expect(listener.network.addresses).toEqual([listener.address]);
    expect(silent.network.addresses).toEqual([]);
    await expect(world.during(listener.network.add(silent.address))).rejects.toMatchObject({
      code: "DIAL_REFUSED",
    });
  });

  test("may be made by an application, with a key, stacks and options of its own", async () => {
    class Own extends Network {}
    const world = newWorld();
    const identity = Identity.generate();
    const node = world.add({
      identity,
      network: (options) => new Own(options),
      options: { limits: { maxPeers: 3 } },
      stacks: (sim, vouch) => [
        [sim, vouch],
        [sim, vouch],
      ],
    });
    expect(node.network).toBeInstanceOf(Own);
    expect(node.network.limits.maxPeers).toBe(3);
    expect(node.network.identity).toBe(identity);
    await world.during(node.ready);
    expect(node.network.addresses.join(";")).toBe(node.address);
  });

  test("that do not start are told by what moves time next", async () => {
    const world = newWorld();
    const node = world.add({
      plugins: [
        {
          startup() {
            throw new Error("cannot start");
          },
        },
      ],
    });
    await expect(node.ready).rejects.toThrow("cannot start");
    await expect(world.run(1)).rejects.toThrow("cannot start");
  });

  test.each([
    ["name", { name: "a b" }],
    ["nat", { nat: "open" as "public" }],
    ["bandwidth", { bandwidth: 0 }],
    ["skewMs", { skewMs: Number.NaN }],
  ])("with a wrong %s are refused", (name, options) => {
    expect(() => newWorld().add(options)).toThrow(new RegExp(name));
  });

  test("share no name while they run, but one may follow another", async () => {
    const world = newWorld();
    const first = world.add({ name: "a" });
    expect(() => world.add({ name: "a" })).toThrow("there is a node a already");
    first.kill();
    const second = world.add({ name: "a" });
    expect(second.identity.id.equals(first.identity.id)).toBe(false);
    await world.during(world.add().network.add(second.address));
  });
});

describe("counters", () => {
  test("count each connection, byte and message once", async () => {
    const world = newWorld();
    const [alice, bob] = [add(world, "alice"), add(world, "bob")];
    const peer = await world.during(bob.network.add(alice.address));
    const before = world.counters;
    expect(before).toMatchObject({ dials: 1, connections: 1, open: 2, messages: 0 });
    await world.during(peer.send(Say.of("x".repeat(1_000))));
    await world.run(100);
    expect(world.counters.bytes - before.bytes).toBe(1_017);
    expect(world.counters).toMatchObject({ writes: before.writes + 1, messages: 1 });
    bob.kill();
    await world.run(100);
    expect(world.counters).toMatchObject({ open: 0, messages: 1 });
  });
});

describe("the same seed", () => {
  /** Everything at once: loss, jitter, churn, a partition. */
  async function play(seed: number, lines = false): Promise<World> {
    const world = newWorld({
      seed,
      link: { latencyMs: 20, jitterMs: 80, lossRate: 0.05, bandwidth: 100_000 },
      trace: { lines },
    });
    const Note = defineMessage({ name: "note", opcode: 1001, codec: text });
    const nodes = Array.from({ length: 12 }, () => world.add());
    const [first] = nodes;
    const join = (node: (typeof nodes)[number]): void => {
      node.network.add(first?.address ?? "").catch(() => {});
    };
    nodes.slice(1).forEach(join);
    world.churn({
      nodes: nodes.slice(6),
      meanUpMs: 3_000,
      meanDownMs: 500,
      rejoin: ({ name }) => {
        const node = world.add({ name });
        join(node);
        return node;
      },
    });
    for (let i = 0; i < 10; i++) {
      await world.run(1_000);
      if (i === 3) world.partition(["n1", "n2"]);
      if (i === 6) world.heal();
      for (const { network } of world.nodes.values()) network.broadcast(Note.of(`round ${i}`));
    }
    return world;
  }

  test("gives the same trace, line by line, and another seed another", async () => {
    const [one, other, third] = [await play(5, true), await play(5, true), await play(6)];
    expect(one.trace.lines.length).toBeGreaterThan(500);
    expect(other.trace.lines).toEqual(one.trace.lines);
    expect(other.trace.hash).toBe(one.trace.hash);
    expect(other.counters).toEqual(one.counters);
    expect(third.trace.hash).not.toBe(one.trace.hash);
  });

  test("gives the same trace in another process", async () => {
    const program = `
      import { World } from ${JSON.stringify(new URL("../src/world.ts", import.meta.url).href)};
      const world = new World({ seed: 9, link: { latencyMs: 20, jitterMs: 80, lossRate: 0.1 } });
      const nodes = Array.from({ length: 20 }, () => world.add());
      await world.during(Promise.all(nodes.slice(1).map(({ network }) => network.add(nodes[0].address))));
      nodes[3].kill();
      await world.run(5_000);
      console.log(world.trace.hash, world.trace.events);
    `;
    const words = ["--import", import.meta.resolve("tsx"), "--conditions=@testudo/source"];
    const runs = [1, 2].map(() =>
      promisify(execFile)(process.execPath, [...words, "--input-type=module", "-e", program]),
    );
    const [one, other] = await Promise.all(runs);
    expect(one?.stdout).toMatch(/^[0-9a-f]{16} \d+\n$/);
    expect(other?.stdout).toBe(one?.stdout);
  }, 30_000);
});

test("a closed world holds nothing", async () => {
  const world = newWorld();
  const [alice, bob] = [world.add(), world.add()];
  await world.during(alice.network.add(bob.address));
  await world.close();
  await world.close();
  expect(world.clock.pending).toBe(0);
  expect(world.nodes.size).toBe(0);
  expect(() => new World({ seed: undefined as unknown as number })).toThrow(TypeError);
  expect(() => new World({ seed: 1, breakMs: 0 })).toThrow(RangeError);
});
