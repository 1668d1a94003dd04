import fc from "fast-check";
import { expect, test } from "vitest";
import { Random } from "../src/random.ts";

const draw = (seed: number | string): number[] => {
  const random = new Random(seed);
  return Array.from({ length: 8 }, () => random.u32());
};

test("the same seed gives the same numbers, here and everywhere", () => {
  expect(draw(1)).toEqual(draw(1));
  expect(draw("a")).toEqual(draw("a"));
  expect(new Set([draw(1), draw(2), draw("a"), draw("b")].map(String)).size).toBe(4);
});

test("below stays below, and reaches everything", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, bound) => {
      const value = new Random(seed).below(bound);
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(bound);
    }),
  );
  const random = new Random(1);
  const counts = [0, 0, 0, 0, 0];
  for (let i = 0; i < 10_000; i++) {
    const drawn = random.below(5);
    counts[drawn] = (counts[drawn] ?? 0) + 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(1_800);
  for (const bound of [0, -1, 1.5, 2 ** 32 + 1]) {
    expect(() => random.below(bound)).toThrow(RangeError);
  }
});

test("samples are distinct, and a shuffle loses nothing", () => {
  const items = Array.from({ length: 20 }, (_, at) => at);
  const random = new Random(3);
  expect(new Set(random.sample(items, 7)).size).toBe(7);
  expect(random.sample(items, 100)).toHaveLength(20);
  expect(random.sample(items, -1)).toEqual([]);
  expect(random.shuffle(items).toSorted((a, b) => a - b)).toEqual(items);
  expect(items).toContain(random.pick(items));
});

test("what a fork draws does not move the other's numbers", () => {
  const [one, other] = [new Random(5), new Random(5)];
  const forks = [one.fork("x"), other.fork("x")];
  forks[0]?.bytes(1_000);
  expect(one.u32()).toBe(other.u32());
  expect(one.next()).toBeLessThan(1);
  expect(other.fork("x").bytes(9)).not.toEqual(other.fork("y").bytes(9));
});
