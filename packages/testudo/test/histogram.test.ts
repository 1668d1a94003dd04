import { describe, expect, test } from "vitest";
import { Histogram } from "../src/histogram.ts";

const near = (value: number): unknown => expect.closeTo(value, value < 1 ? 2 : 0);

describe("Histogram", () => {
  test("finds percentiles to one percent", () => {
    const histogram = new Histogram();
    for (let i = 1; i <= 1_000; i++) histogram.add(i);
    expect(histogram.count).toBe(1_000);
    for (const [part, value] of [
      [0.5, 500],
      [0.99, 990],
      [1, 1_000],
      [0, 1],
    ] as const) {
      const found = histogram.percentile(part) ?? 0;
      expect(found / value).toBeGreaterThan(0.99);
      expect(found / value).toBeLessThan(1.0101);
    }
  });

  test("has no percentiles without values", () => {
    expect(new Histogram().percentile(0.5)).toBeUndefined();
  });

  test("takes values below its finest as that", () => {
    const histogram = new Histogram();
    histogram.add(0);
    histogram.add(-1);
    expect(histogram.percentile(1)).toEqual(near(0.001));
  });

  test("travels as JSON and adds up", () => {
    const a = new Histogram();
    const b = new Histogram();
    for (let i = 0; i < 99; i++) a.add(1);
    b.add(50);
    a.merge(Histogram.from(JSON.parse(JSON.stringify(b))));
    expect(a.count).toBe(100);
    expect(a.percentile(0.99)).toEqual(near(1));
    expect(a.percentile(1)).toEqual(near(50));
  });

  test.each([undefined, {}, [1], [["a", 1]], [[1]]])("refuses %j", (buckets) => {
    expect(() => Histogram.from(buckets)).toThrow(TypeError);
  });
});
