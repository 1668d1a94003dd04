/**
 * Node: a real `Network` in a world, with a clock, a key and a place of its own.
 *
 * It ends in one of three ways: `stop` says goodbye, `kill` leaves what the operating system says for a process
 * that died, `vanish` leaves silence.
 */

import {
  type AnyPlugin,
  type Identity,
  Network,
  type NetworkOptions,
  type Runtime,
  type StackParts,
  type Timer,
  type Transform,
  type Transport,
} from "@testudo/core";
import { EPOCH_MS } from "./clock.ts";
import type { Host, Nat } from "./host.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

export interface NodeOptions {
  /** Unique among the nodes that run; stands in its address. Default: `n0`, `n1` and so on. */
  readonly name?: string;
  /** For links and partitions. Default: none. */
  readonly group?: string;
  /** Default: `public`. */
  readonly nat?: Nat;
  /** Bytes per second of everything it sends together. Default: no bound. */
  readonly bandwidth?: number;
  /** How far its wall clock is ahead of the world's, in milliseconds. Default 0. */
  readonly skewMs?: number;
  /** Default: a key from the world's seed and the node's name. */
  readonly identity?: Identity;
  /** Registered in this order, before it listens. */
  readonly plugins?: readonly AnyPlugin[];
  /** Its stacks over the world's transport. Default: `(sim, vouch) => [[sim, vouch]]`, without cryptography. */
  readonly stacks?: (sim: Transport, vouch: Transform) => readonly StackParts[];
  /** Whether it listens, on all its stacks. Default true. */
  readonly listen?: boolean;
  /** What else its network is given: limits, a network id, `authorize`, a logger. */
  readonly options?: Omit<NetworkOptions, "identity" | "stacks" | "runtime">;
  /** Makes its network, for an application that has its own way to. Default: `new Network(options)`. */
  readonly network?: (options: NetworkOptions) => Network;
}

/** Time and randomness of one node. */
export class NodeRuntime implements Runtime {
  /** How far the wall clock is ahead, in milliseconds. */
  skewMs: number;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #host: Host;

  constructor(scheduler: Scheduler, random: Random, host: Host, skewMs: number) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#host = host;
    this.skewMs = skewMs;
  }

  now(): number {
    return this.#scheduler.now;
  }

  wallClock(): number {
    return EPOCH_MS + this.#scheduler.now + this.skewMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const scheduler = this.#scheduler;
    return scheduler.set(scheduler.now + Math.max(delayMs, 0), callback, this.#host);
  }

  randomBytes(length: number): Uint8Array {
    return this.#random.bytes(length);
  }
}

/** What a node asks of the world it is in. */
export interface NodeOwner {
  kill(host: Host, silently: boolean): void;
  /** It is over, in whatever way. Called once. */
  left(node: SimNode, how: "stop" | "kill" | "vanish"): void;
}

export interface NodeParts {
  readonly host: Host;
  readonly runtime: NodeRuntime;
  readonly identity: Identity;
  readonly stacks: readonly StackParts[];
  readonly owner: NodeOwner;
}

export class SimNode {
  readonly name: string;
  readonly group: string;
  readonly identity: Identity;
  readonly network: Network;
  /** What others dial: one alternative for each stack, the key in it. */
  readonly address: string;
  /** Its plugins have started and it listens; rejects when that fails, and so does what moves time next. */
  readonly ready: Promise<void>;
  /** For the world. */
  readonly host: Host;
  readonly #runtime: NodeRuntime;
  readonly #owner: NodeOwner;
  #stopping: Promise<void> | undefined;
  #left = false;

  constructor(parts: NodeParts, options: NodeOptions) {
    const { host, runtime, identity, stacks, owner } = parts;
    this.host = host;
    this.name = host.name;
    this.group = host.group;
    this.identity = identity;
    this.#runtime = runtime;
    this.#owner = owner;
    const make = options.network ?? ((given: NetworkOptions) => new Network(given));
    this.network = make({ ...options.options, identity, stacks, runtime });
    this.address = stacks
      .map(([, ...transforms], port) =>
        [placeOf(host.name, port), ...transforms.map((each) => each.section(identity).text)].join(
          "~",
        ),
      )
      .join(";");
    this.ready = this.#start(stacks, options);
  }

  get running(): boolean {
    return !this.host.over;
  }

  /** How far its wall clock is ahead of the world's, in milliseconds; setting it makes the clock jump. */
  get skewMs(): number {
    return this.#runtime.skewMs;
  }

  set skewMs(ms: number) {
    if (!Number.isFinite(ms)) throw new RangeError("skewMs must be finite");
    this.#runtime.skewMs = ms;
  }

  /** Politely: plugins close, peers hear a goodbye. Resolves when nothing is left, which takes virtual time. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** As `kill -9`: no goodbye, but its machine cuts the connections and refuses dials. */
  kill(): void {
    this.#end("kill");
  }

  /** As when the power fails: connections stall, dials time out. */
  vanish(): void {
    this.#end("vanish");
  }

  async #start(stacks: readonly StackParts[], options: NodeOptions): Promise<void> {
    for (const plugin of options.plugins ?? []) await this.network.registerPlugin(plugin);
    if (options.listen === false) return;
    for (const [port, [, ...transforms]] of stacks.entries()) {
      const names = transforms.map(({ name }) => name);
      await this.network.listen([placeOf(this.name, port), ...names].join("~"));
    }
  }

  async #stop(): Promise<void> {
    await this.network.close();
    this.#end("stop");
  }

  #end(how: "stop" | "kill" | "vanish"): void {
    if (this.#left) return;
    this.#left = true;
    this.#owner.left(this, how);
    this.#owner.kill(this.host, how === "vanish");
  }
}

function placeOf(name: string, port: number): string {
  return port === 0 ? `sim:${name}` : `sim:${name}:${port}`;
}
