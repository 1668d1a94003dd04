import { describe, expect, it } from "vitest";
import { Pruning } from "../../src/gossip/pruning.ts";

describe("pruning", () => {
  it("gives the links of one message's duplicates, a span after it came", () => {
    const pruning = new Pruning(100);
    expect(pruning.deadline).toBeUndefined();
    pruning.first("m", "root", 0);
    pruning.first("n", "root", 10);
    pruning.again("m", "x");
    pruning.again("n", "y");
    expect(pruning.deadline).toBe(100);
    expect(pruning.take(99)).toEqual([]);
    expect(pruning.take(100)).toEqual(["x"]);
    expect(pruning.take(100)).toEqual([]);
    expect(pruning.deadline).toBeUndefined();
  });

  it("goes by the least of those who speak, until it is silent for ten seconds", () => {
    const pruning = new Pruning(100);
    pruning.first("1", "b", 0);
    pruning.again("1", "x");
    pruning.first("2", "a", 10);
    pruning.again("1", "x");
    pruning.again("2", "y");
    pruning.first("3", "b", 200);
    expect(pruning.take(200)).toEqual(["y"]);
    pruning.first("4", "b", 10_000);
    expect(pruning.deadline).toBeUndefined();
    pruning.first("5", "b", 10_010);
    pruning.again("5", "z");
    expect(pruning.take(10_110)).toEqual(["z"]);
  });

  it("holds a bounded number of links", () => {
    const pruning = new Pruning(1);
    pruning.first("m", "root", 0);
    for (let i = 0; i < 1_000; i++) pruning.again("m", `peer ${i}`);
    expect(pruning.take(1)).toHaveLength(256);
  });
});
