import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Lookup, type LookupOptions } from "../../src/kademlia/lookup.ts";
import type { Contact } from "../../src/kademlia/node-id.ts";
import { byDistance, contact, contacts } from "./contacts.ts";

const self: Contact = contact(0);
const target = contact(9_999).nodeId;
const sorted = byDistance(target, contacts(400));

function lookup(
  options: Partial<LookupOptions<Contact>> & { seeds: readonly Contact[] },
): Lookup<Contact> {
  return new Lookup<Contact>({ target, self, confirm: false, ...options });
}

/** Everything that can be asked now. */
function asked(search: Lookup<Contact>): { id: string; path: number }[] {
  const found: { id: string; path: number }[] = [];
  for (let ask = search.next(); ask !== undefined; ask = search.next()) {
    found.push({ id: ask.contact.id, path: ask.path });
  }
  return found;
}

function at(rank: number): Contact {
  return sorted[rank] as Contact;
}

describe("the paths of a lookup", () => {
  it("are dealt the seeds in turn, closest first", () => {
    const search = lookup({ seeds: [at(8), at(2), at(4), at(6), self], d: 3 });
    expect(asked(search)).toEqual([
      { id: at(2).id, path: 0 },
      { id: at(4).id, path: 1 },
      { id: at(6).id, path: 2 },
    ]);
    expect(search.next()).toBeUndefined();
    expect(search.done).toBe(false);
    search.failed(at(2));
    expect(asked(search)).toEqual([{ id: at(8).id, path: 0 }]);
  });

  it("follow what they hear, each on its own", () => {
    const search = lookup({ seeds: [at(100), at(101)], d: 2 });
    asked(search);
    search.answered(at(100), [at(50), at(60)], false);
    expect(asked(search)).toEqual([{ id: at(50).id, path: 0 }]);
    search.answered(at(101), [at(50), at(60)], false);
    expect(asked(search)).toEqual([{ id: at(60).id, path: 1 }]);
  });

  it("keep their seeds, whoever else hears of them first", () => {
    const search = lookup({ seeds: [at(1), at(2), at(3), at(4)], d: 2 });
    asked(search);
    search.answered(at(1), [at(4), at(5)], false);
    expect(asked(search)).toEqual([{ id: at(3).id, path: 0 }]);
    search.answered(at(3), [at(4), at(5)], false);
    expect(asked(search)).toEqual([{ id: at(5).id, path: 0 }]);
    search.answered(at(2), [], false);
    expect(asked(search)).toEqual([{ id: at(4).id, path: 1 }]);
  });

  it("take over what an ended path leaves", () => {
    const search = lookup({ seeds: [at(1), at(2), at(3), at(4)], d: 2 });
    asked(search);
    search.answered(at(2), [], true);
    search.answered(at(1), [at(4)], false);
    search.failed(at(3));
    expect(asked(search)).toEqual([{ id: at(3).id, path: 0 }]);
    search.failed(at(3));
    expect(asked(search)).toEqual([{ id: at(4).id, path: 0 }]);
  });

  it("waste no place of their list on whom another path asks", () => {
    const search = lookup({ seeds: [at(10), at(11)], d: 2, k: 2 });
    asked(search);
    search.answered(at(10), [at(1), at(2)], false);
    expect(asked(search)).toEqual([{ id: at(1).id, path: 0 }]);
    search.answered(at(11), [at(1), at(20)], false);
    expect(asked(search)).toEqual([{ id: at(20).id, path: 1 }]);
  });

  it("never lead to oneself", () => {
    const search = new Lookup<Contact>({ target: self.nodeId, self, seeds: [at(0)], d: 1 });
    asked(search);
    search.answered(at(0), [self, { ...at(1), id: self.id }, at(2)], false);
    expect(asked(search)).toEqual([{ id: at(2).id, path: 0 }]);
  });

  it("end with a node that holds the target among its siblings", () => {
    const search = lookup({ seeds: [at(100), at(101)], d: 2 });
    asked(search);
    search.answered(at(100), [at(1), at(2)], true);
    expect(asked(search)).toEqual([]);
    expect(search.done).toBe(false);
    search.answered(at(101), [at(3)], false);
    expect(asked(search)).toEqual([{ id: at(3).id, path: 1 }]);
    search.answered(at(3), [], true);
    expect(search.done).toBe(true);
    expect(search.result()).toEqual([at(3), at(100), at(101)]);
  });

  it("end when the k closest they heard of are asked", () => {
    const search = lookup({ seeds: [at(5), at(6), at(7), at(8)], d: 1, k: 3 });
    const order: string[] = [];
    for (let ask = search.next(); ask !== undefined; ask = search.next()) {
      order.push(ask.contact.id);
      search.answered(ask.contact, [at(300)], false);
    }
    expect(order).toEqual([at(5).id, at(6).id, at(7).id]);
    expect(search.done).toBe(true);
  });

  it("ask alpha nodes at once, and go on beside a slow one", () => {
    const search = lookup({ seeds: sorted.slice(0, 5), d: 1, alpha: 2 });
    expect(asked(search).map(({ id }) => id)).toEqual([at(0).id, at(1).id]);
    search.slow(at(0));
    search.slow(at(0));
    expect(asked(search).map(({ id }) => id)).toEqual([at(2).id]);
    search.failed(at(1));
    search.failed(at(2));
    expect(asked(search).map(({ id }) => id)).toEqual([at(3).id, at(4).id]);
    search.failed(at(3));
    search.failed(at(4));
    expect(asked(search)).toEqual([]);
    expect(search.done).toBe(false);
    search.answered(at(0), [at(7)], false);
    expect(asked(search).map(({ id }) => id)).toEqual([at(7).id]);
    search.failed(at(7));
    expect(search.done).toBe(true);
    expect(search.result()).toEqual([at(0)]);
  });

  it("can be abandoned", () => {
    const search = lookup({ seeds: sorted.slice(0, 4), d: 2 });
    asked(search);
    search.abandon(0);
    search.failed(at(0));
    expect(asked(search)).toEqual([]);
    search.failed(at(1));
    expect(asked(search)).toEqual([{ id: at(3).id, path: 1 }]);
  });

  it("are over at once without seeds", () => {
    const search = lookup({ seeds: [self], confirm: true });
    expect(search.next()).toBeUndefined();
    expect(search.done).toBe(true);
    expect(search.result()).toEqual([]);
  });
});

describe("the confirmation", () => {
  it("asks what was found until the s closest have answered", () => {
    const search = lookup({ seeds: [at(100), at(101)], d: 2, s: 3, confirm: true });
    asked(search);
    search.answered(at(100), sorted.slice(0, 4), true);
    search.answered(at(101), sorted.slice(0, 4), true);
    const ids = new Set<string>();
    for (let ask = search.next(); ask !== undefined; ask = search.next()) {
      expect(ask.path).toBe(2);
      ids.add(ask.contact.id);
      if (ask.contact === at(1)) search.failed(at(1));
      else search.answered(ask.contact, [], true);
    }
    expect(search.done).toBe(true);
    expect([...ids].sort()).toEqual([at(0).id, at(1).id, at(2).id].sort());
    expect(search.result()).toEqual([at(0), at(2), at(100)]);
  });

  it("is not crowded out by one path that invents", () => {
    const invented = byDistance(target, contacts(2_000, 50_000)).slice(0, 60);
    const search = lookup({ seeds: [at(100), at(101)], d: 2, s: 4, confirm: true });
    asked(search);
    search.answered(at(100), invented, true);
    search.answered(at(101), sorted.slice(0, 4), true);
    let count = 0;
    for (let ask = search.next(); ask !== undefined; ask = search.next()) {
      count++;
      if (sorted.includes(ask.contact)) search.answered(ask.contact, [], true);
      else search.failed(ask.contact);
    }
    expect(search.done).toBe(true);
    expect(count).toBeLessThanOrEqual(16);
    expect(search.result()).toEqual(sorted.slice(0, 4));
  });
});

describe("the confirmation among liars", () => {
  it("gives each path its turn, and ends", () => {
    const invented = byDistance(target, contacts(2_000, 50_000));
    const seeds = sorted.slice(100, 106);
    const search = lookup({ seeds, d: 6, s: 4, confirm: true });
    expect(asked(search).length).toBe(6);
    seeds.slice(0, 5).forEach((liar, path) => {
      search.answered(liar, invented.slice(4 * path, 4 * path + 4), true);
    });
    search.answered(at(105), sorted.slice(0, 4), true);
    let count = 0;
    for (let ask = search.next(); ask !== undefined; ask = search.next()) {
      count++;
      if (sorted.includes(ask.contact)) search.answered(ask.contact, [], true);
      else search.failed(ask.contact);
    }
    expect(search.done).toBe(true);
    expect(count).toBe(16);
    expect(search.result().slice(0, 2)).toEqual(sorted.slice(0, 2));
  });
});

describe("a lookup", () => {
  const POOL = sorted.slice(0, 120);
  const shape = fc.record({
    d: fc.integer({ min: 1, max: 5 }),
    k: fc.integer({ min: 1, max: 6 }),
    s: fc.integer({ min: 1, max: 6 }),
    alpha: fc.integer({ min: 1, max: 3 }),
    perPath: fc.integer({ min: 1, max: 10 }),
    confirm: fc.boolean(),
  });
  /** What comes of the next open query: which one, what happens, what it says. */
  const event = fc.record({
    which: fc.nat(),
    what: fc.constantFrom("answer", "answer", "terminal", "fail", "slow", "stranger"),
    contacts: fc.array(fc.nat({ max: POOL.length }), { maxLength: 30 }),
  });

  it("asks nobody twice, ends, and has only who answered in its result, whatever it is told", () => {
    fc.assert(
      fc.property(
        shape,
        fc.array(fc.nat({ max: POOL.length - 1 }), { maxLength: 40 }),
        fc.infiniteStream(event),
        (options, seeds, events) => {
          const { d, s, alpha, perPath, confirm } = options;
          const search = lookup({ ...options, seeds: seeds.map((seed) => POOL[seed] as Contact) });
          const open: { contact: Contact; slow: boolean; path: number }[] = [];
          const perAsked = new Map<number, number>();
          const all = new Set<string>();
          const answered = new Set<Contact>();
          for (let turn = 0; ; turn++) {
            expect(turn).toBeLessThan(3 * (d * perPath + 4 * s) + 500);
            for (let ask = search.next(); ask !== undefined; ask = search.next()) {
              const { contact: one, path } = ask;
              expect(all.has(one.id) || one.id === self.id).toBe(false);
              all.add(one.id);
              perAsked.set(path, (perAsked.get(path) ?? 0) + 1);
              open.push({ contact: one, slow: false, path });
              const flying = open.filter((query) => query.path === path && !query.slow);
              const early = confirm ? 2 * s : 0;
              const limit = path === d ? Math.max(d * alpha, s) : alpha + early;
              expect(flying.length).toBeLessThanOrEqual(limit);
              expect(path < d || confirm).toBe(true);
            }
            if (search.done) break;
            expect(open.length).toBeGreaterThan(0);
            const {
              which,
              what,
              contacts: said,
            } = events.next().value as {
              which: number;
              what: string;
              contacts: number[];
            };
            const query = open[which % open.length] as (typeof open)[number];
            const { contact: one } = query;
            const told = said.map((index) => POOL[index] ?? self);
            if (what === "stranger") {
              search.answered(contact(77_777), POOL, true);
              search.failed(contact(77_778));
              for (const before of answered) search.answered(before, POOL, false);
            } else if (what === "slow") {
              query.slow = true;
              search.slow(one);
            } else {
              open.splice(open.indexOf(query), 1);
              if (what === "fail") {
                search.failed(one);
                search.answered(one, POOL, true);
              } else {
                answered.add(one);
                search.answered(one, told, what === "terminal");
              }
            }
          }
          expect(search.next()).toBeUndefined();
          for (const [path, count] of perAsked) {
            expect(count).toBeLessThanOrEqual(path === d ? 4 * s : perPath);
          }
          expect(search.asked).toBe(all.size);
          expect(search.result()).toEqual(byDistance(target, [...answered]).slice(0, s));
        },
      ),
      { numRuns: 200 },
    );
  });

  it("hears at most max(k, s) contacts of one answer", () => {
    const search = lookup({ seeds: [at(200)], d: 1, k: 4, s: 2 });
    asked(search);
    search.answered(at(200), [...sorted.slice(10, 14), at(0)], false);
    expect(asked(search)).toEqual([{ id: at(10).id, path: 0 }]);
  });

  it("does not follow liars without end", () => {
    // Everybody asked names sixteen nodes that nobody has heard of, each closer than all before.
    const ladder = byDistance(target, contacts(20_000, 100_000));
    let rung = ladder.length;
    const search = lookup({ seeds: sorted.slice(300, 316), confirm: true });
    for (let ask = search.next(); ask !== undefined; ask = search.next()) {
      rung = Math.max(rung - 16, 16);
      search.answered(ask.contact, ladder.slice(rung - 16, rung), false);
    }
    expect(search.done).toBe(true);
    expect(search.asked).toBeLessThanOrEqual(8 * 32 + 4 * 16);
    expect(search.asked).toBeGreaterThanOrEqual(8 * 32);
  });

  it("finds the true siblings in an honest network over any number of paths", () => {
    const nodes = sorted;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.nat({ max: 380 }),
        (d, wanted, first) => {
          const best = byDistance(wanted, nodes);
          const search = new Lookup<Contact>({
            target: wanted,
            self,
            seeds: best.slice(first, first + 16),
            d,
          });
          for (let ask = search.next(); ask !== undefined; ask = search.next()) {
            // It knows the 40 around itself, and of the others the first of every tenth.
            const own = byDistance(ask.contact.nodeId, nodes).slice(0, 40);
            const far = nodes.filter((_, i) => i % 10 === 0);
            const known = byDistance(wanted, [...new Set([...own, ...far])]);
            const terminal = best.indexOf(ask.contact) < 16;
            search.answered(ask.contact, known.slice(0, 16), terminal);
          }
          expect(search.done).toBe(true);
          expect(search.result()).toEqual(best.slice(0, 16));
        },
      ),
      { numRuns: 20 },
    );
  });
});
