import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { spread } from "../../src/kademlia/spread.ts";
import { contact, contacts } from "./contacts.ts";

const first = (): number => 0;

describe("a choice over subnets", () => {
  it("takes one of each before it takes a second", () => {
    const many = contacts(100, 1).map((each) => ({ ...each, subnets: ["4:1.2.3"] }));
    const few = [contact(200, ["4:1.2.4"]), contact(201, ["4:1.2.5"]), contact(202)];
    expect(spread([...many, ...few], 4, first).map(({ subnets }) => subnets?.[0])).toEqual(
      expect.arrayContaining(["4:1.2.3", "4:1.2.4", "4:1.2.5", undefined]),
    );
    expect(spread([...many, ...few], 6, first)).toHaveLength(6);
  });

  it("counts those of one subnet as one, whatever else each of them claims", () => {
    const liars = Array.from({ length: 50 }, (_, i) => contact(i, [`4:7.7.${i}`, "4:9.9.9"]));
    const others = [contact(100, ["4:1.1.1"]), contact(101, ["4:2.2.2", "6:a:b:c"])];
    const chosen = spread([...liars, ...others], 3, first).map(({ id }) => id);
    expect(chosen).toEqual(expect.arrayContaining(["p100", "p101"]));
  });

  it("is of different ones that were offered, as many as asked for", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(5), { maxLength: 30 }),
        fc.nat(40),
        fc.infiniteStream(fc.nat(1_000)),
        (subnets, n, numbers) => {
          const all = subnets.map((subnet, i) => contact(i, [`4:0.0.${subnet}`]));
          const random = (bound: number): number => (numbers.next().value as number) % bound;
          const chosen = spread(all, n, random);
          expect(chosen).toHaveLength(Math.min(n, all.length));
          expect(new Set(chosen).size).toBe(chosen.length);
          const distinct = new Set(chosen.map(({ subnets: [subnet] = [] }) => subnet)).size;
          expect(distinct).toBe(Math.min(chosen.length, new Set(subnets).size));
        },
      ),
    );
  });
});
