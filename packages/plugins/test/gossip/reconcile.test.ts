import { provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Entry, Ids, LAST } from "../../src/gossip/ids.ts";
import { decodeRanges, encodeRanges } from "../../src/gossip/messages.ts";
import { binary } from "../../src/gossip/origin.ts";
import {
  answer,
  MAX_IDS,
  MAX_RANGES,
  type Range,
  Reconciliation,
} from "../../src/gossip/reconcile.ts";

function entry(number: number, time: number = number): Entry {
  const bytes = Uint8Array.of(number, number >> 8, number >> 16, number >> 24);
  return { time, id: binary(provider.hash("SHA256", bytes), 0, 16) };
}

function setOf(numbers: Iterable<number>, timeOf?: (number: number) => number): Ids {
  const ids = new Ids();
  for (const number of numbers) ids.add(entry(number, timeOf?.(number)));
  return ids;
}

/** Runs it over the wire's own bytes. */
function reconcile(
  mine: Ids,
  theirs: Ids,
): { have: string[]; need: string[]; bytes: number; rounds: number } {
  const asking = new Reconciliation({ own: mine });
  let bytes = 0;
  for (let ranges = asking.next(); ranges !== undefined; ranges = asking.next()) {
    const asked = encodeRanges(ranges);
    const answered = encodeRanges(answer(theirs, decodeRanges(asked)));
    bytes += asked.length + answered.length;
    asking.take(decodeRanges(answered));
  }
  return {
    have: asking.have.toSorted(),
    need: asking.need.toSorted(),
    bytes,
    rounds: asking.rounds,
  };
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);
const idsOf = (numbers: readonly number[], timeOf?: (number: number) => number): string[] =>
  numbers.map((number) => entry(number, timeOf?.(number)).id).toSorted();

describe("reconciliation", () => {
  it("finds the difference of any two sets, also of one moment", () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 0, max: 3_000 }), { maxLength: 400 });
    fc.assert(
      fc.property(numbers, numbers, fc.integer({ min: 1, max: 3_000 }), (a, b, step) => {
        const timeOf = (number: number): number => Math.floor(number / step);
        const { have, need } = reconcile(setOf(a, timeOf), setOf(b, timeOf));
        expect(have).toEqual(idsOf(a.filter((number) => !b.includes(number))));
        expect(need).toEqual(idsOf(b.filter((number) => !a.includes(number))));
      }),
      { numRuns: 60 },
    );
  });

  it("is over at once between two that have the same", () => {
    const { bytes, rounds } = reconcile(setOf(range(0, 5_000)), setOf(range(0, 5_000)));
    expect(rounds).toBe(1);
    expect(bytes).toBeLessThan(500);
  });

  it("costs at most three times the missing ids after a partition", () => {
    // 2,000 from before, then 1,000 on each side in the same ten minutes.
    const before = range(0, 2_000);
    const [left, right] = [range(2_000, 3_000), range(3_000, 4_000)];
    const timeOf = (number: number): number =>
      number < 2_000 ? number * 300 : 600_000 + (number % 1_000) * 600 + (number < 3_000 ? 0 : 250);
    const mine = setOf([...before, ...left], timeOf);
    const theirs = setOf([...before, ...right], timeOf);
    const { have, need, bytes, rounds } = reconcile(mine, theirs);
    expect(have).toEqual(idsOf(left, timeOf));
    expect(need).toEqual(idsOf(right, timeOf));
    expect(bytes).toBeLessThanOrEqual(3 * 2_000 * 16);
    expect(rounds).toBeLessThanOrEqual(6);
  });

  it("brings a late joiner everything, in bounded messages", () => {
    const { need, rounds, bytes } = reconcile(setOf([]), setOf(range(0, 20_000)));
    expect(need).toEqual(idsOf(range(0, 20_000)));
    expect(rounds).toBeLessThanOrEqual(20);
    expect(bytes).toBeLessThanOrEqual(3 * 20_000 * 16);
    expect(reconcile(setOf(range(0, 20_000)), setOf([])).have).toEqual(idsOf(range(0, 20_000)));
  });

  it("goes with the difference, not with the sets", () => {
    const cost = (size: number, missing: number): number => {
      const all = range(0, size);
      const theirs = all.filter((number) => number % Math.floor(size / missing) !== 7);
      return reconcile(setOf(all), setOf(theirs)).bytes;
    };
    expect(cost(30_000, 20)).toBeLessThan(2 * cost(3_000, 20));
    expect(cost(30_000, 200)).toBeLessThan(14 * cost(30_000, 20));
  });
});

describe("who answers", () => {
  it("says a bounded amount, whatever is asked", () => {
    const own = setOf(range(0, 60_000));
    const greedy: Range[] = range(1, MAX_RANGES + 1).map((part) => ({
      to: { time: part * 58, id: "" },
      content: "list",
    }));
    const said = answer(own, greedy);
    const ids = said.flatMap(({ content }) =>
      typeof content === "object" && "ids" in content ? content.ids : [],
    );
    expect(ids.length).toBeLessThanOrEqual(MAX_IDS + 512);
    expect(said.length).toBeLessThanOrEqual(MAX_RANGES);
  });

  it("refuses ranges that do not ascend", () => {
    const to = { time: 5, id: "" };
    const twice: Range[] = [
      { to, content: "list" },
      { to, content: "list" },
    ];
    expect(() => answer(setOf([1]), twice)).toThrow("ascend");
  });
});

describe("who asks", () => {
  it("gives up on one that answers nothing, or always differs", () => {
    const lies: ((asked: Range[]) => Range[])[] = [
      () => [],
      (asked) => asked.map(({ to }) => ({ to, content: { fingerprint: "?".repeat(16) } })),
    ];
    for (const lie of lies) {
      const asking = new Reconciliation({ own: setOf(range(0, 500)) });
      for (let asked = asking.next(); asked !== undefined; asked = asking.next()) {
        try {
          asking.take(lie(asked));
        } catch {
          break;
        }
      }
      expect(asking.rounds).toBeLessThanOrEqual(24);
    }
  });

  it("refuses answers to what it did not ask", () => {
    const asking = new Reconciliation({ own: setOf([1]) });
    asking.next();
    expect(() => asking.take([{ to: LAST, content: "list" }])).toThrow("asks for a list");
    const other = new Reconciliation({ own: setOf([1]) });
    expect(() => other.take([{ to: LAST, content: { ids: [] } }])).toThrow("not asked");
  });

  it("keeps a bounded number of what it was told", () => {
    const asking = new Reconciliation({ own: new Ids(), maxFound: 10 });
    asking.next();
    asking.take([{ to: LAST, content: { ids: idsOf(range(0, 50)) } }]);
    expect(asking.need).toHaveLength(10);
  });
});
