/**
 * Internet: who can reach whom in a world, how fast, and who waits for what. Hosts by name, links between
 * them, partitions. It moves no bytes itself: connections do, and ask here.
 */

import type { Timer } from "@testudo/core";
import type { SimConnection } from "./connection.ts";
import type { Host } from "./host.ts";
import { type LinkOptions, type LinkShape, shapeOf } from "./line.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Trace } from "./trace.ts";

/** How two nodes are linked: for all alike, or asked for each pair. */
export type LinkRule = LinkOptions | ((from: Host, to: Host) => LinkOptions);

/** Since the world was made. */
export interface WorldCounters {
  /** Dials begun. */
  dials: number;
  /** Connections opened. */
  connections: number;
  /** Ends of connections that are open now: two for each connection. */
  open: number;
  /** Writes to connections. */
  writes: number;
  /** Bytes of them, handshakes included, each counted once. */
  bytes: number;
}

export interface InternetOptions {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly trace: Trace;
  readonly link: LinkRule;
  readonly breakMs: number;
}

export class Internet {
  readonly random: Random;
  readonly trace: Trace;
  /** How long a sender goes on without an answer. */
  readonly breakMs: number;
  readonly counters: WorldCounters = { dials: 0, connections: 0, open: 0, writes: 0, bytes: 0 };
  /** Connections whose bytes do not come through. */
  readonly stalled: Set<SimConnection> = new Set();
  readonly hosts: Map<string, Host> = new Map();
  /** Changes whenever a link does. */
  epoch = 0;
  readonly #scheduler: Scheduler;
  readonly #links = new Map<string, LinkShape>();
  #rule: LinkRule;
  #shape: LinkShape | undefined;
  #parted = false;

  constructor(options: InternetOptions) {
    this.#scheduler = options.scheduler;
    this.random = options.random;
    this.trace = options.trace;
    this.breakMs = options.breakMs;
    this.#rule = options.link;
    this.#shape = typeof this.#rule === "function" ? undefined : shapeOf(this.#rule);
  }

  now(): number {
    return this.#scheduler.now;
  }

  /** `owner`: whose doing it is; when that is over, it does not happen. */
  at(time: number, callback: () => void, owner?: Host): Timer {
    return this.#scheduler.set(time, callback, owner);
  }

  after(delayMs: number, callback: () => void, owner?: Host): Timer {
    return this.#scheduler.set(this.#scheduler.now + delayMs, callback, owner);
  }

  /** Of these two, else of one of them and the other's group, else of the groups, else the world's. */
  shapeOf(from: Host, to: Host): LinkShape {
    if (this.#links.size > 0) {
      const own =
        this.#links.get(pairOf(from.name, to.name)) ??
        this.#links.get(pairOf(from.name, to.group)) ??
        this.#links.get(pairOf(from.group, to.name)) ??
        this.#links.get(pairOf(from.group, to.group));
      if (own !== undefined) return own;
    }
    if (this.#shape !== undefined) return this.#shape;
    return shapeOf(typeof this.#rule === "function" ? this.#rule(from, to) : this.#rule);
  }

  /** The rule for all who have none of their own. */
  setRule(rule: LinkRule): void {
    this.#shape = typeof rule === "function" ? undefined : shapeOf(rule);
    this.#rule = rule;
    this.epoch++;
  }

  /** Names of nodes or groups; both directions. */
  setLink(one: string, other: string, options: LinkOptions): void {
    const shape = shapeOf(options);
    this.#links.set(pairOf(one, other), shape);
    this.#links.set(pairOf(other, one), shape);
    this.epoch++;
  }

  /** Whether what `from` sends now never arrives at `to`. */
  blocked(from: Host, to: Host): boolean {
    return (this.#parted && from.part !== to.part) || from.gone || to.gone;
  }

  /** Each list is a part of its own; hosts in none of them are one together. */
  partition(parts: readonly (readonly Host[])[]): void {
    for (const host of this.hosts.values()) host.part = 0;
    for (const [index, hosts] of parts.entries()) for (const host of hosts) host.part = index + 1;
    this.#parted = true;
    this.trace.add("partition", "", "", parts.length);
    this.#wake();
  }

  heal(): void {
    this.#parted = false;
    this.trace.add("heal", "", "", 0);
    this.#wake();
  }

  #wake(): void {
    for (const connection of [...this.stalled]) connection.healed();
  }

  /** Its process ends without a goodbye. `silently`: the machine too. */
  kill(host: Host, silently: boolean): void {
    if (host.over) return;
    host.over = true;
    host.gone = silently;
    host.doors.clear();
    for (const end of [...host.ends]) end.die(silently);
    this.trace.add(silently ? "vanish" : "kill", host.name, "", 0);
  }
}

function pairOf(from: string, to: string): string {
  return `${from}\n${to}`;
}
