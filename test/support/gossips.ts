/**
 * Gossips: nodes with the plugin `gossip` on one line of virtual time, each with a witness of what it was given.
 *
 *     const gossips = new Gossips();
 *     const nodes = await gossips.start(12);
 *     await gossips.ring(nodes);
 *     nodes[0].say("hello");
 */

import { type Delivery, defineMessage, type MessageType, type Network, text } from "@testudo/core";
import { type Gossip, type GossipOptions, gossip } from "@testudo/plugins/gossip";
import { Nodes, type NodesOptions, type StartOptions, type TestNode } from "./nodes.ts";

export const News: MessageType<string> = defineMessage({
  name: "news",
  opcode: 1_240,
  codec: text,
  reach: "network",
});
/** Of which nobody said that it travels. */
export const Whisper: MessageType<string> = defineMessage({
  name: "whisper",
  opcode: 1_241,
  codec: text,
});

export interface Heard {
  readonly text: string;
  /** The sender's id, which is the origin's. */
  readonly from: string;
  readonly via: string;
}

export class GossipNode {
  readonly heard: Heard[] = [];
  readonly whispers: string[] = [];
  readonly node: TestNode;
  readonly gossip: Gossip;

  constructor(node: TestNode, plugin: Gossip) {
    this.node = node;
    this.gossip = plugin;
  }

  get network(): Network {
    return this.node.network;
  }

  get id(): string {
    return this.node.network.id.text;
  }

  /** What was heard, sorted. */
  get texts(): string[] {
    return this.heard.map((each) => each.text).toSorted();
  }

  say(what: string): Delivery {
    return this.network.broadcast(News.of(what));
  }
}

export class Gossips {
  readonly nodes: Nodes;
  readonly all: GossipNode[] = [];
  #count = 0;

  constructor(options: NodesOptions = {}) {
    this.nodes = new Nodes(options);
  }

  async one(options: GossipOptions = {}, started: StartOptions = {}): Promise<GossipNode> {
    const name = `node-${this.#count++}`;
    const plugin = gossip(options);
    const node = new GossipNode(await this.nodes.start(name, started), plugin);
    await node.network.registerPlugin(plugin);
    await node.network.registerPlugin({
      name: "witness",
      newMessage({ message, peer }) {
        const news = message.as(News);
        if (news !== undefined)
          node.heard.push({ text: news, from: message.sender.text, via: peer.id.text });
        const whisper = message.as(Whisper);
        if (whisper !== undefined) node.whispers.push(whisper);
      },
    });
    this.all.push(node);
    return node;
  }

  async start(count: number, options: GossipOptions = {}): Promise<GossipNode[]> {
    const nodes: GossipNode[] = [];
    while (nodes.length < count) nodes.push(await this.one(options));
    return nodes;
  }

  async connect(from: GossipNode, to: GossipNode): Promise<void> {
    await this.nodes.connect(from.node, to.node);
  }

  /** Each dials the next. Then as long as it takes until the views have settled. */
  async ring(nodes: readonly GossipNode[]): Promise<void> {
    for (const [at, node] of nodes.entries()) {
      await this.connect(node, nodes[(at + 1) % nodes.length] as GossipNode);
    }
    await this.pass(5_000);
  }

  pass(ms: number): Promise<void> {
    return this.nodes.runtime.advance(ms);
  }

  close(): Promise<void> {
    return this.nodes.close();
  }
}
