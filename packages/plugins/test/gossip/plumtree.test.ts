import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Announcement, Plumtree, type PlumtreeOptions } from "../../src/gossip/plumtree.ts";
import { chance } from "./membership-world.ts";

type Said =
  | { what: "push"; to: string; id: string; payload: string; hops: number }
  | { what: "announce"; to: string; entries: readonly Announcement[] }
  | { what: "prune"; to: string }
  | { what: "graft"; to: string; id: string | undefined; hops: number };

function node(options: Partial<PlumtreeOptions<string>> = {}, peers: readonly string[] = []) {
  const said: Said[] = [];
  const delivered: string[] = [];
  const blamed: string[] = [];
  const machine = new Plumtree<string>({
    timer1Ms: 100,
    timer2Ms: 10,
    ...options,
    out: {
      deliver: (id) => delivered.push(id),
      push: (to, id, payload, hops) => said.push({ what: "push", to, id, payload, hops }),
      announce: (to, entries) => said.push({ what: "announce", to, entries }),
      prune: (to) => said.push({ what: "prune", to }),
      graft: (to, id, hops) => said.push({ what: "graft", to, id, hops }),
      penalise: (peer, why) => blamed.push(`${peer}: ${why}`),
    },
  });
  for (const peer of peers) machine.up(peer);
  /** What was said since last asked. */
  const news = () => said.splice(0).map((one) => `${one.what} ${one.to}`);
  return { machine, said, delivered, blamed, news };
}

const news = (id: string, hops = 1): Announcement[] => [{ id, hops }];

describe("the tree", () => {
  test("a new message goes on to eager links and is announced to lazy ones", () => {
    const { machine, said, delivered } = node({}, ["a", "b", "c"]);
    machine.receivePrune("c", 0);
    expect(machine.receivePush("a", "m", "text", 3, 0)).toBe(true);
    expect(delivered).toEqual(["m"]);
    expect(said).toEqual([
      { what: "push", to: "b", id: "m", payload: "text", hops: 4 },
      { what: "announce", to: "c", entries: [{ id: "m", hops: 4 }] },
    ]);
  });

  test("the second to bring a message is pruned, once", () => {
    const { machine, delivered, news } = node({}, ["a", "b"]);
    machine.receivePush("a", "m", "", 1, 0);
    news();
    expect(machine.receivePush("b", "m", "", 1, 0)).toBe(false);
    machine.receivePush("b", "m", "", 1, 10);
    expect(news()).toEqual(["prune b"]);
    expect([...machine.eager]).toEqual(["a"]);
    expect([...machine.lazy]).toEqual(["b"]);
    expect(delivered).toEqual(["m"]);
    machine.receivePush("b", "m", "", 1, 2000);
    expect(news()).toEqual(["prune b"]);
  });

  test("our own message is neither delivered nor taken back", () => {
    const { machine, delivered, news } = node({}, ["a"]);
    expect(machine.broadcast("m", "", 0)).toBe(1);
    expect(machine.broadcast("m", "", 0)).toBe(0);
    expect(machine.receivePush("a", "m", "", 2, 0)).toBe(false);
    expect(delivered).toEqual([]);
    expect(news()).toEqual(["push a", "prune a"]);
  });

  test("announcements are collected when told so", () => {
    const { machine, said, news } = node({ batchMs: 50, limits: { entries: 3 } }, ["a", "b"]);
    machine.receivePrune("b", 0);
    machine.receivePush("a", "m1", "", 1, 0);
    machine.receivePush("a", "m2", "", 1, 20);
    expect(news()).toEqual([]);
    expect(machine.deadline).toBe(50);
    expect(machine.poll(50)).toBeUndefined();
    expect(said.splice(0)).toEqual([
      {
        what: "announce",
        to: "b",
        entries: [
          { id: "m1", hops: 2 },
          { id: "m2", hops: 2 },
        ],
      },
    ]);
    for (const id of ["m3", "m4", "m5"]) machine.receivePush("a", id, "", 1, 60);
    expect(news()).toEqual(["announce b"]);
  });
});

describe("repair", () => {
  test("what is announced and does not come is grafted, one announcer after the other", () => {
    const { machine, said, blamed, delivered } = node({}, ["a", "b", "c"]);
    machine.receivePrune("b", 0);
    machine.receiveAnnounce("b", news("m", 4), 0);
    machine.receiveAnnounce("c", news("m", 5), 1);
    machine.receiveAnnounce("b", news("m", 4), 2);
    expect(machine.poll(99)).toBe(100);
    expect(said).toEqual([]);
    expect(machine.poll(100)).toBe(110);
    expect(machine.eager.has("b")).toBe(true);
    expect(machine.poll(110)).toBe(120);
    expect(said.splice(0)).toEqual([
      { what: "graft", to: "b", id: "m", hops: 4 },
      { what: "graft", to: "c", id: "m", hops: 5 },
    ]);
    expect(blamed).toEqual(["b: promise"]);
    machine.receivePush("c", "m", "", 5, 115);
    expect(delivered).toEqual(["m"]);
    expect(machine.poll(1000)).toBeUndefined();
    expect(machine.missing).toBe(0);
    expect(blamed).toEqual(["b: promise"]);
  });

  test("whoever broke a promise is asked last", () => {
    const { machine, said } = node({}, ["a", "b"]);
    machine.receiveAnnounce("a", news("m1"), 0);
    for (const now of [100, 110]) machine.poll(now);
    said.splice(0);
    machine.receiveAnnounce("a", news("m2"), 200);
    machine.receiveAnnounce("b", news("m2"), 201);
    machine.poll(300);
    expect(said).toEqual([{ what: "graft", to: "b", id: "m2", hops: 1 }]);
  });

  test("when everybody failed the id is forgotten, and may be announced again", () => {
    const { machine } = node({}, ["a"]);
    machine.receiveAnnounce("a", news("m"), 0);
    machine.poll(100);
    expect(machine.poll(110)).toBeUndefined();
    expect(machine.missing).toBe(0);
    machine.receiveAnnounce("a", news("m"), 120);
    expect(machine.missing).toBe(1);
  });

  test("a graft makes the link eager and brings the payload, three times at most", () => {
    const { machine, news } = node({}, ["a", "b"]);
    machine.receivePush("a", "m", "", 1, 0);
    machine.receivePrune("b", 0);
    news();
    machine.receiveGraft("b", undefined, 2, 0);
    expect(machine.eager.has("b")).toBe(true);
    for (let i = 0; i < 10; i++) machine.receiveGraft("b", "m", 2, 0);
    machine.receiveGraft("b", "unknown", 2, 0);
    expect(news()).toEqual(["push b", "push b", "push b"]);
  });

  test("a link that went is not asked", () => {
    const { machine, said, blamed } = node({}, ["a", "b"]);
    machine.receiveAnnounce("a", news("m"), 0);
    machine.receiveAnnounce("b", news("m"), 0);
    machine.down("a");
    machine.poll(100);
    expect(said).toEqual([{ what: "graft", to: "b", id: "m", hops: 1 }]);
    machine.down("b");
    machine.poll(110);
    expect(blamed).toEqual([]);
  });

  test("a much shorter link takes the place of a long one, after the message went on", () => {
    const { machine, said } = node({ optimise: 3 }, ["long", "short", "other"]);
    machine.receivePrune("short", 0);
    machine.receiveAnnounce("short", news("m", 2), 0);
    machine.receivePush("long", "m", "", 5, 10);
    expect(said.map(({ what, to }) => `${what} ${to}`)).toEqual([
      "push other",
      "announce short",
      "graft short",
      "prune long",
    ]);
    expect([...machine.eager].sort()).toEqual(["other", "short"]);
  });
});

describe("two eager links", () => {
  test("the second to bring a message is kept, the third is pruned", () => {
    const { machine, news } = node({ eagerLinks: 2 }, ["a", "b", "c"]);
    machine.receivePush("a", "m", "", 3, 0);
    news();
    machine.receivePush("b", "m", "", 4, 0);
    machine.receivePush("c", "m", "", 4, 0);
    expect(news()).toEqual(["prune c"]);
    machine.receivePush("b", "m2", "", 4, 1);
    machine.receivePush("a", "m2", "", 4, 1);
    expect(news()).toEqual(["push a", "push c"]);
  });

  test("the tree's own link carries up even when the parent prunes it", () => {
    const { machine, news } = node({ eagerLinks: 2 }, ["parent", "b"]);
    machine.receivePush("parent", "m", "", 3, 0);
    machine.receivePrune("parent", 0);
    machine.receivePrune("b", 0);
    news();
    machine.broadcast("ours", "", 0);
    expect(news()).toEqual(["push parent", "announce b"]);
  });

  test("a free place is given to an announcer as near as the parent", () => {
    const { machine, said } = node({ eagerLinks: 2 }, ["a", "near", "far"]);
    machine.receivePush("a", "m", "", 3, 0);
    said.splice(0);
    machine.receiveAnnounce("far", news("m", 5), 1);
    machine.receiveAnnounce("near", news("m", 4), 1);
    machine.receiveAnnounce("near", news("m", 4), 2);
    expect(said).toEqual([{ what: "graft", to: "near", id: undefined, hops: 4 }]);
  });

  test("a link that has long been silent loses its place", () => {
    const { machine, said } = node({ eagerLinks: 2 }, ["a", "b", "c"]);
    machine.receivePush("a", "m", "", 3, 0);
    machine.receivePush("b", "m", "", 3, 0);
    for (let i = 0; i < 17; i++) machine.receivePush("b", `m${i}`, "", 3, i);
    said.splice(0);
    machine.receiveAnnounce("c", news("m16", 3), 20);
    expect(said).toEqual([{ what: "graft", to: "c", id: undefined, hops: 3 }]);
  });
});

describe("hostile peers", () => {
  test("floods of announcements, ids and grafts are cut off", () => {
    const limits = { announcementsPerSecond: 5, idsPerSecond: 50, graftsPerSecond: 5, entries: 40 };
    const { machine, said, blamed } = node({ limits }, ["a", "b", "c"]);
    machine.broadcast("m", "", 0);
    said.splice(0);
    for (let i = 0; i < 100; i++) machine.receiveAnnounce("a", news(`a${i}`), 0);
    expect(machine.missing).toBe(10);
    const many = Array.from({ length: 1000 }, (_, i) => ({ id: `b${i}`, hops: 1 }));
    for (let i = 0; i < 5; i++) machine.receiveAnnounce("b", many, 0);
    expect(machine.missing).toBe(50);
    for (let i = 0; i < 100; i++) machine.receiveGraft("c", "m", 1, 0);
    expect(said.filter(({ what }) => what === "push").length).toBe(3);
    expect(new Set(blamed)).toEqual(new Set(["a: flood", "b: flood", "c: flood"]));
  });

  test("one peer cannot fill what is missing for the others", () => {
    const { machine } = node({ limits: { missing: 100, missingPerPeer: 30 } }, ["a", "b"]);
    for (let i = 0; i < 200; i++) machine.receiveAnnounce("a", news(`a${i}`), 0);
    expect(machine.missing).toBe(30);
    machine.receiveAnnounce("b", news("m"), 0);
    expect(machine.missing).toBe(31);
    for (let now = 0; now < 1000; now += 10) machine.poll(now);
    expect(machine.missing).toBe(0);
    machine.receiveAnnounce("a", news("again"), 1000);
    expect(machine.missing).toBe(1);
  });

  test("pushing on after a prune is blamed", () => {
    const { machine, blamed } = node({ limits: { unwantedPerSecond: 5 } }, ["a", "b"]);
    machine.receivePush("a", "m", "", 1, 0);
    for (let i = 0; i < 30; i++) machine.receivePush("b", "m", "", 1, 0);
    expect(new Set(blamed)).toEqual(new Set(["b: unwanted"]));
  });

  test("a stranger's message is delivered, and changes nothing else", () => {
    const { machine, delivered, news: since } = node({}, ["a"]);
    machine.receivePush("stranger", "m", "", 1, 0);
    machine.receivePush("stranger", "m", "", 1, 0);
    machine.receiveAnnounce("stranger", news("x"), 0);
    machine.receiveGraft("stranger", "m", 1, 0);
    machine.receivePrune("stranger", 0);
    expect(delivered).toEqual(["m"]);
    expect(since()).toEqual(["push a"]);
    expect([...machine.eager, ...machine.lazy]).toEqual(["a"]);
    expect(machine.missing).toBe(0);
  });

  test("what is kept is bounded in number, size and time, and never delivered again", () => {
    const seen = new Set<string>();
    const options: Partial<PlumtreeOptions<string>> = {
      seen: (id) => seen.has(id),
      sizeOf: (payload) => payload.length,
      limits: { messages: 3, bytes: 10, keepMs: 100 },
    };
    const { machine, delivered, news } = node(options, ["a", "b"]);
    const isKept = (id: string) => {
      news();
      machine.receiveGraft("b", id, 1, 1_000_000);
      return news().length === 1;
    };
    for (const id of ["m1", "m2", "m3", "m4"]) {
      machine.receivePush("a", id, "xx", 1, 0);
      seen.add(id);
    }
    expect([isKept("m1"), isKept("m2"), isKept("m4")]).toEqual([false, true, true]);
    expect(machine.receivePush("a", "m1", "xx", 1, 0)).toBe(false);
    machine.receivePush("a", "big", "x".repeat(50), 1, 0);
    seen.add("big");
    expect([isKept("m4"), isKept("big")]).toEqual([false, true]);
    machine.receivePush("a", "late", "x", 1, 101);
    expect([isKept("big"), isKept("late")]).toEqual([false, true]);
    expect(delivered).toEqual(["m1", "m2", "m3", "m4", "big", "late"]);
  });

  const peer = fc.constantFrom("a", "b", "c", "stranger", "");
  const id = fc.oneof(fc.constantFrom("m1", "m2", "m3", "", "x".repeat(300)), fc.string());
  const hops = fc.oneof(fc.nat(300), fc.double(), fc.integer());
  const event = fc.oneof(
    fc.tuple(fc.constant("push" as const), peer, id, hops),
    fc.tuple(fc.constant("announce" as const), peer, fc.array(fc.record({ id, hops })), hops),
    fc.tuple(fc.constant("graft" as const), peer, fc.option(id, { nil: undefined }), hops),
    fc.tuple(fc.constantFrom("prune", "up", "down", "poll", "broadcast"), peer, id, hops),
  );

  test.each([1, 2])("nothing they say breaks the sets with %i eager links", (eagerLinks) => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 150 }), (events) => {
        const { machine, said, delivered } = node({
          eagerLinks,
          optimise: 3,
          limits: { missing: 20, missingPerPeer: 10 },
        });
        const links = new Set<string>();
        let now = 0;
        for (const [what, from, subject, count] of events) {
          now += 7;
          if (what === "push") machine.receivePush(from, subject as string, "", count, now);
          else if (what === "announce")
            machine.receiveAnnounce(from, subject as Announcement[], now);
          else if (what === "graft")
            machine.receiveGraft(from, subject as string | undefined, count, now);
          else if (what === "prune") machine.receivePrune(from, now);
          else if (what === "poll") machine.poll(now);
          else if (what === "broadcast") machine.broadcast(subject as string, "", now);
          else if (what === "up") {
            links.add(from);
            machine.up(from);
          } else {
            links.delete(from);
            machine.down(from);
          }
          expect(new Set([...machine.eager, ...machine.lazy])).toEqual(links);
          expect(machine.eager.size + machine.lazy.size).toBe(links.size);
          expect(machine.missing).toBeLessThanOrEqual(20);
          for (const { to } of said.splice(0)) expect(links).toContain(to);
        }
        expect(new Set(delivered).size).toBe(delivered.length);
        for (let later = now; later < now + 5000; later += 100) machine.poll(later);
        expect(machine.missing).toBe(0);
        expect(machine.deadline).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });
});

/** Nodes on the links of a graph; messages take a random time, in order on each link. */
class Forest {
  readonly nodes: Plumtree<string>[];
  readonly got: string[][];
  readonly links: Set<number>[];
  readonly #parcels: { at: number; to: number; from: number; hand: () => void }[] = [];
  readonly #lastAt = new Map<string, number>();
  readonly #random: (bound: number) => number;
  readonly dead = new Set<number>();
  readonly silent = new Set<number>();
  now = 0;
  pushes = 0;

  constructor(seed: number, size: number, eagerLinks: number) {
    this.#random = chance(seed);
    this.got = Array.from({ length: size }, () => []);
    this.links = Array.from({ length: size }, () => new Set());
    this.nodes = Array.from({ length: size }, (_, self) => {
      const send = (to: string, hand: (peer: Plumtree<string>, from: string) => void) => {
        const target = Number(to);
        const key = `${self}>${to}`;
        const at = Math.max(this.#lastAt.get(key) ?? 0, this.now + 1 + this.#random(10));
        this.#lastAt.set(key, at);
        const deliver = () => {
          const peer = this.nodes[target];
          if (peer !== undefined) hand(peer, String(self));
        };
        this.#parcels.push({ at, to: target, from: self, hand: deliver });
      };
      return new Plumtree<string>({
        timer1Ms: 300,
        timer2Ms: 40,
        eagerLinks,
        out: {
          deliver: (id) => this.got[self]?.push(id),
          push: (to, id, payload, hops) => {
            if (this.silent.has(self)) return;
            this.pushes++;
            send(to, (peer, from) => peer.receivePush(from, id, payload, hops, this.now));
          },
          announce: (to, entries) =>
            send(to, (peer, from) => peer.receiveAnnounce(from, entries, this.now)),
          prune: (to) => send(to, (peer, from) => peer.receivePrune(from, this.now)),
          graft: (to, id, hops) =>
            send(to, (peer, from) => peer.receiveGraft(from, id, hops, this.now)),
        },
      });
    });
    for (let i = 1; i < size; i++) this.link(i, this.#random(i));
    for (let i = 0; i < size; i++) {
      const other = this.#random(size);
      if (other !== i) this.link(i, other);
    }
  }

  link(a: number, b: number): void {
    this.links[a]?.add(b);
    this.links[b]?.add(a);
    this.nodes[a]?.up(String(b));
    this.nodes[b]?.up(String(a));
  }

  /** Its neighbours notice at once. */
  kill(node: number): void {
    this.dead.add(node);
    for (const peer of this.links[node] ?? []) {
      this.links[peer]?.delete(node);
      this.nodes[peer]?.down(String(node));
    }
  }

  broadcast(origin: number, id: string): void {
    this.nodes[origin]?.broadcast(id, "", this.now);
    for (let steps = 0; steps < 100_000; steps++) {
      const isLive = (node: number) => !this.dead.has(node);
      let next: number | undefined;
      this.#parcels.forEach(({ at }, i) => {
        if (next === undefined || at < (this.#parcels[next]?.at ?? 0)) next = i;
      });
      const parcel = next === undefined ? undefined : this.#parcels[next];
      const deadlines = this.nodes.map((machine, node) =>
        isLive(node) ? (machine.deadline ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
      );
      const timer = Math.min(...deadlines);
      if (parcel === undefined && timer === Number.POSITIVE_INFINITY) return;
      if (parcel !== undefined && next !== undefined && parcel.at <= timer) {
        this.#parcels.splice(next, 1);
        this.now = parcel.at;
        if (isLive(parcel.to) && isLive(parcel.from)) parcel.hand();
      } else {
        this.now = timer;
        this.nodes[deadlines.indexOf(timer)]?.poll(timer);
      }
    }
    throw new Error("the forest does not come to rest");
  }

  /** Live nodes that a message of `origin` can reach, through others that do not keep it for themselves. */
  reach(origin: number): number[] {
    const order = [origin];
    for (const node of order) {
      if (this.silent.has(node)) continue;
      for (const peer of this.links[node] ?? []) if (!order.includes(peer)) order.push(peer);
    }
    return order;
  }
}

describe("a closed world", () => {
  test.each([1, 2])(
    "delivers exactly once to whoever is connected, whatever parents are lost, with %i eager links",
    (eagerLinks) => {
      fc.assert(
        fc.property(fc.integer(), fc.integer({ min: 2, max: 25 }), (seed, size) => {
          const forest = new Forest(seed, size, eagerLinks);
          const random = chance(seed + 1);
          for (let round = 0; round < 8; round++) {
            if (round > 2 && random(2) === 0) forest.kill(random(size));
            if (round === 4) for (let i = 0; i < size; i += 5) forest.silent.add(i);
            const able = forest.nodes.flatMap((_, i) =>
              i % 5 === 0 || forest.dead.has(i) ? [] : [i],
            );
            const origin = able[random(Math.max(able.length, 1))];
            if (origin === undefined) return;
            const before = forest.got.map((got) => got.length);
            forest.broadcast(origin, `m${round}`);
            for (const node of forest.reach(origin)) {
              const gained = (forest.got[node]?.length ?? 0) - (before[node] ?? 0);
              expect([node, gained]).toEqual([node, node === origin ? 0 : 1]);
            }
            forest.now += 5000;
          }
          for (const got of forest.got) expect(new Set(got).size).toBe(got.length);
        }),
        { numRuns: 60 },
      );
    },
  );

  test("sends N - 1 copies once the tree stands, and about twice as many with two eager links", () => {
    for (const [eagerLinks, most] of [
      [1, 1.0],
      [2, 2.1],
    ] as const) {
      const forest = new Forest(7, 40, eagerLinks);
      for (let round = 0; round < 20; round++) {
        forest.pushes = 0;
        forest.broadcast(3, `m${round}`);
        forest.now += 5000;
      }
      expect(forest.pushes).toBeGreaterThanOrEqual(39);
      expect(forest.pushes).toBeLessThanOrEqual(39 * most);
    }
  });
});

test("times and counts that make no sense are refused", () => {
  expect(() => node({ timer1Ms: 0 })).toThrow(RangeError);
  expect(() => node({ timer2Ms: Number.NaN })).toThrow(RangeError);
  expect(() => node({ eagerLinks: 0 })).toThrow(RangeError);
  expect(() => node({ limits: { missing: 0 } })).toThrow(RangeError);
});
