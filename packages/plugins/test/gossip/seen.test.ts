import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Mark, Seen } from "../../src/gossip/seen.ts";

const HOUR = 3_600_000;
const NOW = 1_000 * HOUR;
const key = (name: string): string => name.padEnd(32, ".");
const mark = (name: string, seq: number, time: number = NOW, epoch: number = NOW - HOUR): Mark => ({
  originKey: key(name),
  epoch,
  seq,
  time,
});

/** Takes what may be taken; says whether it was. */
function offer(seen: Seen, given: Mark, wallClock: number = NOW): boolean {
  if (seen.judge(given, wallClock) !== "new") return false;
  seen.take(given, wallClock);
  return true;
}

describe("marks", () => {
  it("take each item once, in any order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 200 }), (order) => {
        const seen = new Seen();
        const taken = order.filter((seq) => offer(seen, mark("a", seq)));
        expect(taken.toSorted()).toEqual([...new Set(order)].toSorted());
      }),
    );
  });

  it("take nothing twice with few gaps, few origins, and any times", () => {
    const one = fc.record({
      name: fc.constantFrom(..."abcdefghij"),
      seq: fc.integer({ min: 1, max: 30 }),
      age: fc.oneof(
        fc.integer({ min: -50 * HOUR, max: 50 * HOUR }),
        fc.integer({ min: -90_000, max: 90_000 }),
      ),
      epoch: fc.integer({ min: 1, max: 6 }),
      // Our own clock may be set meanwhile, either way.
      clock: fc.oneof(fc.constant(0), fc.integer({ min: -24 * HOUR, max: 24 * HOUR })),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 300 }), (offers) => {
        const seen = new Seen({ maxGaps: 2, maxOrigins: 4 });
        const times = new Map<string, number>();
        const taken = new Set<string>();
        for (const { name, seq, age, epoch, clock } of offers) {
          const id = `${name} ${epoch} ${seq}`;
          // An item is signed with its time: the same one always comes with the same.
          const time = times.get(id) ?? NOW - age;
          times.set(id, time);
          if (!offer(seen, mark(name, seq, time, epoch), NOW + clock)) continue;
          expect(taken).not.toContain(id);
          taken.add(id);
          expect(seen.size).toBeLessThanOrEqual(4);
        }
      }),
    );
  });

  it("close the oldest gaps when there are too many", () => {
    const seen = new Seen({ maxGaps: 2 });
    for (const seq of [2, 4, 6, 8]) offer(seen, mark("a", seq));
    expect([1, 3, 5, 7].map((seq) => seen.judge(mark("a", seq), NOW))).toEqual([
      "seen",
      "seen",
      "new",
      "new",
    ]);
  });

  it("know the epoch before, and refuse earlier ones", () => {
    const seen = new Seen();
    offer(seen, mark("a", 1, NOW, 10));
    offer(seen, mark("a", 1, NOW, 20));
    expect(seen.epochOf(key("a"))).toBe(20);
    expect(seen.judge(mark("a", 1, NOW, 10), NOW)).toBe("seen");
    expect(seen.judge(mark("a", 2, NOW, 10), NOW)).toBe("new");
    offer(seen, mark("a", 1, NOW, 30));
    expect(seen.judge(mark("a", 2, NOW, 10), NOW)).toBe("old");
    expect(seen.judge(mark("a", 2, NOW, 15), NOW)).toBe("old");
    expect(seen.judge(mark("a", 2, NOW, 20), NOW)).toBe("new");
  });

  it("take an epoch that comes behind the one after it, in place of the one before", () => {
    const seen = new Seen();
    for (const epoch of [30, 10, 20])
      expect(offer(seen, mark("a", 1, NOW, epoch)), `${epoch}`).toBe(true);
    for (const epoch of [30, 20]) expect(offer(seen, mark("a", 1, NOW, epoch))).toBe(false);
    expect(seen.judge(mark("a", 2, NOW, 10), NOW)).toBe("old");
  });

  it("take what was late over a new epoch", () => {
    const seen = new Seen();
    offer(seen, mark("a", 1, NOW, 20));
    expect(offer(seen, mark("a", 7, NOW, 10))).toBe(true);
    expect(offer(seen, mark("a", 7, NOW, 10))).toBe(false);
  });
});

describe("forgetting", () => {
  it("lets the origins go that spoke longest ago, and refuses what they said", () => {
    const seen = new Seen({ maxOrigins: 16 });
    for (let i = 0; i < 17; i++) offer(seen, mark(`o${i}`, 5, NOW + i), NOW + 50);
    expect(seen.size).toBe(16);
    expect(seen.floor).toBe(NOW);
    expect(seen.epochOf(key("o0"))).toBeUndefined();
    expect(seen.judge(mark("o0", 5, NOW), NOW)).toBe("old");
    // It speaks again: that is new, and what lay below its number still is not.
    expect(offer(seen, mark("o0", 6, NOW + 50), NOW + 50)).toBe(true);
    expect(seen.judge(mark("o0", 4, NOW - 1), NOW)).toBe("old");
  });

  it.each([20 * HOUR, 30_000, 0, -HOUR])(
    "does not let made-up origins silence others (%i ms)",
    (skew) => {
      const seen = new Seen({ maxOrigins: 64 });
      let known = 0;
      let unknown = 0;
      for (let i = 0; i < 2_000; i++) {
        offer(seen, mark(`sybil ${i}`, 1, NOW + i + skew), NOW + i);
        if (i % 10 !== 0) continue;
        if (offer(seen, mark("honest", i / 10 + 1, NOW + i), NOW + i)) known++;
        if (offer(seen, mark(`newcomer ${i}`, 1, NOW + i), NOW + i)) unknown++;
      }
      expect([known, unknown]).toEqual([200, 200]);
      expect(seen.floor).toBeLessThan(NOW + 2_000);
    },
  );
});

describe("origins that are made up", () => {
  const sybils = (seen: Seen, count: number, time: number, seqs = 1): void => {
    for (let i = 0; i < count; i++)
      for (let seq = 1; seq <= seqs; seq++) offer(seen, mark(`${time} ${i}`, seq, time));
  };

  it("far ahead lock out nobody whose clock is right, or nearly", () => {
    const seen = new Seen({ maxOrigins: 256 });
    sybils(seen, 300, NOW + 40 * HOUR);
    expect(seen.judge(mark("wrong", 1, NOW + HOUR), NOW)).toBe("early");
    for (const ahead of [5, 1_000, 60_000]) {
      expect(offer(seen, mark(`right ${ahead}`, 1, NOW + ahead))).toBe(true);
    }
    // Who said much already finds room when his clock goes wrong.
    for (let seq = 1; seq <= 4; seq++) offer(seen, mark("known", seq, NOW));
    expect(offer(seen, mark("known", 5, NOW + HOUR))).toBe(true);
  });

  it("that say much before they jump ahead do not raise the floor above the clock", () => {
    const seen = new Seen({ maxOrigins: 256 });
    for (let i = 0; i < 256; i++) {
      for (let seq = 1; seq <= 4; seq++) offer(seen, mark(`s${i}`, seq, NOW - HOUR));
    }
    for (const ahead of [49 * HOUR, 60_000]) {
      for (let i = 0; i < 256; i++) offer(seen, mark(`s${i}`, ahead / 1_000, NOW + ahead));
    }
    sybils(seen, 1_000, NOW + 48 * HOUR, 5);
    sybils(seen, 1_000, NOW + 50_000, 5);
    sybils(seen, 1_000, NOW, 1);
    expect(seen.floor).toBeLessThanOrEqual(NOW);
    expect(offer(seen, mark("honest", 1, NOW + 1), NOW + 1)).toBe(true);
  });

  it("have their price where room is scarce, and who is known has none", () => {
    const seen = new Seen({ maxOrigins: 256 });
    const price = (name: string, time: number): number => seen.price(mark(name, 9, time), NOW);
    expect([price("a", NOW), price("a", NOW + 60_000), price("a", NOW + 60_001)]).toEqual([
      0, 0, 4,
    ]);
    sybils(seen, 64, NOW + 50_000);
    expect([price("a", NOW), price("a", NOW + 1)]).toEqual([0, 1]);
    sybils(seen, 128, NOW);
    expect([price("a", NOW), price(`${NOW} 5`, NOW)]).toEqual([1, 0]);
    expect([price(`${NOW} 5`, NOW + 1), price(`${NOW} 5`, NOW + HOUR)]).toEqual([0, 4]);
  });

  it("make room again when their time is there", () => {
    const seen = new Seen({ maxOrigins: 256 });
    sybils(seen, 300, NOW + 2 * HOUR);
    expect(offer(seen, mark("a", 1, NOW + 4 * HOUR), NOW + HOUR)).toBe(false);
    expect(offer(seen, mark("a", 1, NOW + 4 * HOUR), NOW + 3 * HOUR)).toBe(true);
  });
});

describe("clocks", () => {
  it("may be a day wrong either way", () => {
    const seen = new Seen();
    expect(offer(seen, mark("ahead", 1, NOW + 24 * HOUR))).toBe(true);
    expect(offer(seen, mark("behind", 1, NOW - 24 * HOUR, 1))).toBe(true);
    expect(seen.judge(mark("ahead", 2, NOW + 50 * HOUR), NOW)).toBe("early");
    expect(seen.judge(mark("behind", 2, NOW - 50 * HOUR, 1), NOW)).toBe("old");
  });

  it("that jump back bring nothing back", () => {
    const seen = new Seen({ maxOrigins: 2 });
    for (let i = 0; i < 6; i++) offer(seen, mark(`o${i}`, 1, NOW + i), NOW + 50);
    for (const wallClock of [NOW, NOW - 24 * HOUR, NOW + 24 * HOUR]) {
      for (let i = 0; i < 6; i++) {
        expect(seen.judge(mark(`o${i}`, 1, NOW + i), wallClock)).not.toBe("new");
      }
    }
  });
});

describe("saved marks", () => {
  it("keep a next life from taking what this one took", () => {
    const seen = new Seen();
    for (const seq of [1, 2, 4]) offer(seen, mark("a", seq));
    const next = new Seen({ saved: seen.save() });
    expect([1, 2, 4].map((seq) => next.judge(mark("a", seq), NOW))).toEqual([
      "seen",
      "seen",
      "seen",
    ]);
    expect(next.judge(mark("a", 5), NOW)).toBe("new");
    expect(next.judge(mark("a", 9, NOW, 5), NOW)).toBe("old");
    expect(next.judge(mark("a", 1, NOW, NOW), NOW)).toBe("new");
  });

  it("are refused when they are none", () => {
    for (const saved of [new Uint8Array(3), new Uint8Array(13), new Uint8Array(12).fill(255)])
      expect(() => new Seen({ saved })).toThrow(RangeError);
  });
});
