import { expect, it } from "vitest";
import { Budget } from "../../src/kademlia/budget.ts";

it("gives a burst, then so much a second, and saves up no more than a burst", () => {
  const budget = new Budget(10, 5, 1_000);
  const taken = (amount: number, now: number): number => {
    let count = 0;
    while (count < 100 && budget.take(amount, now)) count++;
    return count;
  };
  expect(taken(1, 1_000)).toBe(5);
  expect(taken(1, 1_099)).toBe(0);
  expect(taken(1, 1_200)).toBe(2);
  expect(taken(1, 100_000)).toBe(5);
  expect(taken(4, 100_300)).toBe(0);
  expect(taken(4, 100_400)).toBe(1);
});
