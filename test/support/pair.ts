/**
 * Pair: two networks over a line of virtual time that greet each other with numbered messages.
 *
 * What they saw is written down, so that a test can say: one stream, the same on both sides, every
 * message once and in order.
 */

import {
  defineMessage,
  type Identity,
  type Limits,
  Network,
  type Peer,
  type Transform,
  text,
} from "@testudo/core";
import { MemoryHub, type MemoryOptions, memory } from "@testudo/transports/memory";
import { Faulty } from "./faulty.ts";
import { VirtualRuntime } from "./virtual-runtime.ts";
import { vouch } from "./vouch.ts";

export const Numbered = defineMessage({ name: "numbered", opcode: 1_100, codec: text });

/** One network and what it saw. */
export class Member {
  readonly network: Network;
  /** What its connections go through. */
  readonly line: Faulty;
  readonly received: string[] = [];
  /** `added`, `message` and `deleted CODE`, in the order seen. */
  readonly events: string[] = [];
  readonly streams: Peer[] = [];
  address = "";
  /** Greets whoever comes with that many messages at once. */
  greeting = 0;
  /** The number its first message bears. */
  first = 0;
  #sent = 0;

  constructor(network: Network, line: Faulty) {
    this.network = network;
    this.line = line;
  }

  async start(name: string, section: string): Promise<void> {
    await this.network.registerPlugin({
      nodeAdded: ({ peer }) => {
        this.events.push("added");
        this.streams.push(peer);
        for (let i = 0; i < this.greeting; i++) this.say();
      },
      newMessage: ({ message }) => {
        this.events.push("message");
        const line = message.as(Numbered);
        if (line !== undefined) this.received.push(line);
      },
      nodeDeleted: ({ reason }) => {
        this.events.push(`deleted ${reason?.code}`);
      },
    });
    this.address = await this.network.listen(`memory:${name}~${section}`);
  }

  /** Broadcasts the next number. */
  say(): void {
    this.network.broadcast(Numbered.of(String(this.first + this.#sent++)));
  }

  get sent(): string[] {
    return Array.from({ length: this.#sent }, (_, i) => String(this.first + i));
  }

  count(event: string): number {
    return this.events.filter((seen) => seen.startsWith(event)).length;
  }
}

export interface PairOptions {
  readonly identities: readonly [Identity, Identity];
  readonly seed: number;
  readonly line?: MemoryOptions;
  readonly transform?: () => Transform;
  readonly limits?: Partial<Limits>;
}

export class Pair {
  readonly runtime: VirtualRuntime;
  readonly one: Member;
  readonly other: Member;
  readonly #options: PairOptions;
  readonly #transform: Transform;
  readonly #hub = new MemoryHub();

  constructor(options: PairOptions) {
    this.#options = options;
    this.#transform = options.transform?.() ?? vouch();
    this.runtime = new VirtualRuntime(options.seed);
    this.one = this.member(options.identities[0], 1);
    this.other = this.member(options.identities[1], 2);
  }

  /** A further node on the same line and time, for one that starts anew. */
  member(identity: Identity, salt: number): Member {
    const { line = {}, seed, limits = {} } = this.#options;
    const below = memory({ ...line, hub: this.#hub, runtime: this.runtime, seed: seed * 8 + salt });
    const faulty = new Faulty(below);
    const network = new Network({
      identity,
      stacks: [[faulty, this.#transform]],
      runtime: this.runtime,
      limits,
    });
    return new Member(network, faulty);
  }

  /** Starts a further one under a name of its own. */
  async join(member: Member, name: string): Promise<void> {
    await member.start(name, this.#transform.name);
  }

  async start(): Promise<void> {
    await this.join(this.one, "one");
    await this.join(this.other, "other");
  }

  /** Throws unless each holds the other by one end of the same stream. */
  checkStream(): void {
    const [mine, another] = this.one.network.peers.values();
    const [theirs, surplus] = this.other.network.peers.values();
    if (mine === undefined || theirs === undefined) throw new Error("no stream");
    if (another !== undefined || surplus !== undefined) throw new Error("more than one peer");
    if (mine.side === theirs.side) throw new Error(`both sides are ${mine.side}`);
  }

  /** The same, and every message ever sent arrived, once and in order. */
  check(): void {
    this.checkStream();
    checkAll(this.one, this.other);
    checkAll(this.other, this.one);
  }

  /** Closes both; throws when a timer is left. */
  async close(): Promise<void> {
    const closing = Promise.all([this.one.network.close(), this.other.network.close()]);
    await this.runtime.during(closing);
    // What the line still carries arrives nowhere; a node's own timers would be longer.
    await this.runtime.advance(500);
    if (this.runtime.pending > 0) throw new Error(`${this.runtime.pending} timers are left`);
  }
}

/** Throws unless all of `from` arrived at `to`, once and in order. */
export function checkAll(from: Member, to: Member): void {
  const got = to.received.join(" ");
  if (got !== from.sent.join(" ")) throw new Error(`sent ${from.sent}, received ${got}`);
}
