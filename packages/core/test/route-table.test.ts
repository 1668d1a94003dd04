import { describe, expect, it } from "vitest";
import { seededNumbers } from "../../../test/support/virtual-runtime.ts";
import { PeerId } from "../src/identity.ts";
import type { LivePeer } from "../src/peer.ts";
import { RouteTable } from "../src/route-table.ts";
import type { Runtime } from "../src/runtime.ts";

function peer(n: number, writable: boolean = true): LivePeer {
  const id = PeerId.from(new Uint8Array(32).fill(n));
  return { id, writable, connected: false } as LivePeer;
}

function runtime(seed: number): Runtime {
  const next = seededNumbers(seed);
  const randomBytes = (length: number): Uint8Array =>
    Uint8Array.from({ length }, () => Math.floor(next() * 256));
  return { randomBytes } as Runtime;
}

function filled(count: number): { table: RouteTable; peers: LivePeer[] } {
  const table = new RouteTable();
  const peers = Array.from({ length: count }, (_, i) => peer(i + 1));
  for (const each of peers) table.add(each);
  return { table, peers };
}

describe("the route table", () => {
  it("holds a peer from one edge to the other", () => {
    const table = new RouteTable();
    const one = peer(1);
    table.add(one);
    expect([table.size, one.connected, table.get(one.id.text)]).toEqual([1, true, one]);
    expect([...table.peers.keys()]).toEqual([one.id.text]);
    expect(table.delete(one)).toBe(true);
    expect([table.size, one.connected, table.get(one.id.text)]).toEqual([0, false, undefined]);
    expect(table.delete(one)).toBe(false);
  });

  it("takes an id once, and lets go of the very peer only", () => {
    const table = new RouteTable();
    const [one, twin] = [peer(1), peer(1)];
    table.add(one);
    expect(() => table.add(twin)).toThrow(TypeError);
    expect(table.delete(twin)).toBe(false);
    expect(table.get(one.id.text)).toBe(one);
    expect([one.connected, twin.connected]).toEqual([true, false]);
  });

  it("knows who is writable now", () => {
    const { table, peers } = filled(3);
    const [first] = peers as [LivePeer];
    first.writable = false;
    expect(table.writable()).toEqual(peers.slice(1));
    first.writable = true;
    expect(table.writable()).toEqual(peers);
  });

  it("draws distinct writable peers, as many as there are", () => {
    const { table, peers } = filled(6);
    const [mute] = peers as [LivePeer];
    mute.writable = false;
    for (const [n, count] of [
      [0, 0],
      [-3, 0],
      [1, 1],
      [4, 4],
      [5, 5],
      [6, 5],
      [Number.POSITIVE_INFINITY, 5],
      [Number.NEGATIVE_INFINITY, 0],
    ] as const) {
      const drawn = table.sample(n, runtime(n));
      expect(drawn).toHaveLength(count);
      expect(new Set(drawn).size).toBe(count);
      expect(drawn).not.toContain(mute);
    }
    // It draws from a copy.
    expect([...table.peers.values()]).toEqual(peers);
  });

  it("draws every ordered choice equally often", () => {
    const { table } = filled(4);
    const random = runtime(7);
    const counts = new Map<string, number>();
    const draws = 24_000;
    for (let i = 0; i < draws; i++) {
      const key = table
        .sample(2, random)
        .map((each) => each.id.bytes[0])
        .join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    // 12 outcomes; chi-square with 11 degrees of freedom is above 31.3 once in a thousand seeds.
    const expected = draws / 12;
    const chiSquare = [...counts.values()].reduce(
      (sum, n) => sum + (n - expected) ** 2 / expected,
      0,
    );
    expect(counts.size).toBe(12);
    expect(chiSquare).toBeLessThan(31.3);
  });
});
