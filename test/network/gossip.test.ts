/** Gossip among real networks, on virtual time. */

import type { Peer } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HelloMessage } from "../../packages/plugins/src/gossip/messages.ts";
import { type GossipNode, Gossips, News } from "../support/gossips.ts";

let gossips: Gossips;
beforeEach(() => {
  gossips = new Gossips({ line: { latencyMs: 5 } });
});
afterEach(() => gossips.close());

/** Each of them heard exactly these, each once. */
function expectHeard(nodes: readonly GossipNode[], texts: readonly string[]): void {
  for (const node of nodes) expect(node.texts).toEqual([...texts].toSorted());
}

describe.each(["tree", "flood"] as const)("a broadcast, by %s", (mode) => {
  it("reaches every node of a ring exactly once, as from its origin", async () => {
    const nodes = await gossips.start(12, { mode });
    await gossips.ring(nodes);
    const [first] = nodes as [GossipNode];
    for (let i = 0; i < 10; i++) first.say(`news ${i}`);
    await gossips.pass(1_000);
    expectHeard(
      nodes.slice(1),
      Array.from({ length: 10 }, (_, i) => `news ${i}`),
    );
    expect(first.heard).toEqual([]);
    for (const node of nodes.slice(1)) {
      expect(new Set(node.heard.map(({ from }) => from))).toEqual(new Set([first.id]));
      for (const { via } of node.heard) expect(node.network.peers.has(via)).toBe(true);
    }
  });

  it("may come from all at once", async () => {
    const nodes = await gossips.start(12, { mode });
    await gossips.ring(nodes);
    for (const [i, node] of nodes.entries()) node.say(`news ${i}`);
    await gossips.pass(2_000);
    for (const [own, node] of nodes.entries()) {
      const others = nodes.flatMap((_, i) => (i === own ? [] : [`news ${i}`]));
      expectHeard([node], others);
    }
  });

  it("can be asked how far it went", async () => {
    const nodes = await gossips.start(12, { mode });
    await gossips.ring(nodes);
    const delivery = (nodes[0] as GossipNode).say("hello");
    expect(delivery.queued).toBeGreaterThan(0);
    const report = await gossips.nodes.runtime.during(delivery.report());
    expect(report.reach).toEqual({ nodes: 11, complete: true });
    expect(report.sent.length).toBe(delivery.queued);
    expect(report.failed).toEqual([]);
  });
});

describe("who is reached", () => {
  it("is everybody whose mode is delegation, and who knows enough others", async () => {
    const nodes = await gossips.start(8, { mode: "delegation" });
    for (const [i, node] of nodes.entries()) {
      for (const other of nodes.slice(i + 1)) await gossips.connect(node, other);
    }
    await gossips.pass(1_000);
    const [first, ...others] = nodes as [GossipNode, ...GossipNode[]];
    first.say("delegated");
    await gossips.pass(1_000);
    expectHeard(others, ["delegated"]);
  });

  it("is nobody that is not writable, until it is", async () => {
    const alice = await gossips.one({}, { authorize: () => false });
    const bob = await gossips.one();
    await gossips.connect(bob, alice);
    alice.say("not for everybody");
    await gossips.pass(120_000);
    expect([alice.gossip.state?.speakers, bob.heard]).toEqual([0, []]);
    for (const peer of alice.network.peers.values()) peer.writable = true;
    await gossips.pass(120_000);
    expectHeard([bob], ["not for everybody"]);
  });

  it("is nobody whom the application does not allow, though he is met in passing, or was allowed before", async () => {
    const refused = new Set<string>();
    const [passer, fallen] = (await gossips.start(2)) as [GossipNode, GossipNode];
    const guarded = await gossips.one({}, { authorize: ({ id }) => !refused.has(id.text) });
    refused.add(passer.id);
    await gossips.connect(fallen, guarded);
    const met = passer.network.add(guarded.node.address, { passing: true });
    const there = await gossips.nodes.runtime.during(met);
    there.hold();
    // In passing, nobody is greeted who does not greet.
    await there.send(HelloMessage.of({ epoch: 0, record: new Uint8Array(0) }));
    await gossips.pass(10_000);
    expect(guarded.gossip.state).toMatchObject({ speakers: 1, active: 1 });
    const peer = guarded.network.peers.get(fallen.id) as Peer;
    peer.writable = false;
    guarded.say("for friends");
    await gossips.pass(120_000);
    expect([passer.texts, fallen.texts]).toEqual([[], []]);
    expect(guarded.gossip.state).toMatchObject({ speakers: 0, active: 0 });
    peer.writable = true;
    await gossips.pass(120_000);
    expect([passer.texts, fallen.texts]).toEqual([[], ["for friends"]]);
  });

  it("is not gone to with what is too large, or signed by another", async () => {
    const nodes = await gossips.start(2);
    await gossips.ring(nodes);
    const [alice, bob] = nodes as [GossipNode, GossipNode];
    const { maxMessageBytes } = alice.network.limits;
    const large = alice.network.broadcast({
      ...News.of(""),
      body: new Uint8Array(maxMessageBytes),
    });
    expect((await gossips.nodes.runtime.during(large.report())).reach).toBeUndefined();
    const signed = bob.network.sign(News.of("bob's own words"));
    const passed = alice.network.broadcast(signed);
    expect((await gossips.nodes.runtime.during(passed.report())).reach).toBeUndefined();
    const own = bob.network.broadcast(bob.network.sign(News.of("again")));
    expect((await gossips.nodes.runtime.during(own.report())).reach).toBeDefined();
  });
});

describe("an overlay", () => {
  it("finds others for who knows nobody", async () => {
    const nodes = await gossips.start(3);
    await gossips.ring(nodes);
    const { network } = nodes[0] as GossipNode;
    const lonely = await gossips.one({ overlay: { lookup: async () => [{ id: network.id }] } });
    await lonely.network.registerPlugin({
      name: "finder",
      findPeer: async () => nodes[0]?.node.address,
    });
    await gossips.pass(60_000);
    expect(lonely.gossip.state?.active).toBeGreaterThan(0);
    lonely.say("found");
    await gossips.pass(1_000);
    expectHeard(nodes, ["found"]);
  });
});
