import { expect, test } from "vitest";
import { Walks } from "../../src/gossip/walks.ts";

test("an answer goes back once, and only from where the walk went", () => {
  const walks = new Walks(100);
  walks.mark("o", "a", "b", 0);
  expect(walks.back("o", "c", 1)).toBeUndefined();
  expect(walks.back("o", "b", 1)).toBe("a");
  expect(walks.back("o", "b", 1)).toBeUndefined();
});

test("a walk that comes by twice goes back by its first way", () => {
  const walks = new Walks(100);
  walks.mark("o", "a", "b", 0);
  walks.mark("o", "b", "c", 1);
  expect(walks.back("o", "c", 2)).toBe("a");
});

test("ways are forgotten with time, and the oldest when there are too many", () => {
  const walks = new Walks(100);
  walks.mark("o", "a", "b", 0);
  expect(walks.back("o", "b", 100)).toBeUndefined();
  for (let i = 0; i < 1000; i++) walks.mark(`o${i}`, "a", "b", 200);
  expect(walks.size).toBe(256);
  expect(walks.back("o0", "b", 201)).toBeUndefined();
  expect(walks.back("o999", "b", 201)).toBe("a");
});
