import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Contact, commonPrefix, nodeIdIn } from "../../src/kademlia/node-id.ts";
import { RoutingTable } from "../../src/kademlia/table.ts";
import { byDistance, contact, contacts, nodeId } from "./contacts.ts";

const self: Contact = contact(0);
const ANSWERED = { answered: true };
const SIGNED = { answered: false };

/** Contacts whose ids share exactly `prefix` bits with ours. */
function inBucket(prefix: number, count: number, subnet?: string): Contact[] {
  return Array.from({ length: count }, (_, i) => {
    let draw = i;
    const id = nodeIdIn(self.nodeId, prefix, (bound) => {
      draw = (draw * 31 + 7) % 251;
      return draw % bound;
    });
    const named = { id: `b${prefix}-${i}`, nodeId: id };
    return subnet === undefined ? named : { ...named, subnets: [subnet] };
  });
}

/** Far from having siblings among its members: only the buckets count. */
function buckets(k: number): RoutingTable<Contact> {
  const table = new RoutingTable<Contact>({ self, k, s: 1, eta: 1, freshMs: 10 });
  for (const near of inBucket(100, 1)) table.insert(near, ANSWERED, 0);
  return table;
}

describe("a bucket", () => {
  it("keeps those it has, and asks for one check at a time of the least recently seen", () => {
    const table = buckets(2);
    const [a, b, c, d] = inBucket(3, 4) as [Contact, Contact, Contact, Contact];
    expect(table.insert(a, ANSWERED, 0)).toEqual({ added: true });
    expect(table.insert(b, ANSWERED, 1)).toEqual({ added: true });
    expect(table.insert(c, ANSWERED, 5)).toEqual({ added: false });
    table.answered(a.id, 6);
    expect(table.insert(c, ANSWERED, 20)).toEqual({ added: false, check: b });
    expect(table.insert(d, ANSWERED, 21)).toEqual({ added: false });
    expect(table.failed(b.id, 22)).toBe(true);
    expect([a, b, c, d].map(({ id }) => table.get(id))).toEqual([a, undefined, undefined, d]);
  });

  it("remembers that one has answered before its place was free", () => {
    const table = buckets(1);
    const [a, b] = inBucket(3, 2) as [Contact, Contact];
    table.insert(a, ANSWERED, 0);
    table.insert(b, ANSWERED, 1);
    table.insert(b, SIGNED, 2);
    table.failed(a.id, 3);
    expect(table.closest(b.nodeId, 1)).toEqual([b]);
  });

  it("asks again for a check that was never reported", () => {
    const table = buckets(1);
    const [a, b] = inBucket(3, 2) as [Contact, Contact];
    table.insert(a, ANSWERED, 0);
    expect(table.insert(b, ANSWERED, 10).check).toBe(a);
    expect(table.insert(b, ANSWERED, 19).check).toBeUndefined();
    expect(table.insert(b, ANSWERED, 20).check).toBe(a);
    table.answered(a.id, 21);
    expect(table.insert(b, ANSWERED, 30).check).toBeUndefined();
    expect(table.insert(b, ANSWERED, 31).check).toBe(a);
  });

  it("is never moved by strangers who only came by", () => {
    const table = buckets(1);
    const [a, b, c] = inBucket(3, 3) as [Contact, Contact, Contact];
    table.insert(a, ANSWERED, 0);
    table.insert(b, ANSWERED, 1);
    expect(table.insert(c, SIGNED, 1_000)).toEqual({ added: false });
    table.failed(a.id, 1_001);
    expect(table.get(b.id)).toBe(b);
  });

  it("keeps a member that fails while nobody waits, but hands it out no more", () => {
    const table = new RoutingTable<Contact>({ self, maxFailures: 2 });
    const [a] = inBucket(3, 1) as [Contact];
    table.insert(a, ANSWERED, 0);
    expect(table.failed(a.id, 1)).toBe(false);
    expect(table.closest(a.nodeId, 1)).toEqual([]);
    expect(table.siblings()).toEqual([]);
    table.answered(a.id, 2);
    expect(table.closest(a.nodeId, 1)).toEqual([a]);
    expect(table.siblings()).toEqual([a]);
    expect(table.failed(a.id, 3)).toBe(false);
    expect(table.failed(a.id, 4)).toBe(true);
    expect(table.size).toBe(0);
  });

  it("hands out nobody who has not answered", () => {
    const table = new RoutingTable<Contact>({ self });
    const [a] = inBucket(3, 1) as [Contact];
    expect(table.insert(a, SIGNED, 0)).toEqual({ added: true });
    expect(table.closest(a.nodeId, 1)).toEqual([]);
    expect(table.due(0, 1_000, 5)).toEqual([a]);
    table.answered(a.id, 1);
    expect(table.closest(a.nodeId, 1)).toEqual([a]);
    expect(table.due(2, 1_000, 5)).toEqual([]);
    expect(table.due(1_001, 1_000, 5)).toEqual([a]);
  });
});

describe("who only signed something", () => {
  it("enters only at a distance of more than chi bits", () => {
    const table = new RoutingTable<Contact>({ self, chi: 250 });
    const [far] = inBucket(5, 1) as [Contact];
    const [near] = inBucket(6, 1) as [Contact];
    expect(table.insert(far, SIGNED, 0).added).toBe(true);
    expect(table.insert(near, SIGNED, 0).added).toBe(false);
    expect(table.due(0, 1, 5)).toEqual([far, near]);
    expect(table.answered(near.id, 1)).toEqual({ added: true });
    expect(table.siblings()).toEqual([near]);
  });

  it("does not enter where our siblings are", () => {
    const table = new RoutingTable<Contact>({ self, s: 2, eta: 1 });
    for (const near of inBucket(20, 2)) table.insert(near, ANSWERED, 0);
    const [above] = inBucket(19, 1) as [Contact];
    const [among] = inBucket(21, 1) as [Contact];
    expect(table.insert(above, SIGNED, 0).added).toBe(true);
    expect(table.insert(among, SIGNED, 0).added).toBe(false);
    expect(table.insert(among, ANSWERED, 0).added).toBe(true);
  });
});

describe("siblings", () => {
  it("cover what lies within the s-th, or what is known by a node that knows few", () => {
    const table = new RoutingTable<Contact>({ self, s: 2, eta: 3 });
    const [near, far] = [...inBucket(20, 1), ...inBucket(10, 1)] as [Contact, Contact];
    const [within] = inBucket(15, 1) as [Contact];
    expect(table.isSibling(self.nodeId)).toBe(true);
    table.insert(near, ANSWERED, 0);
    expect(table.isSibling(near.nodeId)).toBe(true);
    expect(table.isSibling(within.nodeId)).toBe(false);
    table.insert(far, ANSWERED, 0);
    expect(table.isSibling(within.nodeId)).toBe(true);
    expect(table.isSibling(inBucket(9, 1)[0]?.nodeId ?? nodeId())).toBe(false);
  });

  it("come back from the waiting when a nearer one fails", () => {
    const table = new RoutingTable<Contact>({ self, k: 1, s: 2, eta: 1 });
    const four = byDistance(self.nodeId, inBucket(8, 4));
    for (const one of [...four].reverse()) table.insert(one, ANSWERED, 0);
    expect(table.siblings()).toEqual(four.slice(0, 2));
    const [first, , third] = four as [Contact, Contact, Contact];
    expect(table.get(third.id)).toBeUndefined();
    table.failed(first.id, 1);
    expect(table.siblings()).toEqual(four.slice(1, 3));
  });
});

describe("subnets", () => {
  it("hold two of a bucket and ten of a table, whatever a record says later", () => {
    const table = new RoutingTable<Contact>({ self });
    for (let prefix = 0; prefix < 8; prefix++) {
      for (const one of inBucket(prefix, 4, "4:8.8.8")) table.insert(one, ANSWERED, 0);
    }
    expect(table.size).toBe(10);
    const [honest] = inBucket(0, 5).slice(4) as [Contact];
    table.insert(honest, ANSWERED, 0);
    table.insert({ ...honest, subnets: ["4:8.8.8"] }, ANSWERED, 0);
    expect(table.get(honest.id)).toBe(honest);
    const moved = { ...honest, subnets: ["4:9.9.9"] };
    table.insert(moved, ANSWERED, 0);
    expect(table.get(honest.id)).toBe(moved);
    expect(table.siblings(11).includes(moved)).toBe(true);
  });

  it("let nobody in from the waiting who has no room by now", () => {
    const table = new RoutingTable<Contact>({ self, k: 1, s: 1, eta: 1, perTableSubnet: 1 });
    const [member, waiting] = inBucket(3, 2) as [Contact, Contact];
    const [other] = inBucket(4, 1, "4:8.8.8") as [Contact];
    table.insert(inBucket(100, 1)[0] as Contact, ANSWERED, 0);
    table.insert(member, ANSWERED, 0);
    table.insert({ ...waiting, subnets: ["4:8.8.8"] }, ANSWERED, 0);
    table.insert(other, ANSWERED, 0);
    table.failed(member.id, 1);
    expect(table.get(waiting.id)).toBeUndefined();
    table.delete(other.id);
    table.insert({ ...waiting, subnets: ["4:8.8.8"] }, SIGNED, 2);
    expect(table.closest(waiting.nodeId, 1)[0]?.id).toBe(waiting.id);
  });
});

describe("refreshing", () => {
  it("is for the buckets without a lookup, down to the deepest in use", () => {
    const table = new RoutingTable<Contact>({ self });
    expect(table.stale(0, 10)).toEqual([]);
    const [deep] = inBucket(3, 1) as [Contact];
    table.insert(deep, ANSWERED, 0);
    expect(table.stale(0, 10)).toEqual([0, 1, 2, 3]);
    table.looked(deep.nodeId, 5);
    table.looked(inBucket(1, 1)[0]?.nodeId ?? self.nodeId, 8);
    table.looked(self.nodeId, 8);
    expect(table.stale(15, 10)).toEqual([0, 2, 3]);
  });
});

describe("a table", () => {
  const POOL = contacts(80).map((one, i) => (i % 3 === 0 ? { ...one, subnets: ["4:1.1.1"] } : one));
  const options = {
    self,
    k: 2,
    s: 2,
    eta: 4,
    freshMs: 20,
    maxFailures: 2,
    perBucketSubnet: 1,
    perTableSubnet: 3,
  };
  const step = fc.record({
    what: fc.constantFrom("insert", "insert", "insert", "signed", "answered", "failed", "delete"),
    who: fc.nat({ max: POOL.length - 1 }),
    after: fc.nat({ max: 10 }),
  });

  it("keeps its rules whatever happens to it", { timeout: 30_000 }, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const table = new RoutingTable<Contact>(options);
        const healthy = new Set<string>();
        const heard = new Set<string>();
        let now = 0;
        for (const { what, who, after } of steps) {
          now += after;
          const one = POOL[who] as Contact;
          const before = [...table.values()].map((held) => held.contact);
          const siblings = table.siblings(8);
          if (what === "insert" || what === "signed") {
            const answered = what === "insert";
            heard.add(one.id);
            if (answered) healthy.add(one.id);
            const wanted = table.wants(one);
            const { added, check } = table.insert(one, { answered }, now);
            expect(added).toBe(!before.includes(one) && table.get(one.id) === one);
            if (answered) expect(added).toBe(wanted);
            if (check !== undefined) {
              expect(prefixOf(check)).toBe(prefixOf(one));
              expect(answered && !added && table.get(check.id) === check).toBe(true);
            }
          } else if (what === "answered") {
            table.answered(one.id, now);
            // Whom the table never heard of, it does not learn by a word; one that waits, it remembers.
            if (heard.has(one.id)) healthy.add(one.id);
            else expect(table.get(one.id)).toBeUndefined();
          } else {
            healthy.delete(one.id);
            if (what === "delete") heard.delete(one.id);
            if (what === "failed") table.failed(one.id, now);
            else table.delete(one.id);
          }
          checkRules(table, healthy);
          for (const gone of before.filter(({ id }) => table.get(id) === undefined)) {
            if (gone === one && (what === "failed" || what === "delete")) continue;
            // Else only a sibling without a place in its bucket can have gone: eight are closer now.
            expect(siblings).toContain(gone);
            expect(byDistance(self.nodeId, [...table.siblings(8), gone])[8]).toBe(gone);
            expect(populationOf(table, prefixOf(gone))).toBeGreaterThanOrEqual(options.k);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  function prefixOf(one: Contact): number {
    return commonPrefix(self.nodeId, one.nodeId);
  }

  function populationOf(table: RoutingTable<Contact>, prefix: number): number {
    return [...table.values()].filter((held) => prefixOf(held.contact) === prefix).length;
  }

  function checkRules(table: RoutingTable<Contact>, healthy: ReadonlySet<string>): void {
    const held = [...table.values()];
    expect(table.size).toBe(held.length);
    const shown = held.filter((one) => one.checked).map((one) => one.contact);
    expect(shown.every((one) => healthy.has(one.id))).toBe(true);
    const siblings = table.siblings(8);
    expect(siblings).toEqual(byDistance(self.nodeId, shown).slice(0, 8));
    for (const target of [self, POOL[3], POOL[50], contact(1_000)] as Contact[]) {
      const sorted = byDistance(target.nodeId, shown);
      expect(table.closest(target.nodeId, 5)).toEqual(sorted.slice(0, 5));
      const odd = (one: Contact): boolean => one.id.endsWith("1");
      expect(table.closest(target.nodeId, 2, odd)).toEqual(sorted.filter(odd).slice(0, 2));
    }
    const perBucket = new Map<number, Contact[]>();
    for (const { contact: one } of held) {
      perBucket.set(prefixOf(one), [...(perBucket.get(prefixOf(one)) ?? []), one]);
    }
    for (const members of perBucket.values()) {
      expect(members.filter((one) => !siblings.includes(one)).length).toBeLessThanOrEqual(
        options.k,
      );
      expect(members.filter((one) => one.subnets !== undefined).length).toBeLessThanOrEqual(1);
    }
    expect(held.filter((one) => one.contact.subnets !== undefined).length).toBeLessThanOrEqual(3);
  }
});
