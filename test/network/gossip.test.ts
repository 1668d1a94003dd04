/** Gossip among real networks, on virtual time. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type GossipNode, Gossips } from "../support/gossips.ts";

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
