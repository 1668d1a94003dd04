/** The modes beside Plumtree, in a world of machines whose messages arrive in the order sent. */

import { Identity } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Delegation } from "../../src/gossip/delegation.ts";
import { Flood } from "../../src/gossip/flood.ts";
import { LastIds, type Spreading, type SpreadingOut } from "../../src/gossip/spreading.ts";
import { nodeIdOf } from "../../src/kademlia/node-id.ts";

class World {
  readonly nodes = new Map<string, Spreading<string>>();
  readonly delivered = new Map<string, string[]>();
  pushes = 0;
  readonly #queue: (() => void)[] = [];

  out(self: string): SpreadingOut<string> {
    return {
      deliver: (id) => this.delivered.set(self, [...(this.delivered.get(self) ?? []), id]),
      push: (to, id, payload, hops) => {
        this.pushes++;
        this.#queue.push(() => this.nodes.get(to)?.receivePush(self, id, payload, hops, 0));
      },
    };
  }

  run(): void {
    for (let step = this.#queue.shift(); step !== undefined; step = this.#queue.shift()) step();
  }

  /** All linked with all. */
  mesh(): void {
    for (const [a, node] of this.nodes) for (const b of this.nodes.keys()) if (a !== b) node.up(b);
  }
}

const names = Array.from({ length: 40 }, (_, i) => `node ${i}`);
const places = new Map(
  names.map((name, i) => [
    name,
    nodeIdOf(Identity.fromSecret(new Uint8Array(32).fill(i + 1)).publicKey),
  ]),
);
const place = (name: string): Uint8Array => places.get(name) ?? new Uint8Array(32);

function flooding(count: number): World {
  const world = new World();
  for (const name of names.slice(0, count)) {
    world.nodes.set(name, new Flood<string>({ out: world.out(name) }));
  }
  return world;
}

function delegating(
  count: number,
  copies: number,
  isPlaced: (name: string) => boolean = () => true,
): World {
  const world = new World();
  for (const name of names.slice(0, count)) {
    const delegation = new Delegation<string>({
      out: world.out(name),
      self: place(name),
      nodeIdOf: (peer) => (isPlaced(peer) ? place(peer) : undefined),
      random: (bound) => bound - 1,
      copies,
    });
    world.nodes.set(name, delegation);
  }
  return world;
}

/** Everybody but who said it got it, once. */
function expectAll(world: World, origin: string, id: string): void {
  for (const name of world.nodes.keys()) {
    expect(world.delivered.get(name) ?? []).toEqual(name === origin ? [] : [id]);
  }
}

describe("a flood", () => {
  it("reaches all over any connected graph, each once", () => {
    const edges = fc.array(fc.tuple(fc.nat(19), fc.nat(19)), { maxLength: 60 });
    fc.assert(
      fc.property(edges, (extra) => {
        const world = flooding(20);
        const link = (a: number, b: number): void => {
          if (a === b) return;
          world.nodes.get(names[a] as string)?.up(names[b] as string);
          world.nodes.get(names[b] as string)?.up(names[a] as string);
        };
        for (let i = 1; i < 20; i++) link(i, i - 1);
        for (const [a, b] of extra) link(a, b);
        world.nodes.get("node 7")?.broadcast("m", "payload", 0);
        world.run();
        expectAll(world, "node 7", "m");
      }),
    );
  });

  it("goes nowhere without links, and not to one that is gone", () => {
    const world = flooding(2);
    const [a] = [...world.nodes.values()];
    expect(a?.broadcast("m", "", 0)).toBe(0);
    a?.up("node 1");
    expect(a?.broadcast("n", "", 0)).toBe(1);
    expect(a?.broadcast("n", "", 0)).toBe(0);
    a?.down("node 1");
    expect(a?.broadcast("o", "", 0)).toBe(0);
  });

  it("leaves alone what others have seen", () => {
    const world = new World();
    const flood = new Flood<string>({ out: world.out("x"), seen: (id) => id === "old" });
    expect(flood.receivePush("y", "old", "", 1, 0)).toBe(false);
    expect(flood.receivePush("y", "new", "", 1, 0)).toBe(true);
    expect(flood.receivePush("y", "new", "", 1, 0)).toBe(false);
  });
});

describe("a delegation", () => {
  it("reaches all, each by one push, where everybody knows everybody", () => {
    const world = delegating(40, 1);
    world.mesh();
    world.nodes.get("node 3")?.broadcast("m", "", 0);
    world.run();
    expectAll(world, "node 3", "m");
    expect(world.pushes).toBe(39);
  });

  it("bears silent delegates with two copies better than with one", () => {
    const reached = (copies: number): number => {
      const world = delegating(40, copies);
      world.mesh();
      for (const name of ["node 5", "node 12", "node 20", "node 33"]) world.nodes.delete(name);
      world.nodes.get("node 3")?.broadcast("m", "", 0);
      world.run();
      return world.delivered.size;
    };
    expect(reached(2)).toBe(35);
    expect(reached(1)).toBeLessThan(35);
  });

  it("pushes to so many of each bucket, whatever links there are", () => {
    for (const copies of [1, 3]) {
      const pushed: string[] = [];
      const out = { deliver() {}, push: (to: string) => pushed.push(to) };
      const self = new Uint8Array(32);
      // Three buckets of ten links each.
      const nodeIdOf = (peer: string): Uint8Array =>
        new Uint8Array(32).fill(128 >> (peer.charCodeAt(0) - 97), 0, 1);
      const machine = new Delegation<string>({ out, self, nodeIdOf, random: () => 0, copies });
      for (const bucket of ["a", "b", "c"])
        for (let i = 0; i < 10; i++) machine.up(`${bucket}${i}`);
      expect(machine.broadcast("m", "", 0)).toBe(3 * copies);
      expect(new Set(pushed).size).toBe(3 * copies);
      // At a depth of one bit the first bucket is somebody else's.
      pushed.length = 0;
      machine.receivePush("b0", "n", "", 2, 0);
      expect(new Set(pushed.map((peer) => peer[0]))).toEqual(new Set(["b", "c"]));
      expect(pushed).toHaveLength(2 * copies);
      expect(pushed).not.toContain("b0");
    }
  });

  it("tells those without a place", () => {
    const world = delegating(10, 1, (name) => name !== "node 4");
    world.mesh();
    world.nodes.get("node 3")?.broadcast("m", "", 0);
    world.run();
    expectAll(world, "node 3", "m");
  });

  it("bears any depth that a peer names", () => {
    const world = delegating(10, 1);
    world.mesh();
    for (const hops of [0, 1, 254, 255]) {
      expect(world.nodes.get("node 1")?.receivePush("node 2", `m${hops}`, "", hops, 0)).toBe(true);
    }
  });

  it("refuses copies that make no sense", () => {
    const out = new World().out("x");
    const options = { out, self: place("node 1"), nodeIdOf: place, random: () => 0 };
    expect(() => new Delegation({ ...options, copies: 0 })).toThrow(RangeError);
  });
});

describe.each([
  ["flood", (out: SpreadingOut<string>) => new Flood({ out, maxIds: 2 })],
  [
    "delegation",
    (out: SpreadingOut<string>) =>
      new Delegation({
        out,
        maxIds: 2,
        self: place("node 1"),
        nodeIdOf: place,
        random: () => 0,
      }),
  ],
] as const)("a %s's memory", (_, make) => {
  it("is of so many ids; what is older must be known elsewhere", () => {
    const world = new World();
    const machine = make(world.out("node 1"));
    const isNew = (id: string): boolean => machine.receivePush("node 2", id, "", 1, 0);
    expect(["a", "b", "a", "c", "b", "a"].map(isNew)).toEqual([
      true,
      true,
      false,
      true,
      false,
      true,
    ]);
    expect(machine.broadcast("a", "", 0)).toBe(0);
    expect(world.delivered.get("node 1")).toEqual(["a", "b", "c", "a"]);
  });
});

describe("last ids", () => {
  it("are as many as they may be, the oldest go first", () => {
    const ids = new LastIds(2);
    expect(["a", "b", "a", "c"].map((id) => ids.add(id))).toEqual([true, true, false, true]);
    expect(["a", "b", "c"].map((id) => ids.has(id))).toEqual([false, true, true]);
  });
});
