import fc from "fast-check";
import { expect, test } from "vitest";
import { scaleOf, tickText } from "../src/axis-ticks.ts";

const axis = { label: "x" };

test("ticks are round and the range reaches the next", () => {
  expect(scaleOf(axis, [0.03, 0.97], 5)).toEqual({
    min: 0,
    max: 1,
    ticks: [0, 0.2, 0.4, 0.6, 0.8, 1],
  });
  expect(scaleOf(axis, [12, 9_400], 5).ticks).toEqual([0, 2_000, 4_000, 6_000, 8_000, 10_000]);
});

test("what the axis says holds", () => {
  const { min, max } = scaleOf({ label: "x", min: -3, max: 7 }, [100], 5);
  expect([min, max]).toEqual([-3, 7]);
});

test("an axis that ends where it begins is refused", () => {
  expect(() => scaleOf({ label: "x", min: 1, max: 1 }, [1], 5)).toThrow(RangeError);
});

test.each([[[]], [[5]], [[1e-300, 2e-300]], [[0, 0]], [[Number.NaN, Number.POSITIVE_INFINITY]]])(
  "there is a range for %j",
  (values) => {
    const { min, max, ticks } = scaleOf(axis, values, 5);
    expect(max).toBeGreaterThan(min);
    expect(ticks.length).toBeGreaterThan(1);
  },
);

test("every value lies in the range, and ticks are few", () => {
  const value = fc.double({ min: -1e12, max: 1e12, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1 }),
      fc.integer({ min: 2, max: 12 }),
      (values, most) => {
        const { min, max, ticks } = scaleOf(axis, values, most);
        const slack = (max - min) * 1e-6;
        for (const each of values) {
          expect(each).toBeGreaterThanOrEqual(min - slack);
          expect(each).toBeLessThanOrEqual(max + slack);
        }
        expect(ticks.length).toBeLessThanOrEqual(most + 3);
      },
    ),
  );
});

test.each([
  [0, "0"],
  [0.30000000000000004, "0.3"],
  [1_234_567, "1,234,567"],
  [-20_000, "-20,000"],
  [1e12, "1e12"],
  [2.5e-7, "2.5e-7"],
])("%d is written %s", (value, text) => {
  expect(tickText(value)).toBe(text);
});
