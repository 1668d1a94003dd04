/**
 * A world for the tests of the tree: one machine whose words are kept, and a forest of them on the links of a graph.
 */

import { type Announcement, Plumtree, type PlumtreeOptions } from "../../src/gossip/plumtree.ts";
import { chance } from "./membership-world.ts";

export type Said =
  | { what: "push"; to: string; id: string; payload: string; hops: number }
  | { what: "announce"; to: string; entries: readonly Announcement[] }
  | { what: "prune"; to: string }
  | { what: "graft"; to: string; id: string | undefined; hops: number };

export interface TreeNode {
  readonly machine: Plumtree<string>;
  readonly said: Said[];
  readonly delivered: string[];
  readonly blamed: string[];
  /** What was said since last asked. */
  readonly news: () => string[];
}

export function node(
  options: Partial<PlumtreeOptions<string>> = {},
  peers: readonly string[] = [],
): TreeNode {
  const said: Said[] = [];
  const delivered: string[] = [];
  const blamed: string[] = [];
  const machine = new Plumtree<string>({
    timer1Ms: 100,
    timer2Ms: 10,
    ...options,
    out: {
      deliver: (id) => delivered.push(id),
      push: (to, id, payload, hops) => said.push({ what: "push", to, id, payload, hops }),
      announce: (to, entries) => said.push({ what: "announce", to, entries }),
      prune: (to) => said.push({ what: "prune", to }),
      graft: (to, id, hops) => said.push({ what: "graft", to, id, hops }),
      penalise: (peer, why) => blamed.push(`${peer}: ${why}`),
    },
  });
  for (const peer of peers) machine.up(peer);
  const news = () => said.splice(0).map((one) => `${one.what} ${one.to}`);
  return { machine, said, delivered, blamed, news };
}

export const news = (id: string, hops = 1): Announcement[] => [{ id, hops }];

/** Nodes on the links of a graph; messages take a random time, in order on each link. */
export class Forest {
  readonly nodes: Plumtree<string>[];
  readonly got: string[][];
  readonly links: Set<number>[];
  readonly #parcels: { at: number; to: number; from: number; hand: () => void }[] = [];
  readonly #lastAt = new Map<string, number>();
  readonly #random: (bound: number) => number;
  readonly dead = new Set<number>();
  readonly silent = new Set<number>();
  now = 0;
  pushes = 0;

  constructor(seed: number, size: number, eagerLinks: number) {
    this.#random = chance(seed);
    this.got = Array.from({ length: size }, () => []);
    this.links = Array.from({ length: size }, () => new Set());
    this.nodes = Array.from({ length: size }, (_, self) => {
      const send = (to: string, hand: (peer: Plumtree<string>, from: string) => void) => {
        const target = Number(to);
        const key = `${self}>${to}`;
        const at = Math.max(this.#lastAt.get(key) ?? 0, this.now + 1 + this.#random(10));
        this.#lastAt.set(key, at);
        const deliver = () => {
          const peer = this.nodes[target];
          if (peer !== undefined) hand(peer, String(self));
        };
        this.#parcels.push({ at, to: target, from: self, hand: deliver });
      };
      return new Plumtree<string>({
        timer1Ms: 300,
        timer2Ms: 40,
        eagerLinks,
        out: {
          deliver: (id) => this.got[self]?.push(id),
          push: (to, id, payload, hops) => {
            if (this.silent.has(self)) return;
            this.pushes++;
            send(to, (peer, from) => peer.receivePush(from, id, payload, hops, this.now));
          },
          announce: (to, entries) =>
            send(to, (peer, from) => peer.receiveAnnounce(from, entries, this.now)),
          prune: (to) => send(to, (peer, from) => peer.receivePrune(from, this.now)),
          graft: (to, id, hops) =>
            send(to, (peer, from) => peer.receiveGraft(from, id, hops, this.now)),
        },
      });
    });
    for (let i = 1; i < size; i++) this.link(i, this.#random(i));
    for (let i = 0; i < size; i++) {
      const other = this.#random(size);
      if (other !== i) this.link(i, other);
    }
  }

  link(a: number, b: number): void {
    this.links[a]?.add(b);
    this.links[b]?.add(a);
    this.nodes[a]?.up(String(b));
    this.nodes[b]?.up(String(a));
  }

  /** Its neighbours notice at once. */
  kill(node: number): void {
    this.dead.add(node);
    for (const peer of this.links[node] ?? []) {
      this.links[peer]?.delete(node);
      this.nodes[peer]?.down(String(node));
    }
  }

  broadcast(origin: number, id: string): void {
    this.nodes[origin]?.broadcast(id, "", this.now);
    for (let steps = 0; steps < 100_000; steps++) {
      const isLive = (node: number) => !this.dead.has(node);
      let next: number | undefined;
      this.#parcels.forEach(({ at }, i) => {
        if (next === undefined || at < (this.#parcels[next]?.at ?? 0)) next = i;
      });
      const parcel = next === undefined ? undefined : this.#parcels[next];
      const deadlines = this.nodes.map((machine, node) =>
        isLive(node) ? (machine.deadline ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
      );
      const timer = Math.min(...deadlines);
      if (parcel === undefined && timer === Number.POSITIVE_INFINITY) return;
      if (parcel !== undefined && next !== undefined && parcel.at <= timer) {
        this.#parcels.splice(next, 1);
        this.now = parcel.at;
        if (isLive(parcel.to) && isLive(parcel.from)) parcel.hand();
      } else {
        this.now = timer;
        this.nodes[deadlines.indexOf(timer)]?.poll(timer);
      }
    }
    throw new Error("the forest does not come to rest");
  }

  /** Live nodes that a message of `origin` can reach, through others that do not keep it for themselves. */
  reach(origin: number): number[] {
    const order = [origin];
    for (const node of order) {
      if (this.silent.has(node)) continue;
      for (const peer of this.links[node] ?? []) if (!order.includes(peer)) order.push(peer);
    }
    return order;
  }
}
