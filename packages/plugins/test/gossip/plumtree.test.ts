/** The tree: who gets the payload, who the news of it, who is pruned; and a closed world of many nodes. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chance } from "./membership-world.ts";
import { Forest, news, node } from "./tree-world.ts";

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
