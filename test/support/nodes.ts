/**
 * Nodes: any number of networks on one line of virtual time, each listening under its name.
 *
 *     const nodes = new Nodes();
 *     const [alice, bob] = [await nodes.start("alice"), await nodes.start("bob")];
 *     const [bobAsSeenByAlice] = await nodes.connect(alice, bob);
 *     await nodes.close(); // throws when a timer is left
 */

import {
  type Identity,
  type Limits,
  type Logger,
  Network,
  type Peer,
  type Transform,
} from "@testudo/core";
import { MemoryHub, type MemoryOptions, memory } from "@testudo/transports/memory";
import { Faulty } from "./faulty.ts";
import { VirtualRuntime } from "./virtual-runtime.ts";
import { vouch } from "./vouch.ts";

const LONGEST_CONNECT_MS = 60_000;

const ON_THE_LINE_MS = 200;

export interface NodesOptions {
  readonly seed?: number;
  /** Default: `vouch`, which costs nothing. */
  readonly transform?: () => Transform;
  readonly line?: MemoryOptions;
  readonly limits?: Partial<Limits>;
}

export interface TestNode {
  readonly name: string;
  readonly network: Network;
  /** Where it listens. */
  readonly address: string;
  /** What its connections go through. */
  readonly line: Faulty;
}

export interface StartOptions {
  readonly identity?: Identity;
  readonly logger?: Logger;
  readonly limits?: Partial<Limits>;
  readonly authorize?: (peer: Peer) => boolean | Promise<boolean>;
}

export class Nodes {
  readonly runtime: VirtualRuntime;
  readonly #options: NodesOptions;
  readonly #hub = new MemoryHub();
  readonly #transform: () => Transform;
  readonly #networks: Network[] = [];

  constructor(options: NodesOptions = {}) {
    this.#options = options;
    this.runtime = new VirtualRuntime(options.seed ?? 1);
    this.#transform = options.transform ?? vouch;
  }

  /** A node that listens under `name`; a second one of that name after the first was closed. */
  async start(name: string, options: StartOptions = {}): Promise<TestNode> {
    const { runtime } = this;
    const line = new Faulty(memory({ ...this.#options.line, hub: this.#hub, runtime }));
    const transform = this.#transform();
    const network = new Network({
      ...options,
      runtime,
      stacks: [[line, transform]],
      limits: { ...this.#options.limits, ...options.limits },
    });
    this.#networks.push(network);
    const address = await network.listen(`memory:${name}~${transform.name}`);
    return { name, network, address, line };
  }

  /** `from` dials `to`. Each as the other sees it: `to` as seen by `from` first. */
  async connect(from: TestNode, to: TestNode): Promise<[Peer, Peer]> {
    const there = await this.runtime.during(from.network.add(to.address));
    const { peers } = to.network;
    await this.runtime.until(() => peers.has(from.network.id.text), LONGEST_CONNECT_MS);
    const here = peers.get(from.network.id.text);
    if (here === undefined) throw new Error(`${to.name} does not know ${from.name}`);
    return [there, here];
  }

  /** Closes all that are open. Rejects when a timer is left behind. */
  async close(): Promise<void> {
    await this.runtime.during(Promise.all(this.#networks.map((network) => network.close())));
    // What is on the line when both ends are closed still arrives.
    await this.runtime.advance(ON_THE_LINE_MS);
    if (this.runtime.pending > 0) throw new Error(`${this.runtime.pending} timers are left`);
  }
}
