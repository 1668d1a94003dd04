/**
 * Cluster: any number of networks over real sockets on loopback, each with a witness of what it saw.
 *
 *     await using cluster = new Cluster();            // net~noise
 *     const [alice, bob] = await cluster.start(2);
 *     await cluster.connect(alice, bob);
 *     await bob.saw(() => bob.texts.length === 1);
 *
 * Nothing is slept for: whoever waits is woken by what the plugin is told, and by nothing else.
 */

import {
  defineMessage,
  type InboundMessage,
  Network,
  type NetworkError,
  type NetworkOptions,
  type Peer,
  type StackParts,
  text,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";

export const Line = defineMessage({ name: "line", opcode: 1_200, codec: text });

/** What can be listened on, by its name. */
export const STACKS: Readonly<Record<string, () => StackParts>> = {
  "net~noise": () => [net(), noise()],
  "net~shs": () => [net(), shs()],
  "net~noauth": () => [net(), noauth()],
};

/** Longer than anything here takes, shorter than the runner's patience, so that a failure says what was seen. */
const PATIENCE_MS = 8_000;

/** A network, and everything its plugin was told, in order. */
export class Node {
  readonly network: Network;
  /** `added`, `message` or `deleted CODE`, with the peer's short id. */
  readonly events: string[] = [];
  readonly messages: InboundMessage[] = [];
  readonly reasons: NetworkError[] = [];
  /** The lines received. */
  readonly texts: string[] = [];
  address = "";
  readonly #wake = new Set<() => void>();

  constructor(network: Network) {
    this.network = network;
  }

  async start(address: string): Promise<void> {
    await this.network.registerPlugin({
      nodeAdded: ({ peer }) => this.#note(`added ${peer.id.short}`),
      newMessage: ({ peer, message }) => {
        this.messages.push(message);
        const line = message.as(Line);
        if (line !== undefined) this.texts.push(line);
        this.#note(`message ${peer.id.short}`);
      },
      nodeDeleted: ({ peer, reason }) => {
        if (reason !== undefined) this.reasons.push(reason);
        this.#note(`deleted ${reason?.code} ${peer.id.short}`);
      },
    });
    this.address = await this.network.listen(address);
  }

  /** Resolves when `holds()`, looking whenever something was seen. Rejects with what was seen instead. */
  saw(holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!holds()) return;
        done();
        resolve();
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`saw only: ${this.events.slice(-20).join(", ")}`));
      }, PATIENCE_MS);
      const done = (): void => {
        clearTimeout(timer);
        this.#wake.delete(look);
      };
      this.#wake.add(look);
      look();
    });
  }

  /** The peer that `other` is for this node. */
  peer(other: Node): Peer {
    const peer = this.network.peers.get(other.network.id.text);
    if (peer === undefined) throw new Error("not connected");
    return peer;
  }

  count(event: string): number {
    return this.events.filter((seen) => seen.startsWith(event)).length;
  }

  #note(event: string): void {
    this.events.push(event);
    for (const look of [...this.#wake]) look();
  }
}

export class Cluster implements AsyncDisposable {
  readonly nodes: Node[] = [];
  readonly #stack: string;

  constructor(stack: string = "net~noise") {
    this.#stack = stack;
  }

  /** A node that listens on a port of its own. */
  async one(options: NetworkOptions = {}): Promise<Node> {
    const stack = STACKS[this.#stack];
    if (stack === undefined) throw new TypeError(`no stack ${this.#stack}`);
    const node = new Node(new Network({ stacks: [stack()], ...options }));
    this.nodes.push(node);
    await node.start(this.#stack.replace("net", "net:127.0.0.1:0"));
    return node;
  }

  async start(count: number, options: NetworkOptions = {}): Promise<Node[]> {
    const nodes: Node[] = [];
    while (nodes.length < count) nodes.push(await this.one(options));
    return nodes;
  }

  /** `from` dials each of `to`; resolves when every side has the other. */
  async connect(from: Node, ...to: readonly Node[]): Promise<void> {
    for (const each of to) {
      const before = each.network.peers.size;
      await from.network.add(each.address);
      await each.saw(() => each.network.peers.size > before);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.network.close()));
  }
}
