import { expect, test } from "vitest";
import { Budget } from "../../src/gossip/budget.ts";

test("twice a second's worth at once, then what time brings back", () => {
  const budget = new Budget(10);
  expect(budget.take("a", 0, 21)).toBe(false);
  expect(budget.take("a", 0, 20)).toBe(true);
  expect(budget.take("a", 99)).toBe(false);
  expect(budget.take("a", 100)).toBe(true);
  expect(budget.take("a", 100)).toBe(false);
  expect(budget.take("b", 100)).toBe(true);
  expect(budget.take("a", 1e9, 20)).toBe(true);
  expect(budget.take("a", 1e9)).toBe(false);
});

test("a clock that goes back gives nothing", () => {
  const budget = new Budget(1, 1);
  expect(budget.take("a", 1000)).toBe(true);
  expect(budget.take("a", 0)).toBe(false);
  expect(budget.take("a", 1500)).toBe(false);
  expect(budget.take("a", 2000)).toBe(true);
});

test("of too many peers the oldest starts afresh", () => {
  const budget = new Budget(1, 1, 2);
  for (const peer of ["a", "b", "c"]) expect(budget.take(peer, 0)).toBe(true);
  expect(budget.take("c", 0)).toBe(false);
  expect(budget.take("a", 0)).toBe(true);
});
