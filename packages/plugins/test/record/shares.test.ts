import { expect, test } from "vitest";
import { Shares } from "../../src/record/shares.ts";

test("the next to go is the longest unheard of who has most", () => {
  const shares = new Shares();
  expect(shares.next()).toBeUndefined();
  for (const name of ["1", "2", "3"]) shares.add("a", name);
  for (const name of ["4", "5"]) shares.add("b", name);
  expect([shares.size, shares.of("a"), shares.of("b"), shares.of("c")]).toEqual([5, 3, 2, 0]);
  expect(shares.next()).toBe("1");
  expect(shares.delete("a", "1")).toBe(true);
  shares.add("a", "1");
  expect(shares.next()).toBe("2");
  for (const name of ["2", "3"]) shares.delete("a", name);
  expect(shares.next()).toBe("4");
  expect([shares.delete("a", "4"), shares.delete("c", "1")]).toEqual([false, false]);
  for (const name of ["4", "5"]) shares.delete("b", name);
  expect([shares.next(), shares.delete("a", "1")]).toEqual(["1", true]);
  expect([shares.size, shares.next()]).toEqual([0, undefined]);
});
