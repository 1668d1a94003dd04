import { describe, expect, it } from "vitest";
import { Providers } from "../../src/gossip/providers.ts";

function provided(most: number, ...peers: readonly string[]): Providers {
  const providers = new Providers(most);
  for (const peer of peers) providers.add(peer, false);
  return providers;
}

describe("providers", () => {
  it("are so many; the first is the parent, and the next when it goes", () => {
    const providers = new Providers(2);
    expect([providers.parent, providers.isFull]).toEqual([undefined, false]);
    expect(["a", "b", "c", "a"].map((peer) => providers.add(peer, false))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect([providers.parent, providers.isFull]).toEqual(["a", true]);
    providers.delete("a");
    expect([providers.parent, providers.isFull]).toEqual(["b", false]);
    expect([providers.heard("b"), providers.heard("a")]).toEqual([true, false]);
  });

  it("make room for one that must be there: the quietest goes", () => {
    const providers = provided(2, "a", "b");
    for (let i = 0; i < 3; i++) providers.silentSince("a");
    expect(providers.add("c", true)).toBe(true);
    expect(["a", "b", "c"].map((peer) => providers.heard(peer))).toEqual([true, false, true]);
    expect(providers.add("c", true)).toBe(false);
  });

  it("are none any more when others brought seventeen messages without them", () => {
    const providers = provided(3, "a", "b", "c");
    for (let i = 0; i < 16; i++) expect(providers.silentSince("a")).toEqual([]);
    providers.heard("c");
    expect(providers.silentSince("a")).toEqual(["b"]);
    expect(["a", "b", "c"].map((peer) => providers.heard(peer))).toEqual([true, false, true]);
  });

  it("fall silent one like the other when a stranger brings all", () => {
    const providers = provided(2, "a", "b");
    for (let i = 0; i < 16; i++) expect(providers.silentSince("stranger")).toEqual([]);
    expect(providers.silentSince("stranger")).toEqual(["a", "b"]);
    expect(providers.parent).toBeUndefined();
  });
});
