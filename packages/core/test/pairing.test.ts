import { describe, expect, it } from "vitest";
import { seededNumbers } from "../../../test/support/virtual-runtime.ts";
import { compare } from "../src/bytes.ts";
import { Identity, PeerId } from "../src/identity.ts";
import { Pairing, type PairingActions, STANDING, type Standing } from "../src/pairing.ts";
import { type Faults, type Node, World } from "./support/pair-model.ts";

const SMALL = PeerId.from(new Uint8Array(32).fill(1));
const LARGE = PeerId.from(new Uint8Array(32).fill(2));

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

describe("the machine by itself", () => {
  interface Said {
    readonly log: string[];
    readonly actions: PairingActions<string>;
  }

  function recorder(): Said {
    const log: string[] = [];
    return {
      log,
      actions: {
        welcome: (candidate, standing) => log.push(`welcome ${candidate} ${standing}`),
        confirm: (candidate, previous, standing) =>
          log.push(
            previous === undefined
              ? `confirm ${candidate}`
              : `confirm ${candidate} after ${previous}, ${standing}`,
          ),
        move: (into, live) => log.push(`move ${live} to ${into}`),
        decline: (candidate) => log.push(`decline ${candidate}`),
        admit: (candidate, previous) => log.push(`admit ${candidate} after ${previous}`),
      },
    };
  }

  it("welcomes an arrival that has waited long enough for a dial under way", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    const dial = pairing.dialling(LARGE.text);
    dial.connected = true;
    expect(pairing.arrived(LARGE, "arrival")).toBe(true);
    expect(log).toEqual([]);
    pairing.outwaited(LARGE, "arrival");
    pairing.outwaited(LARGE, "arrival");
    expect(log).toEqual([`welcome arrival ${STANDING.none}`]);
  });

  it("lets an arrival wait for a dial under way only at the smaller key", () => {
    for (const [own, other] of [
      [SMALL, LARGE],
      [LARGE, SMALL],
    ] as const) {
      const { log, actions } = recorder();
      const pairing = new Pairing(own, actions);
      const dial = pairing.dialling(other.text);
      dial.connected = true;
      pairing.arrived(other, "arrival");
      const first = [...log];
      pairing.settled(dial);
      expect(log).toEqual(["welcome arrival 0"]);
      expect(first).toEqual(own === SMALL ? [] : ["welcome arrival 0"]);
    }
  });

  /** A machine with one live stream, which it dialled. */
  function withLive(own: PeerId, other: PeerId): Said & { pairing: Pairing<string> } {
    const { log, actions } = recorder();
    const pairing = new Pairing(own, actions);
    const dial = pairing.dialling(undefined);
    pairing.shaken(dial, other, "first");
    pairing.welcomed(dial, other, STANDING.none);
    pairing.settled(dial);
    log.length = 0;
    return { log, actions, pairing };
  }

  function decided(
    pairing: Pairing<string>,
    other: PeerId,
    standing: Standing,
    moves: boolean,
  ): void {
    const dial = pairing.dialling(undefined, moves);
    pairing.shaken(dial, other, "second");
    pairing.welcomed(dial, other, standing);
    pairing.settled(dial);
  }

  it("moves only a dial that asked for it, to a listener that has the stream too", () => {
    for (const [standing, moves, expected] of [
      [STANDING.live, true, "move first to second"],
      [STANDING.live, false, "decline second"],
      [STANDING.candidate, true, "decline second"],
      [STANDING.none, true, "confirm second after first, 0"],
      [STANDING.leaving, true, "confirm second after first, 3"],
    ] as const) {
      const { log, pairing } = withLive(SMALL, LARGE);
      decided(pairing, LARGE, standing, moves);
      expect(log).toEqual([expected]);
      expect(pairing.underWay).toBe(0);
    }
  });

  it("moves nothing that became live after the dial began", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    const early = pairing.dialling(undefined, true);
    const dial = pairing.dialling(undefined);
    pairing.shaken(dial, LARGE, "first");
    pairing.welcomed(dial, LARGE, STANDING.none);
    pairing.shaken(early, LARGE, "second");
    pairing.welcomed(early, LARGE, STANDING.live);
    expect(log).toEqual(["confirm first", "decline second"]);
  });

  it("moves one at a time: while it does, it moves nothing else and turns other movers down", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    decided(pairing, LARGE, STANDING.live, true);
    decided(pairing, LARGE, STANDING.live, true);
    pairing.arrived(LARGE, "arrival");
    expect(log).toEqual(["move first to second", "decline second", "welcome arrival 1"]);
    pairing.gone(LARGE, "arrival");
    pairing.moved(LARGE);
    log.length = 0;
    pairing.arrived(LARGE, "arrival");
    pairing.gone(LARGE, "arrival");
    decided(pairing, LARGE, STANDING.live, true);
    expect(log).toEqual(["welcome arrival 2", "move first to second"]);
  });

  it("keeps the peer that moved as the live one, and forgets the move with it", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    decided(pairing, LARGE, STANDING.live, true);
    pairing.gone(LARGE, "second");
    pairing.arrived(LARGE, "arrival");
    pairing.gone(LARGE, "arrival");
    pairing.gone(LARGE, "first");
    pairing.arrived(LARGE, "another");
    expect(log).toEqual(["move first to second", "welcome arrival 1", "welcome another 0"]);
  });

  it("goes by the smaller key when both sides move at once", () => {
    for (const [own, other, expected] of [
      [SMALL, LARGE, "move first to second"],
      [LARGE, SMALL, "decline second"],
    ] as const) {
      const { log, pairing } = withLive(own, other);
      pairing.arrived(other, "arrival");
      decided(pairing, other, STANDING.live, true);
      expect(log).toEqual(["welcome arrival 2", expected]);
    }
  });

  it("declines a second mover that was welcomed before the first one moved", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    pairing.arrived(LARGE, "one");
    pairing.arrived(LARGE, "two");
    pairing.confirmed(LARGE, "one", true);
    pairing.confirmed(LARGE, "two", true);
    expect(log.slice(2)).toEqual(["move first to one", "decline two"]);
    expect(pairing.underWay).toBe(0);
  });

  it("as a listener moves what it has, and admits a mover when it has nothing", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    pairing.arrived(LARGE, "arrival");
    pairing.confirmed(LARGE, "arrival", true);
    pairing.gone(LARGE, "first");
    pairing.arrived(LARGE, "later");
    pairing.confirmed(LARGE, "later", true);
    expect(log).toEqual([
      "welcome arrival 2",
      "move first to arrival",
      "welcome later 0",
      "admit later after undefined",
    ]);
  });

  it("lets no arrival wait for a dial that has not connected, or that named nobody", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    pairing.dialling(LARGE.text);
    pairing.dialling(undefined).connected = true;
    pairing.arrived(LARGE, "arrival");
    expect(log).toEqual(["welcome arrival 0"]);
  });

  it("tells an arrival what it already has with that node", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(LARGE, actions);
    pairing.arrived(SMALL, "a");
    pairing.arrived(SMALL, "b");
    pairing.confirmed(SMALL, "a");
    pairing.arrived(SMALL, "c");
    expect(log).toEqual([
      `welcome a ${STANDING.none}`,
      `welcome b ${STANDING.candidate}`,
      "admit a after undefined",
      `welcome c ${STANDING.live}`,
    ]);
  });

  it("follows a stream that is over on the other side, in the dialer's and in the listener's role", () => {
    for (const standing of [STANDING.none, STANDING.leaving]) {
      const { log, actions } = recorder();
      const pairing = new Pairing(SMALL, actions);
      pairing.arrived(LARGE, "old");
      pairing.confirmed(LARGE, "old");
      const dial = pairing.dialling(LARGE.text);
      pairing.shaken(dial, LARGE, "new");
      pairing.welcomed(dial, LARGE, standing);
      pairing.settled(dial);
      pairing.arrived(LARGE, "newest");
      pairing.confirmed(LARGE, "newest");
      expect(log.slice(2)).toEqual([
        `confirm new after old, ${standing}`,
        `welcome newest ${STANDING.live}`,
        "admit newest after new",
      ]);
    }
  });

  it("declines its own dial when the stream it has is younger, or alive over there", () => {
    for (const standing of [STANDING.candidate, STANDING.live]) {
      const { log, actions } = recorder();
      const pairing = new Pairing(SMALL, actions);
      pairing.arrived(LARGE, "live");
      pairing.confirmed(LARGE, "live");
      const dial = pairing.dialling(undefined);
      pairing.shaken(dial, LARGE, "second");
      pairing.welcomed(dial, LARGE, standing);
      expect(log.at(-1)).toBe("decline second");
    }
    const { log, actions } = recorder();
    const pairing = new Pairing(LARGE, actions);
    const dial = pairing.dialling(undefined);
    pairing.shaken(dial, SMALL, "second");
    pairing.arrived(SMALL, "live");
    pairing.confirmed(SMALL, "live");
    pairing.welcomed(dial, SMALL, STANDING.none);
    expect(log.at(-1)).toBe("decline second");
  });

  it("lets a dial wait for an open arrival only at the larger key", () => {
    for (const [own, other] of [
      [SMALL, LARGE],
      [LARGE, SMALL],
    ] as const) {
      const { log, actions } = recorder();
      const pairing = new Pairing(own, actions);
      pairing.arrived(other, "arrival");
      const dial = pairing.dialling(undefined);
      pairing.shaken(dial, other, "dial");
      pairing.welcomed(dial, other, STANDING.candidate);
      expect(log.slice(1)).toEqual(own === SMALL ? ["confirm dial"] : []);
      pairing.gone(other, "arrival");
      expect(log.slice(1)).toEqual(["confirm dial"]);
    }
  });

  it("forgets a dial that reached another node than it was meant for", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    const third = PeerId.from(new Uint8Array(32).fill(3));
    const dial = pairing.dialling(LARGE.text);
    pairing.shaken(dial, third, "dial");
    pairing.arrived(LARGE, "arrival");
    pairing.settled(dial);
    pairing.settled(dial);
    pairing.gone(LARGE, "arrival");
    pairing.gone(third, "dial");
    expect(log).toEqual(["welcome arrival 0"]);
    expect(pairing.underWay).toBe(0);
  });

  it("ignores a welcome for a dial whose handshake it never saw", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    pairing.welcomed(pairing.dialling(LARGE.text), LARGE, STANDING.none);
    pairing.settled(pairing.dialling(undefined));
    expect(log).toEqual([]);
  });

  it("holds nothing of nodes that left, however many there were", () => {
    const { actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    for (let i = 0; i < 200; i++) {
      const { id } = Identity.generate();
      if (compare(id.bytes, SMALL.bytes) === 0) continue;
      const dial = pairing.dialling(i % 2 === 0 ? id.text : undefined);
      pairing.shaken(dial, id, `dial ${i}`);
      pairing.welcomed(dial, id, STANDING.none);
      pairing.settled(dial);
      pairing.gone(id, `dial ${i}`);
    }
    expect(pairing.underWay).toBe(0);
  });
});
