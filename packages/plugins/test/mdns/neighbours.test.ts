import { PeerId } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { Budget } from "../../src/mdns/budget.ts";
import { Neighbours } from "../../src/mdns/neighbours.ts";

const ids = Array.from({ length: 9 }, (_, i) => PeerId.from(new Uint8Array(32).fill(i)));
const neighbour = (who: number, address: string) => ({ id: ids[who] as PeerId, address });
const make = (): Neighbours =>
  new Neighbours({ maxNodes: 3, maxAddresses: 2, againMs: 100, memoryMs: 1_000 });

describe("neighbours", () => {
  it("are told once, and again after a while", () => {
    const neighbours = make();
    expect(neighbours.heard(neighbour(0, "a"), 0)).toBe(true);
    expect(neighbours.heard(neighbour(0, "a"), 99)).toBe(false);
    expect(neighbours.heard(neighbour(0, "b"), 99)).toBe(true);
    expect(neighbours.heard(neighbour(0, "a"), 100)).toBe(true);
    expect(neighbours.heard(neighbour(0, "a"), 199)).toBe(false);
  });

  it("are found while they were heard of lately, the last address first", () => {
    const neighbours = make();
    const [id] = ids as [PeerId];
    neighbours.heard(neighbour(0, "a"), 0);
    neighbours.heard(neighbour(0, "b"), 500);
    expect(neighbours.addresses(id.text, 999)).toEqual(["b", "a"]);
    neighbours.heard(neighbour(0, "a"), 999);
    expect(neighbours.addresses(id.text, 1_000)).toEqual(["a", "b"]);
    expect(neighbours.addresses(id.text, 1_600)).toEqual(["a"]);
    expect(neighbours.addresses(id.text, 1_999)).toEqual([]);
    expect(neighbours.addresses("nobody", 0)).toEqual([]);
  });

  it("are bounded: who was not heard of for longest makes room", () => {
    const neighbours = make();
    for (const who of [0, 1, 2]) neighbours.heard(neighbour(who, "a"), who);
    neighbours.heard(neighbour(0, "a"), 3);
    neighbours.heard(neighbour(3, "a"), 4);
    expect(neighbours.size).toBe(3);
    expect([0, 1, 2, 3].map((who) => neighbours.addresses(ids[who]?.text ?? "", 4).length)).toEqual(
      [1, 0, 1, 1],
    );
    for (const address of ["b", "c", "d"]) neighbours.heard(neighbour(0, address), 5);
    expect(neighbours.addresses(ids[0]?.text ?? "", 5)).toEqual(["d", "c"]);
  });
});

describe("a budget", () => {
  it("gives a second's worth at once, and then as many as time brings", () => {
    const budget = new Budget(10, 0);
    const taken = (now: number, tries: number): number =>
      Array.from({ length: tries }, () => budget.take(now)).filter(Boolean).length;
    expect(taken(0, 50)).toBe(10);
    expect(taken(99, 50)).toBe(0);
    expect(taken(300, 50)).toBe(3);
    expect(taken(100_000, 50)).toBe(10);
  });
});
