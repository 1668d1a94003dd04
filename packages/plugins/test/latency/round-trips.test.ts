import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RoundTrips } from "../../src/latency/round-trips.ts";

function of(keep: number, ...values: number[]): RoundTrips {
  const roundTrips = new RoundTrips(keep);
  for (const value of values) roundTrips.add(value);
  return roundTrips;
}

describe("round trips", () => {
  it("have no figures before the first", () => {
    const roundTrips = of(128);
    roundTrips.lost++;
    expect(roundTrips.figures).toBeUndefined();
  });

  it("are all figures alike when there is one", () => {
    expect(of(128, 7).figures).toEqual({
      count: 1,
      lost: 0,
      min: 7,
      p50: 7,
      p90: 7,
      p99: 7,
      max: 7,
    });
  });

  it("are ranked, whatever order they came in", () => {
    const values = Array.from({ length: 100 }, (_, i) => ((i * 37) % 100) + 1);
    expect(of(128, ...values).figures).toEqual({
      count: 100,
      lost: 0,
      min: 1,
      p50: 50,
      p90: 90,
      p99: 99,
      max: 100,
    });
  });

  it("forget the oldest first", () => {
    expect(of(3, 1_000, 1, 2, 3).figures).toMatchObject({ count: 3, min: 1, max: 3 });
    expect(of(3, 5, 6, 7, 1, 2).figures).toMatchObject({ count: 3, min: 1, max: 7 });
  });

  it("give at each percentile a value that came, with that part not above it", () => {
    const durations = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(durations, fc.integer({ min: 1, max: 20 }), (values, keep) => {
        const figures = of(keep, ...values).figures;
        const kept = values.slice(-keep);
        expect(figures?.count).toBe(kept.length);
        for (const [part, value] of [
          [0.5, figures?.p50],
          [0.9, figures?.p90],
          [0.99, figures?.p99],
          [1, figures?.max],
        ] as const) {
          expect(kept).toContain(value);
          const below = kept.filter((one) => one < (value as number)).length;
          const notAbove = kept.filter((one) => one <= (value as number)).length;
          expect(notAbove).toBeGreaterThanOrEqual(part * kept.length);
          expect(below).toBeLessThan(part * kept.length);
        }
      }),
    );
  });
});
