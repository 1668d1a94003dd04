/**
 * World: nodes, the internet between them, and the time they share. What a scenario holds in its hands.
 *
 *     const world = new World({ seed, link: { latencyMs: 50 } });
 *     const [alice, bob] = [world.add({ name: "alice" }), world.add({ name: "bob" })];
 *     const peer = await world.during(bob.network.add(alice.address));
 *     await world.run(10_000);
 *
 * Time stands still unless `run`, `until` or `during` moves it, and they do so as fast as the machine can. The
 * same seed gives the same run: `trace.hash` says whether it did.
 */

import { Identity } from "@testudo/core";
import { type Churn, type ChurnOptions, startChurn } from "./churn.ts";
import { VirtualClock } from "./clock.ts";
import { Host, NATS } from "./host.ts";
import { Internet, type LinkRule, type WorldCounters } from "./internet.ts";
import type { LinkOptions } from "./line.ts";
import { type NodeOptions, NodeRuntime, SimNode } from "./node.ts";
import { Random } from "./random.ts";
import { Trace, type TraceOptions } from "./trace.ts";
import { simTransport } from "./transport.ts";
import { type Voucher, vouch } from "./vouch.ts";

export interface WorldOptions {
  readonly seed: number | string;
  /** Between all nodes, or asked for each pair. Default: 25 ms one way and up to 5 ms more. */
  readonly link?: LinkRule;
  /** How long a connection whose bytes do not come through goes on trying before it breaks. Default 120 s. */
  readonly breakMs?: number;
  readonly trace?: TraceOptions;
  /** Whatever moves time rejects with its reason once it has fired. */
  readonly signal?: AbortSignal;
}

const DEFAULT_LINK: LinkOptions = { latencyMs: 25, jitterMs: 5 };
const DEFAULT_BREAK_MS = 120_000;
/** A group's name must not be a node's. */
const NAME = /^[\w.-]+$/;

export class World implements AsyncDisposable, Voucher {
  /** For a scenario's own choices. */
  readonly random: Random;
  readonly trace: Trace;
  readonly clock: VirtualClock;
  readonly #seed: string;
  readonly #nodes = new Map<string, SimNode>();
  readonly #ids = new Map<string, { readonly name: string; readonly key: Uint8Array }>();
  readonly #internet: Internet;
  /** How many nodes there ever were, and how often each name was one of them. */
  #made = 0;
  readonly #incarnations = new Map<string, number>();
  #messages = 0;
  #failure: { error: unknown } | undefined;

  constructor(options: WorldOptions) {
    const { seed, link = DEFAULT_LINK, breakMs = DEFAULT_BREAK_MS, trace, signal } = options;
    if (typeof seed !== "number" && typeof seed !== "string") {
      throw new TypeError("seed must be a number or a text");
    }
    if (!(breakMs > 0)) throw new RangeError("breakMs must be above 0");
    this.#seed = String(seed);
    this.clock = new VirtualClock(`${seed}/clock`, signal);
    const { scheduler } = this.clock;
    this.random = new Random(`${seed}/scenario`);
    this.trace = new Trace(() => scheduler.now, trace);
    this.#internet = new Internet({
      scheduler,
      random: new Random(`${seed}/links`),
      trace: this.trace,
      link,
      breakMs,
    });
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.clock.now();
  }

  /** Those that run, by name, in the order they were added. A live view. */
  get nodes(): ReadonlyMap<string, SimNode> {
    return this.#nodes;
  }

  /** A copy. `messages` are what networks sent, core's own frames aside; it asks every node. */
  get counters(): Readonly<WorldCounters & { messages: number }> {
    let messages = this.#messages;
    for (const node of this.#nodes.values()) messages += sentBy(node);
    return { ...this.#internet.counters, messages };
  }

  /** The name of the node that has, or had, this id: a peer's as the scenario knows it. */
  nameOf(id: string): string | undefined {
    return this.#ids.get(id)?.name;
  }

  /** For `vouch`. */
  keyOf(id: string): Uint8Array | undefined {
    return this.#ids.get(id)?.key;
  }

  /**
   * A node, at once; its plugins start and it listens before the next event. Throws `TypeError` or
   * `RangeError` for options that make no sense, and what its network throws.
   */
  add(options: NodeOptions = {}): SimNode {
    const { name = `n${this.#made}`, group = "", nat = "public", skewMs = 0 } = options;
    const { bandwidth = Number.POSITIVE_INFINITY } = options;
    if (!NAME.test(name)) throw new TypeError("name must be letters, digits, and . _ -");
    if (this.#nodes.has(name)) throw new TypeError(`there is a node ${name} already`);
    if (!NATS.includes(nat)) throw new TypeError(`nat must be one of ${NATS.join(", ")}`);
    if (!(bandwidth > 0)) throw new RangeError("bandwidth must be above 0");
    if (!Number.isFinite(skewMs)) throw new RangeError("skewMs must be finite");
    this.#made++;
    const incarnation = (this.#incarnations.get(name) ?? 0) + 1;
    this.#incarnations.set(name, incarnation);
    const random = new Random(`${this.#seed}/node/${name}/${incarnation}`);
    const identity = options.identity ?? Identity.generate((length) => random.bytes(length));
    const host = new Host(name, group, nat, bandwidth);
    const internet = this.#internet;
    const runtime = new NodeRuntime(this.clock.scheduler, random, host, skewMs);
    const transport = simTransport(internet, host);
    const transform = vouch(this, name);
    const stacks = options.stacks?.(transport, transform) ?? [[transport, transform]];
    const owner = {
      kill: (whose: Host, silently: boolean) => internet.kill(whose, silently),
      left: (node: SimNode, how: string) => this.#left(node, how),
    };
    const node = new SimNode({ host, runtime, identity, stacks, owner }, options);
    this.#nodes.set(name, node);
    this.#ids.set(identity.id.text, { name, key: identity.publicKey });
    internet.hosts.set(name, host);
    this.trace.add("join", name, "", incarnation);
    node.ready.catch((error: unknown) => {
      // One that ended meanwhile need not have started.
      if (node.running) this.#failure ??= { error };
    });
    return node;
  }

  /** How all are linked that have no link of their own. */
  link(rule: LinkRule): void;
  /** How two nodes, or two groups, or a node and a group are linked, in both directions; for what is sent from now on. */
  link(one: SimNode | string, other: SimNode | string, options: LinkOptions): void;
  link(one: LinkRule | SimNode | string, other?: SimNode | string, options?: LinkOptions): void {
    if (other === undefined || options === undefined) this.#internet.setRule(one as LinkRule);
    else this.#internet.setLink(nameOf(one as SimNode | string), nameOf(other), options);
  }

  /**
   * Nothing passes from one part to another until `heal`: connections stall and after `breakMs` break, dials time
   * out. A part is a list of nodes, or of names of nodes or groups; all others together are one part more.
   */
  partition(...parts: readonly (readonly (SimNode | string)[])[]): void {
    this.#internet.partition(parts.map((part) => part.flatMap((each) => this.#hostsOf(each))));
  }

  heal(): void {
    this.#internet.heal();
  }

  /** Nodes come and go from now on. Throws `RangeError` for times that make no sense. */
  churn(options: ChurnOptions): Churn {
    const owner = {
      random: this.random.fork("churn"),
      after: (delayMs: number, callback: () => void) => {
        this.#internet.after(delayMs, callback);
      },
    };
    return startChurn(owner, { ...options, nodes: options.nodes ?? [...this.#nodes.values()] });
  }

  /** Moves time on by `ms`. Rejects when a node did not start. */
  async run(ms: number): Promise<void> {
    this.#check();
    await this.clock.advance(ms);
    this.#check();
  }

  /**
   * Moves time on until `done()`, asked after every event, but by no more than `maxMs`. Says whether it was.
   * With `everyMs`, it is asked only so often: for what takes long to find out.
   */
  async until(done: () => boolean, maxMs: number, everyMs?: number): Promise<boolean> {
    this.#check();
    if (everyMs === undefined) {
      const held = await this.clock.until(done, maxMs);
      this.#check();
      return held;
    }
    if (!(everyMs > 0)) throw new RangeError("everyMs must be above 0");
    const end = this.now + maxMs;
    for (;;) {
      if (done()) return true;
      if (this.now >= end) return false;
      await this.run(Math.min(everyMs, end - this.now));
    }
  }

  /** Moves time on while `work` is under way, by at most `maxMs` (default 60 s), and gives what comes of it. */
  async during<T>(work: Promise<T>, maxMs?: number): Promise<T> {
    const done = await this.clock.during(work, maxMs);
    this.#check();
    return done;
  }

  /** For work that `during` runs: resolves when so much virtual time has passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#internet.after(ms, resolve);
    });
  }

  /** Ends all that runs, without goodbyes. Idempotent. */
  async close(): Promise<void> {
    for (const node of [...this.#nodes.values()]) node.vanish();
    this.clock.scheduler.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #hostsOf(which: SimNode | string): Host[] {
    if (typeof which !== "string") return [which.host];
    const node = this.#nodes.get(which);
    if (node !== undefined) return [node.host];
    const members = [...this.#nodes.values()].filter(({ group }) => group === which);
    if (members.length === 0) throw new TypeError(`there is no node and no group ${which}`);
    return members.map(({ host }) => host);
  }

  #left(node: SimNode, how: string): void {
    this.#messages += sentBy(node);
    if (how === "stop") this.trace.add("stop", node.name, "", 0);
    if (this.#nodes.get(node.name) === node) this.#nodes.delete(node.name);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

function nameOf(which: SimNode | string): string {
  return typeof which === "string" ? which : which.name;
}

function sentBy({ network }: SimNode): number {
  return network.networkState().counters.messagesOut;
}
