/** Names and the passive view, which is made of them. */

import { describe, expect, it } from "vitest";
import { Names } from "../../src/gossip/names.ts";
import { PassiveView } from "../../src/gossip/passive-view.ts";
import { chance } from "./membership-world.ts";

function named(most: number, ...names: readonly string[]): Names {
  const made = new Names(most, chance(1));
  for (const name of names) made.add(name);
  return made;
}

describe("names", () => {
  it("are so many at most; a new one always has a place, and a known one takes none", () => {
    const names = named(3, "a", "b", "c");
    expect(names.isFull).toBe(true);
    names.add("a");
    expect([...names.all]).toEqual(["a", "b", "c"]);
    for (let i = 0; i < 50; i++) {
      names.add(`n${i}`);
      expect(names.size).toBe(3);
      expect(names.has(`n${i}`)).toBe(true);
    }
  });

  it("are drawn one like the other, but for those that are excepted", () => {
    const names = named(5, "a", "b", "c", "d", "e");
    const drawn = new Map<string, number>();
    for (let i = 0; i < 3_000; i++) {
      const name = names.any("b", "d") ?? "";
      drawn.set(name, (drawn.get(name) ?? 0) + 1);
    }
    expect([...drawn.keys()].toSorted()).toEqual(["a", "c", "e"]);
    for (const count of drawn.values()) expect(count).toBeGreaterThan(800);
    expect(named(2, "a", "b").any("a", "b")).toBeUndefined();
    expect(named(2, "a").any("a", "a")).toBeUndefined();
    expect(named(2).any()).toBeUndefined();
  });

  it("are drawn one like the other of those that fit", () => {
    const names = named(5, "a", "b", "c", "d", "e");
    const drawn = new Map<string, number>();
    for (let i = 0; i < 3_000; i++) {
      const name = names.anyThat((each) => each > "b") ?? "";
      drawn.set(name, (drawn.get(name) ?? 0) + 1);
    }
    expect([...drawn.keys()].toSorted()).toEqual(["c", "d", "e"]);
    for (const count of drawn.values()) expect(count).toBeGreaterThan(800);
    expect(names.anyThat(() => false)).toBeUndefined();
  });

  it("are sampled each once, and stay", () => {
    const names = named(5, "a", "b", "c", "d", "e");
    const firsts = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const sample = names.sample(3, "c");
      expect(new Set(sample).size).toBe(3);
      expect(sample).not.toContain("c");
      firsts.add(sample[0] ?? "");
    }
    expect([...firsts].toSorted()).toEqual(["a", "b", "d", "e"]);
    expect(names.sample(9).toSorted()).toEqual(["a", "b", "c", "d", "e"]);
    expect(names.sample(0)).toEqual([]);
    expect(names.size).toBe(5);
  });
});

describe("a passive view", () => {
  const fits = (name: unknown): name is string => typeof name === "string" && name !== "active";

  it("keeps what fits", () => {
    const view = new PassiveView(2, chance(1), fits);
    for (const name of ["a", "active", "b"]) view.keep(name);
    expect([...view.all]).toEqual(["a", "b"]);
    view.keep("c");
    expect(view.size).toBe(2);
    expect(view.has("c")).toBe(true);
  });

  it("gives up what it gave away for what it learns, before anything else", () => {
    const view = new PassiveView(4, chance(1), fits);
    for (const name of ["a", "b", "c", "d"]) view.keep(name);
    view.learn(["a", "x", "active", "y"], ["unknown", "b", "c"]);
    expect([...view.all].toSorted()).toEqual(["a", "d", "x", "y"]);
    view.learn(["z"], []);
    expect(view.size).toBe(4);
    expect(view.has("z")).toBe(true);
  });

  it("gives up nothing while there is room", () => {
    const view = new PassiveView(4, chance(1), fits);
    view.keep("a");
    view.learn(["x", "y"], ["a"]);
    expect([...view.all]).toEqual(["a", "x", "y"]);
  });
});
