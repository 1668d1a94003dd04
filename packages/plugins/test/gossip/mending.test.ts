import { expect, test } from "vitest";
import { Mending } from "../../src/gossip/mending.ts";

test("the lost are tried in turn, for an hour, until found", () => {
  const mending = new Mending();
  expect(mending.next(0)).toBeUndefined();
  mending.lost("a", 0);
  mending.lost("b", 1);
  expect([mending.next(1), mending.next(1), mending.next(1)]).toEqual(["a", "b", "a"]);
  mending.found("a");
  expect([mending.next(1), mending.next(1)]).toEqual(["b", "b"]);
  expect(mending.next(3_600_002)).toBeUndefined();
});

test("no more than sixteen are kept", () => {
  const mending = new Mending();
  for (let i = 0; i < 100; i++) mending.lost(`n${i}`, 0);
  const tried = new Set(Array.from({ length: 100 }, () => mending.next(0)));
  expect(tried.size).toBe(16);
});

test("poverty that lasts is an island, ever more rarely", () => {
  const mending = new Mending();
  const at: number[] = [];
  for (let i = 1; i <= 45; i++) if (mending.isIsland(true)) at.push(i);
  expect(at).toEqual([3, 9, 21, 45]);
  expect(mending.isIsland(false)).toBe(false);
  expect([1, 2, 3].map(() => mending.isIsland(true))).toEqual([false, false, true]);
});

test("three swaps in its youth", () => {
  const mending = new Mending();
  const at: number[] = [];
  for (let i = 1; i <= 100; i++) if (mending.isRestless()) at.push(i);
  expect(at).toEqual([4, 8, 12]);
});
