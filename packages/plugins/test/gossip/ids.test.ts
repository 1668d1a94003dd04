import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Bound, type Entry, FIRST, Ids, isBefore, LAST } from "../../src/gossip/ids.ts";

const idOf = (text: string): string => text.padEnd(16, "\0");
const entry = fc.record({
  time: fc.nat(20),
  id: fc
    .array(fc.constantFrom("a", "b", "\xff"), { minLength: 1, maxLength: 16 })
    .map((parts) => idOf(parts.join(""))),
});
const entries = fc.array(entry, { maxLength: 60 });

function setOf(all: readonly Entry[]): Ids {
  const ids = new Ids();
  for (const each of all) ids.add(each);
  return ids;
}
const listed = (ids: Ids): Entry[] =>
  Array.from({ length: ids.size }, (_, i) => ids.at(i) as Entry);
const key = ({ time, id }: Entry): string => `${time} ${id}`;

describe("ids", () => {
  it("are in order, each once, in whatever order they come and go", () => {
    fc.assert(
      fc.property(entries, entries, (come, go) => {
        const ids = new Ids();
        const there = new Set<string>();
        for (const each of come) {
          expect(ids.add(each)).toBe(!there.has(key(each)));
          there.add(key(each));
        }
        for (const each of [...go, ...come.slice(0, 10)]) {
          expect(ids.delete(each)).toBe(there.delete(key(each)));
        }
        const left = listed(ids);
        expect(left.map(key).toSorted()).toEqual([...there].toSorted());
        for (const [at, each] of left.entries()) {
          if (at > 0) expect(isBefore(left[at - 1] as Entry, each)).toBe(true);
        }
      }),
    );
  });

  it("are found by any bound", () => {
    const ids = setOf([
      { time: 1, id: idOf("a") },
      { time: 1, id: idOf("ab") },
      { time: 2, id: idOf("a") },
    ]);
    const find = (time: number, id: string): number => ids.find({ time, id });
    expect([ids.find(FIRST), ids.find(LAST)]).toEqual([0, 3]);
    expect([find(1, ""), find(1, "ab"), find(1, "b"), find(2, ""), find(3, "")]).toEqual([
      0, 1, 2, 2, 3,
    ]);
    expect(ids.slice(1, 3)).toEqual([idOf("ab"), idOf("a")]);
  });

  it("are parted anywhere by a bound that is no longer than it must be", () => {
    fc.assert(
      fc.property(entries, (all) => {
        const ids = setOf(all);
        for (let at = 0; at < ids.size; at++) {
          const bound: Bound = ids.boundAt(at);
          expect(ids.find(bound)).toBe(at);
          const shorter = { time: bound.time, id: bound.id.slice(0, -1) };
          if (bound.id !== "") expect(ids.find(shorter)).toBeLessThan(at);
        }
      }),
    );
  });

  it("have one fingerprint for one set, and another for every other", () => {
    const [a, b, c] = ["a", "b", "c"].map((text, time) => ({ time, id: idOf(text) })) as [
      Entry,
      Entry,
      Entry,
    ];
    const whole = setOf([a, b, c]);
    expect(setOf([c, a, b]).fingerprint(0, 3)).toBe(whole.fingerprint(0, 3));
    expect(whole.fingerprint(0, 3)).toHaveLength(16);
    const ranges = [
      [0, 0],
      [0, 1],
      [1, 2],
      [0, 2],
      [1, 3],
      [0, 3],
    ] as const;
    const prints = ranges.map(([from, to]) => whole.fingerprint(from, to));
    expect(new Set(prints).size).toBe(ranges.length);
    expect(setOf([b, c]).fingerprint(0, 2)).toBe(prints[4]);
  });
});
