import { describe, expect, it } from "vitest";
import { Held } from "../../src/gossip/held.ts";
import { TREE_LIMITS, type TreeLimits } from "../../src/gossip/tree-options.ts";

const held = (limits: Partial<TreeLimits>): Held<string> =>
  new Held({ ...TREE_LIMITS, ...limits }, (payload) => payload.length);
const kept = (from: Held<string>, ...ids: string[]): string[] => ids.filter((id) => from.has(id));

describe("held messages", () => {
  it("are so many at most, the oldest go first", () => {
    const few = held({ messages: 2 });
    for (const id of ["a", "b", "c"]) few.add(id, "", 1, 0);
    expect(kept(few, "a", "b", "c")).toEqual(["b", "c"]);
    expect([few.get("a"), few.get("c")?.hops]).toEqual([undefined, 1]);
  });

  it("have so many bytes at most, but for the newest", () => {
    const small = held({ bytes: 10 });
    small.add("a", "1234", 1, 0);
    small.add("b", "123456", 1, 0);
    expect(kept(small, "a", "b")).toEqual(["a", "b"]);
    small.add("c", "1", 1, 0);
    expect(kept(small, "a", "b", "c")).toEqual(["b", "c"]);
    small.add("large", "x".repeat(50), 1, 0);
    expect(kept(small, "b", "c", "large")).toEqual(["large"]);
    small.add("d", "1", 1, 0);
    expect(kept(small, "large", "d")).toEqual(["d"]);
  });

  it("are kept for so long", () => {
    const short = held({ keepMs: 100 });
    short.add("a", "", 1, 0);
    short.add("b", "", 1, 60);
    short.add("c", "", 1, 100);
    expect(kept(short, "a", "b", "c")).toEqual(["a", "b", "c"]);
    short.add("d", "", 1, 101);
    expect(kept(short, "a", "b", "c", "d")).toEqual(["b", "c", "d"]);
  });

  it("are handed out to each peer so often", () => {
    const some = held({ copies: 2 });
    some.add("a", "text", 3, 0);
    some.add("b", "other", 1, 0);
    const copies = [1, 2, 3].map(() => some.copy("a", "x")?.payload);
    expect(copies).toEqual(["text", "text", undefined]);
    expect(some.copy("a", "y")).toMatchObject({ payload: "text", hops: 3 });
    expect(some.copy("b", "x")?.payload).toBe("other");
    expect(some.copy("unknown", "x")).toBeUndefined();
  });
});
