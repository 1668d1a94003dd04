import { Network, type Peer, PeerId } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { Conduct } from "../../src/gossip/conduct.ts";

let runtime: VirtualRuntime;
let network: Network;
let reasons: string[];
let peer: Peer;
beforeEach(() => {
  runtime = new VirtualRuntime();
  network = new Network({ runtime });
  reasons = [];
  const id = PeerId.from(new Uint8Array(32).fill(1));
  peer = { id, close: ({ text }: { text: string }) => reasons.push(text) } as unknown as Peer;
});
afterEach(() => network.close());

describe("conduct", () => {
  it("allows so much a second, and twice as much at once", async () => {
    const conduct = new Conduct(network, { itemsPerSecond: 10 });
    expect(conduct.mayBring(peer, 20, 1)).toBe(true);
    expect(conduct.mayBring(peer, 1, 1)).toBe(false);
    await runtime.advance(1_000);
    expect(conduct.mayBring(peer, 10, 1)).toBe(true);
    expect(conduct.mayBring(peer, 1, 1)).toBe(false);
  });

  it("counts bytes, questions and censuses apart", () => {
    const conduct = new Conduct(network, {
      bytesPerSecond: 50,
      questionsPerSecond: 1,
      censusesPerSecond: 1,
    });
    expect([conduct.mayBring(peer, 1, 100), conduct.mayBring(peer, 1, 1)]).toEqual([true, false]);
    expect([1, 2, 3].map(() => conduct.mayAsk(peer))).toEqual([true, true, false]);
    expect([1, 2, 3].map(() => conduct.mayCount(peer))).toEqual([true, true, false]);
  });

  it("drops what is brought late beyond the budget, and new origins beyond theirs, and bears it", async () => {
    const conduct = new Conduct(network, { itemsPerSecond: 10, newOriginsPerSecond: 1 });
    expect(conduct.mayBring(peer, 20, 1, true)).toBe(true);
    expect(conduct.mayIntroduce(peer, 36)).toBe(true);
    expect([1, 4, 4].map((price) => conduct.mayIntroduce(peer, price))).toEqual([
      true,
      false,
      false,
    ]);
    expect(conduct.mayIntroduce(peer, 0)).toBe(true);
    for (let i = 0; i < 600; i++) {
      for (let j = 0; j < 50; j++) {
        conduct.mayBring(peer, 20, 1, true);
        conduct.mayIntroduce(peer, 4);
      }
      await runtime.advance(1_000);
    }
    expect(reasons).toEqual([]);
    // A new connection brings no new budget of what is kept for long.
    for (let i = 0; i < 40; i++) conduct.mayIntroduce(peer, 1);
    conduct.left(peer.id.text);
    expect(conduct.mayIntroduce(peer, 1)).toBe(false);
  });

  it("closes who goes on, and does not speak to him for ten minutes", async () => {
    const conduct = new Conduct(network);
    conduct.blame(peer, "a bad signature");
    conduct.blame(peer, "a bad signature");
    expect(reasons).toEqual([]);
    conduct.blame(peer, "a bad signature");
    expect(reasons).toEqual(["gossip: a bad signature"]);
    expect(conduct.isBanned(peer.id.text)).toBe(true);
    await runtime.advance(600_001);
    expect(conduct.isBanned(peer.id.text)).toBe(false);
  });

  it("forgives what is long ago", async () => {
    const conduct = new Conduct(network);
    for (let i = 0; i < 10; i++) {
      conduct.blame(peer, "a bad signature");
      await runtime.advance(60_000);
    }
    expect(reasons).toEqual([]);
  });

  it("remembers a bounded number of those it closed", () => {
    const conduct = new Conduct(network);
    const ids: string[] = [];
    for (let i = 0; i < 1_100; i++) {
      const bytes = new Uint8Array(32).fill(i & 255);
      bytes[0] = i >> 8;
      const each = { ...peer, id: PeerId.from(bytes) } as Peer;
      ids.push(each.id.text);
      for (let j = 0; j < 3; j++) conduct.blame(each, "a bad signature");
    }
    expect(ids.filter((id) => conduct.isBanned(id))).toHaveLength(1_024);
  });
});
