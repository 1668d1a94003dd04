import { describe, expect, it } from "vitest";
import { seededNumbers } from "../../../test/support/virtual-runtime.ts";
import { type Faults, LARGE, type Node, SMALL, World } from "./support/pair-model.ts";

function randomOf(seed: number): (below: number) => number {
  const next = seededNumbers(seed);
  return (below) => Math.floor(next() * below);
}

/** Runs `check` for each seed; a failure names the seed. */
function forSeeds(count: number, check: (seed: number) => void): void {
  for (let seed = 1; seed <= count; seed++) {
    try {
      check(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  }
}

function dialsOf(world: World, random: (below: number) => number, most: number): Node[] {
  const [one, other] = world.nodes;
  const dials: Node[] = [];
  for (let i = 1 + random(most); i > 0; i--) dials.push(random(2) === 0 ? one : other);
  return dials;
}

/** Throws unless both nodes hold the two ends of one line, and every other line is over. */
function expectOneStream(world: World): void {
  const [one, other] = world.nodes;
  const { live } = one;
  if (live === undefined || other.live === undefined) throw new Error("no live stream");
  if (live.other !== other.live) throw new Error("the nodes hold different streams");
  for (const line of world.lines) {
    if (line === live.line) continue;
    if (!line.dialer.over || !line.listener.over) throw new Error("a loser stays open");
  }
  for (const node of world.nodes) {
    if (node.pairing.underWay !== 0) throw new Error("the machine keeps what is over");
  }
}

describe("two nodes, every interleaving", () => {
  it("keeps one stream, the same on both sides, and no hook fires for a loser", () => {
    forSeeds(12_000, (seed) => {
      const random = randomOf(seed);
      const world = new World(random, [SMALL, LARGE]);
      world.run(dialsOf(world, random, 5));
      expectOneStream(world);
      for (const node of world.nodes) {
        if (node.added !== 1 || node.deleted !== 0) throw new Error("a loser was seen");
      }
      for (const line of world.lines) {
        const used = line.dialer.entered || line.listener.entered;
        if (used !== (line === world.nodes[0].live?.line)) throw new Error("a loser was used");
      }
    });
  });

  it("does so when arrivals lose patience at any moment: waiting decides only who wins", () => {
    forSeeds(12_000, (seed) => {
      const random = randomOf(seed);
      const world = new World(random, [SMALL, LARGE]);
      world.impatient = true;
      world.run(dialsOf(world, random, 5));
      expectOneStream(world);
      for (const node of world.nodes) {
        if (node.added !== 1 || node.deleted !== 0) throw new Error("a loser was seen");
      }
    });
  });

  it("keeps the smaller key's dial when both dials are under way before either is decided", () => {
    forSeeds(2_000, (seed) => {
      const random = randomOf(seed);
      const world = new World(random, [SMALL, LARGE]);
      const [small, large] = world.nodes;
      const lines = [world.dial(small), world.dial(large)];
      for (const line of lines) {
        line.connected = true;
        line.dial.connected = true;
        line.listener.node.ends.add(line.listener);
      }
      // Both handshakes are done at the dialers: from here on nobody may choose otherwise.
      for (const line of lines) {
        line.dialer.shaken = true;
        line.dialer.node.pairing.shaken(line.dial, line.listener.node.id, line.dialer);
      }
      world.run([]);
      expectOneStream(world);
      expect(small.live?.line.dialer.node).toBe(small);
    });
  });

  it("comes to rest wherever lines are cut", () => {
    const faults: Faults = { cuts: 3, restarts: 0 };
    let without = 0;
    forSeeds(6_000, (seed) => {
      const random = randomOf(seed);
      const world = new World(random, [SMALL, LARGE]);
      world.run(dialsOf(world, random, 4), faults);
      // Everybody has heard of every cut: what is left is one stream or none, never half a one.
      if (world.nodes.some((node) => node.live !== undefined)) expectOneStream(world);
      else {
        without++;
        for (const node of world.nodes) {
          if (node.pairing.underWay !== 0) throw new Error("the machine keeps what is over");
        }
      }
      world.run(dialsOf(world, random, 2));
      expectOneStream(world);
    });
    expect(without).toBeGreaterThan(0);
  });

  it("admits a node that lost its memory, whoever dials", () => {
    let stale = 0;
    forSeeds(6_000, (seed) => {
      const random = randomOf(seed);
      const world = new World(random, [SMALL, LARGE]);
      world.run(dialsOf(world, random, 3), { cuts: 1, restarts: 2 });
      if (world.nodes.some((node) => node.live?.other.over)) stale++;
      world.run(dialsOf(world, random, 3));
      expectOneStream(world);
    });
    expect(stale).toBeGreaterThan(100);
  });
});
