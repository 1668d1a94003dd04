import { describe, expect, it } from "vitest";
import { Missing } from "../../src/gossip/missing.ts";

const anybody = (): number => 0;
const nobody = (): undefined => undefined;

describe("what is missing", () => {
  it("is asked of the announcers of the lowest rank first, in their order", () => {
    const missing = new Missing(10, 10);
    for (const [at, peer] of ["a", "b", "c", "gone"].entries()) {
      missing.announced("m", peer, at + 1, 100);
    }
    const ranks = new Map([
      ["a", 1],
      ["b", 0],
      ["c", 0],
    ]);
    const rank = (peer: string): number | undefined => ranks.get(peer);
    const asked = [200, 300, 400, 500].map((deadline) => missing.ask("m", rank, deadline)?.peer);
    expect(asked).toEqual(["b", "c", "a", undefined]);
    expect(missing.size).toBe(0);
  });

  it("is due when timer 1 is over, then for each that was asked", () => {
    const missing = new Missing(10, 10);
    missing.announced("m", "a", 1, 100);
    missing.announced("n", "a", 1, 120);
    missing.announced("m", "b", 1, 500);
    expect([missing.deadline, missing.due(99)]).toEqual([100, []]);
    expect(missing.due(100)).toEqual([{ id: "m", asked: undefined }]);
    missing.ask("m", anybody, 140);
    expect(missing.deadline).toBe(120);
    expect(missing.due(140)).toEqual([
      { id: "n", asked: undefined },
      { id: "m", asked: "a" },
    ]);
    missing.ask("n", nobody, 200);
    expect(missing.deadline).toBe(140);
    missing.ask("m", nobody, 200);
    expect(missing.deadline).toBeUndefined();
  });

  it("has come once: those who were not asked are given then", () => {
    const missing = new Missing(10, 10);
    for (const peer of ["a", "b", "c"]) missing.announced("m", peer, 2, 100);
    missing.ask("m", anybody, 200);
    expect(missing.take("m").map(({ peer }) => peer)).toEqual(["b", "c"]);
    expect(missing.take("m")).toEqual([]);
    expect([missing.size, missing.deadline, missing.due(1_000)]).toEqual([0, undefined, []]);
  });

  it("is not asked twice of one announcer, however often it announces", () => {
    const missing = new Missing(10, 10);
    for (let i = 0; i < 3; i++) missing.announced("m", "a", 1, 100);
    expect(missing.ask("m", anybody, 200)?.peer).toBe("a");
    missing.announced("m", "a", 1, 300);
    expect(missing.ask("m", anybody, 300)).toBeUndefined();
  });

  it("is bounded as a whole, and for each that announces first", () => {
    const missing = new Missing(5, 3);
    for (let i = 0; i < 10; i++) missing.announced(`a${i}`, "a", 1, 100);
    expect(missing.size).toBe(3);
    for (let i = 0; i < 10; i++) missing.announced(`b${i}`, "b", 1, 100);
    expect(missing.size).toBe(5);
    missing.take("a0");
    missing.announced("a9", "a", 1, 100);
    expect(missing.due(100).map(({ id }) => id)).toEqual(["a1", "a2", "b0", "b1", "a9"]);
    missing.take("b0");
    missing.announced("a8", "a", 1, 100);
    expect(missing.size).toBe(4);
  });

  it("counts anew for one whose link went and came", () => {
    const missing = new Missing(10, 2);
    for (const id of ["m1", "m2", "m3"]) missing.announced(id, "a", 1, 100);
    expect(missing.size).toBe(2);
    missing.down("a");
    missing.announced("m3", "a", 1, 100);
    expect(missing.size).toBe(3);
    // Those of before count no more than they did.
    for (const id of ["m1", "m2", "m3"]) missing.take(id);
    for (const id of ["m4", "m5", "m6"]) missing.announced(id, "a", 1, 100);
    expect(missing.size).toBe(2);
  });

  it("has so many announcers of one id", () => {
    const missing = new Missing(10, 10);
    for (let i = 0; i < 100; i++) missing.announced("m", `peer ${i}`, 1, 100);
    expect(missing.take("m")).toHaveLength(32);
  });
});
