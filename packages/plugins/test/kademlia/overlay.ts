/** Overlays for tests: nodes with the plugin on one line of virtual time, and strangers who say what they like. */

import type { Message, MessageContext } from "@testudo/core";
import {
  Nodes,
  type NodesOptions,
  type StartOptions,
  type TestNode,
} from "../../../../test/support/nodes.ts";
import { type Kademlia, type KademliaOptions, kademlia } from "../../src/kademlia/index.ts";
import { LookupRequest, LookupResponse, RecordNews } from "../../src/kademlia/messages.ts";
import { type ContactRecord, signRecord } from "../../src/record/record.ts";

export interface OverlayNode extends TestNode {
  readonly overlay: Kademlia;
}

export class Overlays {
  readonly nodes: Nodes;

  constructor(options: NodesOptions = {}) {
    this.nodes = new Nodes({ line: { latencyMs: 10 }, ...options });
  }

  get runtime(): Nodes["runtime"] {
    return this.nodes.runtime;
  }

  async start(
    name: string,
    options: KademliaOptions = {},
    node: StartOptions = {},
  ): Promise<OverlayNode> {
    const started = await this.nodes.start(name, node);
    const overlay = kademlia(options);
    await this.runtime.during(started.network.registerPlugin(overlay));
    return { ...started, overlay };
  }

  /** The first, and others that join through it. */
  async joined(count: number, options: KademliaOptions = {}): Promise<OverlayNode[]> {
    const first = await this.start("n0", options);
    const all = [first];
    for (let i = 1; i < count; i++) {
      all.push(await this.start(`n${i}`, { ...options, bootstrap: [first.address] }));
    }
    await this.runtime.during(Promise.all(all.map(({ overlay }) => overlay.joined())));
    await this.runtime.advance(20_000);
    return all;
  }

  close(): Promise<void> {
    return this.nodes.close();
  }
}

/** A node that speaks the overlay's messages as `answer` has it. `told`: its record, once it was sent. */
export async function stranger(
  overlays: Overlays,
  name: string,
  answer: (request: LookupRequest, context: MessageContext) => Message | undefined,
  started: StartOptions = {},
): Promise<TestNode & { readonly asked: LookupRequest[]; record(more?: number): ContactRecord }> {
  const node = await overlays.nodes.start(name, started);
  const asked: LookupRequest[] = [];
  await node.network.registerPlugin({
    name: "stranger",
    newMessage(context) {
      const request = context.message.as(LookupRequest);
      if (request === undefined) return;
      asked.push(request);
      const said = answer(request, context);
      return said === undefined ? undefined : context.reply(said);
    },
    nodeAdded: ({ peer }) => peer.send(RecordNews.of(record().bytes)).catch(() => {}),
  });
  const record = (more = 0): ContactRecord => recordOf(overlays, node, more);
  return { ...node, asked, record };
}

export function recordOf(
  overlays: Overlays,
  { network, address }: TestNode,
  more = 0,
): ContactRecord {
  const now = Math.floor(overlays.runtime.wallClock());
  return signRecord(network.identity, {
    networkId: network.networkId,
    seq: now + more,
    addresses: [address],
    expiresAt: now + 86_400_000,
  });
}

export function says(records: readonly Uint8Array[], terminal = false): Message {
  return LookupResponse.of({ terminal, records, value: undefined });
}
