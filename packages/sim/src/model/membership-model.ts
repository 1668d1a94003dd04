/**
 * Membership model: thousands of HyParView machines in one process, without networks beneath them.
 *
 * The machines are the plugin's own. Messages arrive in the order they were sent, dials come to something
 * if and only if the other node lives. A cycle is one shuffle period: what died is noticed, replaced, and
 * every living node shuffles once.
 */

import {
  HyParView,
  type HyParViewOptions,
  type MembershipMessage,
} from "@testudo/plugins/gossip/machines";
import type { Random } from "../random.ts";

export interface MembershipModelOptions {
  readonly nodes: number;
  readonly random: Random;
  /** Of every machine. */
  readonly views?: Omit<HyParViewOptions, "self" | "random" | "out">;
  /** Called as links appear and go, at one end of them. */
  readonly up?: (node: number, peer: number) => void;
  readonly down?: (node: number, peer: number) => void;
}

interface Event {
  readonly to: number;
  readonly from: number;
  readonly what: MembershipMessage | "connected" | "unreachable";
}

export interface FloodFigures {
  readonly reached: number;
  /** Copies of the payload sent. */
  readonly payload: number;
  /** Hops of the last delivery. */
  readonly lastHop: number;
}

export class MembershipModel {
  readonly nodes: number;
  readonly machines: readonly HyParView[];
  /** Virtual time, in ms. */
  now = 0;
  /** Messages sent so far. */
  messages = 0;
  readonly #random: Random;
  readonly #alive: Uint8Array;
  #events: Event[] = [];
  #lost: [node: number, peer: number][] = [];

  constructor({ nodes, random, views = {}, up, down }: MembershipModelOptions) {
    this.nodes = nodes;
    this.#random = random;
    this.#alive = new Uint8Array(nodes).fill(1);
    const below = (bound: number): number => random.below(bound);
    this.machines = Array.from({ length: nodes }, (_, node) => {
      const out = {
        send: (to: string, what: MembershipMessage): void => {
          this.messages++;
          this.#events.push({ to: Number(to), from: node, what });
        },
        dial: (to: string): void => {
          const what = this.isAlive(Number(to)) ? "connected" : "unreachable";
          this.#events.push({ to: node, from: Number(to), what });
        },
        release: (): void => {},
        up: (peer: string): void => up?.(node, Number(peer)),
        down: (peer: string): void => down?.(node, Number(peer)),
      };
      return new HyParView({ ...views, self: String(node), random: below, out });
    });
  }

  isAlive(node: number): boolean {
    return this.#alive[node] === 1;
  }

  living(): number[] {
    return this.machines.flatMap((_, node) => (this.isAlive(node) ? [node] : []));
  }

  /** One after the other, each through somebody who is in already. */
  joinAll(): void {
    for (let node = 1; node < this.nodes; node++) this.join(node, this.#random.below(node));
  }

  join(node: number, contact: number): void {
    this.now += 1000;
    this.machines[node]?.join(String(contact), this.now);
    this.settle();
  }

  /** One shuffle period. */
  cycle(): void {
    this.now += 60_000;
    this.notice();
    for (const node of this.#random.shuffle(this.living())) {
      this.machines[node]?.shuffle(this.now);
      // Who shuffles at the same moment is chance: a few walks are under way at any time.
      if (this.#events.length > 1000) this.settle();
    }
    this.settle();
    for (const node of this.living()) this.machines[node]?.poll(this.now);
    this.settle();
  }

  /** At once, and nobody has noticed yet. */
  kill(nodes: Iterable<number>): void {
    for (const node of nodes) {
      if (!this.isAlive(node)) continue;
      this.#alive[node] = 0;
      for (const peer of this.machines[node]?.active ?? []) this.#lost.push([Number(peer), node]);
    }
  }

  /** The connections to the dead break, and their neighbours look for others. */
  notice(): void {
    const lost = this.#lost;
    this.#lost = [];
    for (const [node, peer] of this.#random.shuffle(lost)) {
      if (this.isAlive(node)) this.machines[node]?.disconnected(String(peer), this.now);
    }
    this.settle();
  }

  /** Until no message is under way. */
  settle(): void {
    while (this.#events.length > 0) {
      const events = this.#events;
      this.#events = [];
      for (const { to, from, what } of events) {
        const machine = this.machines[to];
        if (machine === undefined || !this.isAlive(to)) continue;
        if (what === "connected") {
          // It may have died since.
          if (this.isAlive(from)) machine.connected(String(from), this.now);
          else machine.unreachable(String(from), this.now);
        } else if (what === "unreachable") machine.unreachable(String(from), this.now);
        else machine.receive(String(from), what, this.now);
      }
    }
  }

  /** `node` has had enough of `peer`. */
  dismiss(node: number, peer: number): void {
    this.machines[node]?.dismiss(String(peer), this.now);
    this.settle();
  }

  /** Whoever has nobody left asks one of `bootstraps`, as a program does that knows their addresses. */
  rejoin(bootstraps: readonly number[]): void {
    for (const node of this.living()) {
      if (this.machines[node]?.active.size === 0) this.join(node, this.#random.pick(bootstraps));
    }
  }

  /** Living neighbours. */
  links(node: number): number[] {
    const links: number[] = [];
    for (const peer of this.machines[node]?.active ?? []) {
      if (this.isAlive(Number(peer))) links.push(Number(peer));
    }
    return links;
  }

  /** A message to everybody over every link but the one it came by. */
  flood(origin: number): FloodFigures {
    const hops = new Int32Array(this.nodes).fill(-1);
    hops[origin] = 0;
    const order = [origin];
    let payload = 0;
    let lastHop = 0;
    for (const node of order) {
      const links = this.links(node);
      payload += links.length - (node === origin ? 0 : 1);
      const next = (hops[node] ?? 0) + 1;
      for (const peer of links) {
        if (hops[peer] !== -1) continue;
        hops[peer] = next;
        lastHop = next;
        order.push(peer);
      }
    }
    return { reached: order.length, payload, lastHop };
  }

  /** Sizes of the connected parts of the living, the largest first. */
  islands(): number[] {
    const seen = new Uint8Array(this.nodes);
    const sizes: number[] = [];
    for (const start of this.living()) {
      if (seen[start] === 1) continue;
      seen[start] = 1;
      const part = [start];
      for (const node of part) {
        for (const peer of this.links(node)) {
          if (seen[peer] === 1) continue;
          seen[peer] = 1;
          part.push(peer);
        }
      }
      sizes.push(part.length);
    }
    return sizes.sort((a, b) => b - a);
  }
}
