import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  HyParView,
  type HyParViewOptions,
  type MembershipMessage,
} from "../../src/gossip/hyparview.ts";
import { chance, World } from "./membership-world.ts";

interface Said {
  to: string;
  message: MembershipMessage;
}

function node(options: Partial<HyParViewOptions> = {}) {
  const said: Said[] = [];
  const dialled: string[] = [];
  const released: string[] = [];
  const links = new Set<string>();
  const blamed: string[] = [];
  const machine = new HyParView({
    self: "me",
    random: chance(1),
    ...options,
    out: {
      send: (to, message) => said.push({ to, message }),
      dial: (to) => dialled.push(to),
      release: (to) => released.push(to),
      up: (peer) => links.add(peer),
      down: (peer) => links.delete(peer),
      penalise: (peer) => blamed.push(peer),
    },
  });
  const ask = (peer: string, priority: "high" | "low" = "low", now = 0) => {
    machine.receive(peer, { kind: "neighbor", priority }, now);
    return said.at(-1);
  };
  return { machine, said, dialled, released, links, blamed, ask };
}

describe("joining", () => {
  test("a contact takes the newcomer in and tells its neighbours", () => {
    const { machine, said, ask } = node();
    ask("a");
    machine.receive("new", { kind: "join" }, 0);
    expect([...machine.active]).toEqual(["a", "new"]);
    expect(said.slice(-2)).toEqual([
      { to: "new", message: { kind: "neighbor-reply", accepted: true } },
      { to: "a", message: { kind: "forward-join", peer: "new", ttl: 6 } },
    ]);
  });

  test("a full contact lets one go", () => {
    const { machine, said, ask } = node({ active: 2 });
    ask("a");
    ask("b");
    machine.receive("new", { kind: "join" }, 0);
    expect(machine.active.size).toBe(2);
    expect(machine.active.has("new")).toBe(true);
    const farewell = said.find(({ message }) => message.kind === "disconnect");
    expect(machine.passive.has(farewell?.to ?? "")).toBe(true);
  });

  test("the newcomer counts on the contact only once it has answered", () => {
    const { machine, dialled, said } = node();
    machine.join("contact", 0);
    expect(dialled).toEqual(["contact"]);
    machine.connected("contact", 5);
    expect(said).toEqual([{ to: "contact", message: { kind: "join" } }]);
    expect(machine.active.size).toBe(0);
    machine.receive("contact", { kind: "neighbor-reply", accepted: true }, 10);
    expect([...machine.active]).toEqual(["contact"]);
    expect([...machine.chosen]).toEqual(["contact"]);
  });

  test("a walk leaves the name half way and ends at a neighbour", () => {
    const { machine, said, dialled, ask } = node();
    ask("a");
    ask("b");
    machine.receive("a", { kind: "forward-join", peer: "new", ttl: 3 }, 0);
    expect(said.at(-1)).toEqual({
      to: "b",
      message: { kind: "forward-join", peer: "new", ttl: 2 },
    });
    expect(machine.passive.has("new")).toBe(true);
    machine.receive("a", { kind: "forward-join", peer: "newer", ttl: 0 }, 0);
    expect(dialled).toEqual(["newer"]);
    machine.connected("newer", 0);
    expect(said.at(-1)).toEqual({ to: "newer", message: { kind: "neighbor", priority: "low" } });
  });

  test("whoever has nobody left asks its contact again", () => {
    const { machine, dialled, ask } = node();
    machine.join("contact", 0);
    machine.unreachable("contact", 0);
    ask("a");
    machine.shuffle(60_000);
    machine.disconnected("a", 60_001);
    expect(dialled).toEqual(["contact", "contact"]);
  });
});

describe("neighbours", () => {
  test("low priority is refused when there is no room, high is not", () => {
    const { machine, ask } = node({ active: 1 });
    expect(ask("a")?.message).toEqual({ kind: "neighbor-reply", accepted: true });
    expect(ask("b")?.message).toEqual({ kind: "neighbor-reply", accepted: false });
    expect(ask("b", "high")?.message).toEqual({ kind: "neighbor-reply", accepted: true });
    expect([...machine.active]).toEqual(["b"]);
  });

  test("a lost neighbour is replaced by somebody from the passive view", () => {
    const { machine, said, dialled, links, ask } = node();
    ask("a");
    machine.remember(["p"], 0);
    machine.unreachable("p", 0);
    expect(machine.passive.size).toBe(0);
    machine.shuffle(1);
    machine.receive("a", { kind: "shuffle-reply", origin: "me", peers: ["q"] }, 1);
    expect(dialled).toEqual(["p", "q"]);
    machine.disconnected("a", 2);
    machine.connected("q", 3);
    expect(said.at(-1)).toEqual({ to: "q", message: { kind: "neighbor", priority: "high" } });
    machine.receive("q", { kind: "neighbor-reply", accepted: true }, 4);
    expect([...links]).toEqual(["q"]);
  });

  test("who does not answer is given up, and told so when it answers after all", () => {
    const { machine, said, released } = node({ neighborTimeoutMs: 100, dialTimeoutMs: 1000 });
    machine.remember(["p"], 0);
    expect(machine.poll(0)).toBe(1000);
    machine.connected("p", 10);
    expect(machine.poll(10)).toBe(110);
    expect(machine.poll(110)).toBeUndefined();
    expect(released).toEqual(["p"]);
    expect(machine.passive.has("p")).toBe(false);
    machine.receive("p", { kind: "neighbor-reply", accepted: true }, 200);
    expect(machine.active.size).toBe(0);
    expect(said.at(-1)).toEqual({ to: "p", message: { kind: "disconnect", leaving: false } });
  });

  test("a lost neighbour is tried again with every shuffle, for it may be beyond a partition", () => {
    const { machine, said, dialled, ask } = node({ active: 1 });
    ask("a");
    machine.disconnected("a", 0);
    ask("b");
    machine.shuffle(60_000);
    expect(dialled).toEqual(["a"]);
    machine.connected("a", 60_001);
    expect(said.at(-1)).toEqual({ to: "a", message: { kind: "neighbor", priority: "high" } });
    machine.receive("a", { kind: "neighbor-reply", accepted: true }, 60_002);
    expect([...machine.active]).toEqual(["a"]);
    machine.shuffle(120_000);
    expect(dialled).toEqual(["a"]);
  });

  test("a dismissed neighbour is told so, forgotten and replaced", () => {
    const { machine, said, dialled, links, ask } = node({ active: 2 });
    ask("bad");
    ask("good");
    machine.remember(["p"], 0);
    machine.dismiss("bad", 1);
    expect(said.at(-1)).toEqual({ to: "bad", message: { kind: "disconnect", leaving: true } });
    expect([...links]).toEqual(["good"]);
    expect(machine.passive.has("bad")).toBe(false);
    expect(dialled).toEqual(["p"]);
  });

  test("leaving says goodbye, and is not remembered", () => {
    const { machine, said, links, ask } = node();
    ask("a");
    ask("b");
    machine.leave();
    expect(links.size).toBe(0);
    expect(machine.passive.size).toBe(0);
    expect(said.slice(-2).map(({ message }) => message)).toEqual([
      { kind: "disconnect", leaving: true },
      { kind: "disconnect", leaving: true },
    ]);
    const other = node();
    other.ask("gone");
    other.machine.receive("gone", { kind: "disconnect", leaving: true }, 0);
    expect(other.machine.active.size + other.machine.passive.size).toBe(0);
  });
});

describe("shuffles", () => {
  test("travel, come back the way they went, and teach both ends", () => {
    const middle = node();
    middle.ask("a");
    middle.ask("b");
    middle.machine.receive("a", { kind: "shuffle", origin: "o", ttl: 6, peers: ["x"] }, 0);
    expect(middle.said.at(-1)).toEqual({
      to: "b",
      message: { kind: "shuffle", origin: "o", ttl: 5, peers: ["x"] },
    });
    const before = middle.said.length;
    middle.machine.receive("a", { kind: "shuffle-reply", origin: "o", peers: ["evil"] }, 1);
    expect(middle.said.length).toBe(before);
    middle.machine.receive("b", { kind: "shuffle-reply", origin: "o", peers: ["y"] }, 1);
    expect(middle.said.at(-1)).toEqual({
      to: "a",
      message: { kind: "shuffle-reply", origin: "o", peers: ["y"] },
    });
    const end = node();
    end.ask("a");
    end.machine.remember(["known"], 0);
    end.machine.receive("a", { kind: "shuffle", origin: "o", ttl: 1, peers: ["x", "me", "a"] }, 0);
    expect([...end.machine.passive].sort()).toEqual(["known", "o", "x"]);
    expect(end.said.at(-1)?.message).toMatchObject({ kind: "shuffle-reply", origin: "o" });
  });

  test("only neighbours take part; others are told that they are none", () => {
    const { machine, said, dialled } = node();
    machine.receive("stranger", { kind: "shuffle", origin: "o", ttl: 3, peers: ["x"] }, 0);
    machine.receive("stranger", { kind: "forward-join", peer: "victim", ttl: 0 }, 0);
    expect(machine.passive.size).toBe(0);
    expect(dialled).toEqual([]);
    expect(said.map(({ message }) => message.kind)).toEqual(["disconnect", "disconnect"]);
  });
});

describe("who gets in", () => {
  const subnet = (peer: string) => (peer.includes("/") ? peer.split("/")[0] : undefined);

  test("one neighbour of a group, and the first one stays", () => {
    const { machine, ask } = node({ group: subnet });
    ask("net1/a");
    expect(ask("net1/b", "high")?.message).toEqual({ kind: "neighbor-reply", accepted: false });
    ask("net2/a");
    ask("free");
    ask("free too");
    expect([...machine.active]).toEqual(["net1/a", "net2/a", "free", "free too"]);
  });

  test("strangers cannot take the places kept for neighbours this node picked", () => {
    const { machine, ask } = node({ active: 4, chosenAtLeast: 2, displacedPerSecond: 1000 });
    for (const peer of ["p", "q"]) {
      machine.join(peer, 0);
      machine.connected(peer, 0);
      machine.receive(peer, { kind: "neighbor-reply", accepted: true }, 0);
    }
    for (let i = 0; i < 200; i++) ask(`sybil${i}`, i % 2 === 0 ? "high" : "low", i * 1000);
    expect(machine.active.size).toBe(4);
    expect([...machine.chosen].sort()).toEqual(["p", "q"]);
  });

  test("high priority displaces only so often", () => {
    const { machine, links, ask } = node({ displacedPerSecond: 1 });
    for (const peer of ["a", "b", "c", "d", "e"]) ask(peer);
    let displaced = 0;
    for (let i = 0; i < 100; i++) {
      const accepted = ask(`sybil${i}`, "high")?.message;
      if (accepted?.kind === "neighbor-reply" && accepted.accepted) displaced++;
    }
    expect(displaced).toBe(8);
    expect(machine.active.size).toBe(5);
    expect(links.size).toBe(5);
  });
});

describe("hostile peers", () => {
  test("a flood is cut off and blamed on its peer", () => {
    const { machine, said, blamed, ask } = node();
    ask("a");
    ask("b");
    for (let i = 0; i < 1000; i++) {
      machine.receive("a", { kind: "forward-join", peer: `x${i}`, ttl: 6 }, 0);
    }
    expect(said.length).toBeLessThan(70);
    expect(new Set(blamed)).toEqual(new Set(["a"]));
    expect(ask("b")?.message).toEqual({ kind: "neighbor-reply", accepted: true });
  });

  test("at most 16 dials are under way", () => {
    const { machine, dialled, ask } = node({ messagesPerSecond: 1000 });
    ask("a");
    for (let i = 0; i < 1000; i++) {
      machine.receive("a", { kind: "forward-join", peer: `x${i}`, ttl: 0 }, 0);
    }
    expect(dialled.length).toBe(16);
  });

  const name = fc.oneof(
    fc.constantFrom("me", "", "a", "b", "c", "d", "e", "f", "x".repeat(500)),
    fc.string({ maxLength: 3 }),
  );
  const number = fc.oneof(fc.integer({ min: -2, max: 8 }), fc.double(), fc.constant(2 ** 32));
  const message = fc.oneof(
    fc.constant({ kind: "join" }),
    fc.record({ kind: fc.constant("forward-join"), peer: name, ttl: number }),
    fc.record({ kind: fc.constant("neighbor"), priority: fc.constantFrom("high", "low", "?") }),
    fc.record({ kind: fc.constant("neighbor-reply"), accepted: fc.boolean() }),
    fc.record({ kind: fc.constant("disconnect"), leaving: fc.boolean() }),
    fc.record({
      kind: fc.constant("shuffle"),
      origin: name,
      ttl: number,
      peers: fc.array(name, { maxLength: 60 }),
    }),
    fc.record({ kind: fc.constant("shuffle-reply"), origin: name, peers: fc.array(name) }),
    fc.constant({ kind: "nonsense" }),
    fc.constant({ kind: "shuffle", origin: "a", ttl: 3, peers: undefined }),
  ) as unknown as fc.Arbitrary<MembershipMessage>;
  const event = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(fc.constant("receive" as const), name, message) },
    fc.tuple(
      fc.constantFrom("connected", "unreachable", "disconnected", "shuffle", "poll", "join"),
      name,
    ),
  );

  test("nothing they say breaks the views", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), fc.nat(5), (events, chosenAtLeast) => {
        const { machine, links, dialled } = node({ chosenAtLeast, messagesPerSecond: 100_000 });
        let now = 0;
        for (const [what, peer, said] of events) {
          now += 500;
          if (what === "receive" && said !== undefined) machine.receive(peer, said, now);
          else if (what === "connected") machine.connected(peer, now);
          else if (what === "unreachable") machine.unreachable(peer, now);
          else if (what === "disconnected") machine.disconnected(peer, now);
          else if (what === "shuffle") machine.shuffle(now);
          else if (what === "poll") machine.poll(now);
          else machine.join(peer, now);
          expect(machine.active.size).toBeLessThanOrEqual(5);
          expect(machine.passive.size).toBeLessThanOrEqual(30);
          expect(links).toEqual(new Set(machine.active));
          for (const bad of ["me", "", "x".repeat(500)]) {
            expect(machine.active.has(bad) || machine.passive.has(bad)).toBe(false);
          }
          for (const peer of machine.active) expect(machine.passive.has(peer)).toBe(false);
        }
        expect(dialled).not.toContain("me");
      }),
      { numRuns: 300 },
    );
  });
});

describe("a closed world", () => {
  test("is symmetric, bounded and whole once quiet, in whatever order messages arrive", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 40 }), (seed, size) => {
        const world = new World(seed);
        const random = chance(seed + 1);
        for (let i = 0; i < size; i++) {
          const newcomer = world.add(`n${i}`);
          if (i > 0) newcomer.join(`n${random(i)}`, world.now);
          world.now += 500;
          for (let steps = random(40); steps > 0; steps--) world.step();
        }
        world.settle();
        expect(world.check()).toEqual([]);
        // Islands that joining left ask for a way out after 3, 9, 21 … shuffles.
        for (let i = 0; i < 10 || (i < 50 && world.reach() < size); i++) world.cycle();
        expect(world.check()).toEqual([]);
        expect(world.reach()).toBe(size);
      }),
      { numRuns: 60 },
    );
  });

  test("heals after half of it is gone", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const world = new World(seed);
        const random = chance(seed + 1);
        for (let i = 0; i < 40; i++) {
          const newcomer = world.add(`n${i}`);
          if (i > 0) newcomer.join(`n${random(i)}`, world.now);
          world.now += 500;
          world.settle();
        }
        for (let i = 0; i < 4; i++) world.cycle();
        for (let i = 0; i < 40; i += 2) {
          world.kill(`n${i}`);
          for (let steps = random(10); steps > 0; steps--) world.step();
        }
        world.settle();
        expect(world.check()).toEqual([]);
        for (let i = 0; i < 10 || (i < 50 && world.reach() < 20); i++) world.cycle();
        expect(world.check()).toEqual([]);
        expect(world.reach()).toBe(20);
      }),
      { numRuns: 30 },
    );
  });
});

test("sizes that make no sense are refused", () => {
  expect(() => node({ active: 0 })).toThrow(RangeError);
  expect(() => node({ passive: 1.5 })).toThrow(RangeError);
  expect(() => node({ ka: 20, kp: 20 })).toThrow(RangeError);
  expect(() => node({ active: 3, chosenAtLeast: 4 })).toThrow(RangeError);
});
