/**
 * A closed world of HyParView machines: messages wait on links in order, and links are served by chance.
 */

import {
  HyParView,
  type HyParViewOptions,
  type MembershipMessage,
} from "../../src/gossip/machines.ts";

/** Whole numbers in [0, bound) from a seed. */
export function chance(seed: number): (bound: number) => number {
  let state = seed | 0;
  return (bound) => {
    state = (state + 0x9e3779b9) | 0;
    let value = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
    return ((value ^ (value >>> 15)) >>> 0) % bound;
  };
}

type Parcel = MembershipMessage | "connected" | "unreachable";

export class World {
  readonly nodes = new Map<string, HyParView>();
  readonly ups = new Map<string, Set<string>>();
  readonly #random: (bound: number) => number;
  readonly #options: Partial<HyParViewOptions>;
  readonly #links = new Map<string, { from: string; to: string; parcels: Parcel[] }>();
  readonly faults: string[] = [];
  now = 0;

  constructor(seed: number, options: Partial<HyParViewOptions> = {}) {
    this.#random = chance(seed);
    this.#options = options;
  }

  add(name: string): HyParView {
    const ups = new Set<string>();
    this.ups.set(name, ups);
    const node = new HyParView({
      ...this.#options,
      self: name,
      random: this.#random,
      out: {
        send: (to, message) => this.#put(name, to, message),
        dial: (to) => this.#put(to, name, this.nodes.has(to) ? "connected" : "unreachable"),
        release: () => {},
        up: (peer) => {
          if (ups.has(peer)) this.faults.push(`${name}: ${peer} is up twice`);
          ups.add(peer);
        },
        down: (peer) => {
          if (!ups.delete(peer))
            this.faults.push(`${name}: ${peer} is down without having been up`);
        },
      },
    });
    this.nodes.set(name, node);
    return node;
  }

  /** It is gone at once; those linked to it notice. */
  kill(name: string): void {
    this.nodes.delete(name);
    this.ups.delete(name);
    for (const [key, link] of this.#links) {
      if (link.from === name || link.to === name) this.#links.delete(key);
    }
    for (const node of this.nodes.values()) node.disconnected(name, this.now);
  }

  /** One message of a link by chance; returns whether there was any. */
  step(): boolean {
    const keys = [...this.#links.keys()];
    const key = keys[keys.length > 0 ? this.#random(keys.length) : 0];
    const link = key === undefined ? undefined : this.#links.get(key);
    if (key === undefined || link === undefined) return false;
    const parcel = link.parcels.shift();
    if (link.parcels.length === 0) this.#links.delete(key);
    const node = this.nodes.get(link.to);
    if (node === undefined || parcel === undefined) return true;
    if (parcel === "connected") {
      if (this.nodes.has(link.from)) node.connected(link.from, this.now);
      else node.unreachable(link.from, this.now);
    } else if (parcel === "unreachable") node.unreachable(link.from, this.now);
    else if (this.nodes.has(link.from)) node.receive(link.from, parcel, this.now);
    return true;
  }

  settle(): void {
    for (let steps = 0; steps < 200_000; steps++) if (!this.step()) return;
    this.faults.push("the world does not come to rest");
  }

  cycle(): void {
    this.now += 60_000;
    for (const node of [...this.nodes.values()]) {
      node.shuffle(this.now);
      node.poll(this.now);
    }
    this.settle();
  }

  /** What must hold whenever nothing is under way. */
  check({ active = 5, passive = 30 } = {}): string[] {
    const wrong = [...this.faults];
    for (const [name, node] of this.nodes) {
      if (node.active.size > active) wrong.push(`${name} has ${node.active.size} neighbours`);
      if (node.passive.size > passive) wrong.push(`${name} keeps ${node.passive.size} names`);
      if (node.active.has(name) || node.passive.has(name)) wrong.push(`${name} knows itself`);
      for (const peer of node.active) {
        if (node.passive.has(peer)) wrong.push(`${name} has ${peer} in both views`);
        if (this.nodes.get(peer)?.active.has(name) !== true)
          wrong.push(`${name} holds ${peer} alone`);
        if (this.ups.get(name)?.has(peer) !== true) wrong.push(`${name} did not say ${peer} is up`);
      }
      if (this.ups.get(name)?.size !== node.active.size) wrong.push(`${name} has other links up`);
      for (const peer of node.chosen) {
        if (!node.active.has(peer)) wrong.push(`${name} chose ${peer}, which is no neighbour`);
      }
    }
    return wrong;
  }

  /** Nodes that can be reached from one of them. */
  reach(): number {
    const order = [...this.nodes.keys()].slice(0, 1);
    const seen = new Set(order);
    for (const name of order) {
      for (const peer of this.nodes.get(name)?.active ?? []) {
        if (seen.has(peer) || !this.nodes.has(peer)) continue;
        seen.add(peer);
        order.push(peer);
      }
    }
    return seen.size;
  }

  #put(from: string, to: string, parcel: Parcel): void {
    const key = `${from}>${to}`;
    const link = this.#links.get(key);
    if (link === undefined) this.#links.set(key, { from, to, parcels: [parcel] });
    else link.parcels.push(parcel);
  }
}
