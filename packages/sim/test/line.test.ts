import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Line, type LinkOptions, retransmissionMs, shapeOf } from "../src/line.ts";
import { Random } from "../src/random.ts";

const send = (options: LinkOptions, writes: readonly (readonly [now: number, bytes: number])[]) => {
  const [line, random, shape] = [new Line(), new Random(1), shapeOf(options)];
  return writes.map(([now, bytes]) => line.arrival(shape, random, now, bytes));
};

describe("a line", () => {
  test("takes its latency", () => {
    expect(
      send({ latencyMs: 40 }, [
        [0, 1],
        [5, 1_000_000],
      ]),
    ).toEqual([40, 45]);
  });

  test("sends one after the other, as wide as it is", () => {
    const arrivals = send({ latencyMs: 10, bandwidth: 1_000 }, [
      [0, 500],
      [0, 500],
      [5_000, 100],
    ]);
    expect(arrivals).toEqual([510, 1_010, 5_110]);
  });

  test("never lets a chunk overtake another of its connection", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat(1_000)), (seed, gaps) => {
        const [line, random] = [new Line(), new Random(seed)];
        const shape = shapeOf({ latencyMs: 5, jitterMs: 500, lossRate: 0.2 });
        let now = 0;
        let last = 0;
        for (const gap of gaps) {
          now += gap;
          const at = line.arrival(shape, random, now, 100);
          expect(at).toBeGreaterThanOrEqual(Math.max(last, now + 5));
          last = at;
        }
      }),
    );
  });

  test("loses segments as often as it should, and each loss costs a retransmission", () => {
    const options = { latencyMs: 10, lossRate: 0.1 };
    const late = (bytes: number): number => {
      const shape = shapeOf(options);
      const random = new Random(2);
      let count = 0;
      for (let i = 0; i < 10_000; i++) {
        const at = new Line().arrival(shape, random, 0, bytes);
        if (at === 10) continue;
        expect(at).toBeGreaterThanOrEqual(10 + retransmissionMs(shape));
        count++;
      }
      return count;
    };
    expect(late(100)).toBeGreaterThan(900);
    expect(late(100)).toBeLessThan(1_100);
    // Ten segments: 1 - 0.9^10 is 65 %.
    expect(late(14_600)).toBeGreaterThan(6_300);
  });

  test.each([
    ["latencyMs", { latencyMs: -1 }],
    ["jitterMs", { jitterMs: Number.POSITIVE_INFINITY }],
    ["lossRate", { lossRate: 1 }],
    ["bandwidth", { bandwidth: 0 }],
  ])("names the %s that cannot be", (name, options) => {
    expect(() => shapeOf(options)).toThrow(new RegExp(name));
  });
});
