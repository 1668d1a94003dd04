/** Gossip over real sockets: TCP and noise, on loopback. */

import { defineMessage, type Network, text } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cluster, type Node } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";

const News = defineMessage({ name: "news", opcode: 1_240, codec: text, reach: "network" });

describe("gossip over sockets", () => {
  expectNoLeaks();

  let cluster: Cluster;
  beforeEach(() => {
    cluster = new Cluster();
  });
  afterEach(() => cluster[Symbol.asyncDispose]());

  const heard = (node: Node): string[] =>
    node.messages.map((message) => message.as(News)).filter((news) => news !== undefined);

  async function ring(count: number): Promise<Node[]> {
    const nodes = await cluster.start(count);
    for (const { network } of nodes) await network.registerPlugin(gossip());
    for (const [i, node] of nodes.entries()) {
      await cluster.connect(node, nodes[(i + 1) % count] as Node);
    }
    return nodes;
  }

  it("reaches twelve nodes in a ring, exactly once, also when one is killed on the way", async () => {
    const nodes = await ring(12);
    const [first] = nodes as [Node];
    const texts = Array.from({ length: 20 }, (_, i) => `news ${i}`);
    for (const each of texts.slice(0, 10)) first.network.broadcast(News.of(each));
    for (const node of nodes.slice(1)) await node.saw(() => heard(node).length === 10);
    const killed = nodes[6] as Node;
    for (const peer of killed.network.peers.values())
      peer.close({ code: "TRUNCATED", text: "killed" });
    await killed.network.close();
    for (const each of texts.slice(10)) first.network.broadcast(News.of(each));
    const left = nodes.slice(1).filter((node) => node !== killed);
    for (const node of left) await node.saw(() => heard(node).length === 20);
    for (const node of left) expect(heard(node).toSorted()).toEqual(texts.toSorted());
    for (const node of left) {
      const origins = node.messages
        .filter((m) => m.as(News) !== undefined)
        .map((m) => m.sender.text);
      expect(new Set(origins)).toEqual(new Set([first.network.id.text]));
    }
  });

  it("tells how far it went", async () => {
    const nodes = await ring(6);
    const network = nodes[0]?.network as Network;
    const { reach, failed } = await network.broadcast(News.of("hello")).report();
    expect(failed).toEqual([]);
    expect(reach).toEqual({ nodes: 5, complete: true });
  });
});
