import { describe, expect, it } from "vitest";
import { Beacon } from "../../src/gossip/beacon.ts";

const key = (first: number): string => String.fromCharCode(first).padEnd(32, "x");

describe("a beacon", () => {
  it("is said while others speak, every second", () => {
    const beacon = new Beacon(key(0));
    expect([beacon.deadline, beacon.poll(0)]).toEqual([undefined, false]);
    const said: number[] = [];
    for (let now = 0; now < 10_000; now += 100) {
      beacon.heard(key(9), now);
      if (beacon.poll(now)) said.push(now);
    }
    expect(said).toEqual([100, 1_100, 2_100, 3_100, 4_100, 5_100, 6_100, 7_100, 8_100, 9_100]);
    expect(beacon.poll(60_000)).toBe(true);
    expect(beacon.poll(120_000)).toBe(false);
  });

  it("waits the longer the greater the key, and is given up for somebody less", () => {
    const [small, great] = [new Beacon(key(1)), new Beacon(key(200))];
    for (const each of [small, great]) each.heard(key(255), 0);
    expect(small.deadline).toBeLessThan(great.deadline as number);
    great.heard(key(1), 10);
    expect(great.deadline).toBeUndefined();
    great.heard(key(255), 9_000);
    expect(great.deadline).toBeUndefined();
    great.heard(key(255), 11_000);
    expect(great.deadline).toBeGreaterThan(11_000);
  });
});
