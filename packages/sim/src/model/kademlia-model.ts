/**
 * Kademlia model: many nodes with full routing tables and no network between them, to measure what lookups
 * over disjoint paths are worth against adversaries (S/Kademlia, Baumgart and Mies 2007, figures 4 and 5).
 *
 * It drives the plugin's own RoutingTable and Lookup. The tables are static and stabilised as in the paper:
 * each bucket holds min(k, population) random members, the sibling list the s closest nodes.
 */

import { compare } from "@testudo/core";
import {
  type Contact,
  Lookup,
  Nearest,
  nodeIdOf,
  RoutingTable,
} from "@testudo/plugins/kademlia/machines";
import type { Random } from "../random.ts";

/** A node of the model. */
export interface ModelNode extends Contact {
  /** Its place in `KademliaModel.nodes`, which are sorted by node id. */
  readonly index: number;
}

export interface KademliaModelOptions {
  readonly nodes: number;
  /** Members of a bucket, contacts of an answer, seeds of a lookup. */
  readonly k: number;
  /** Siblings. Default 16. */
  readonly s?: number;
  readonly random: Random;
}

export interface Answer {
  readonly contacts: readonly ModelNode[];
  /** It holds the target among its siblings, and is honest about it. */
  readonly terminal: boolean;
}

/** What a node that is asked does: its answer, or `undefined` if it lets the path die. */
export type Conduct = (asked: ModelNode, target: Uint8Array) => Answer | undefined;

export interface Outcome {
  /** Some path reached an honest node that holds the target among its siblings. */
  readonly reached: boolean;
  readonly queries: number;
  /** The closest that answered, with `confirm`: where a value would be stored. */
  readonly closest: readonly ModelNode[];
}

export class KademliaModel {
  readonly nodes: readonly ModelNode[];
  readonly k: number;
  readonly s: number;
  readonly #tables: RoutingTable<ModelNode>[];

  constructor({ nodes, k, s = 16, random }: KademliaModelOptions) {
    this.k = k;
    this.s = s;
    this.nodes = makeNodes(nodes, random);
    this.#tables = this.nodes.map((self) => {
      const table = new RoutingTable<ModelNode>({ self, k, s, eta: 1 });
      for (const contact of stabilised(this.nodes, self, k, s, random)) {
        table.insert(contact, { answered: true }, 0);
      }
      return table;
    });
  }

  /** Draws round(share * nodes) adversaries. At least two nodes stay honest. */
  divide(share: number, random: Random): { honest: ModelNode[]; hostile: Set<ModelNode> } {
    const count = Math.min(Math.round(share * this.nodes.length), this.nodes.length - 2);
    const hostile = new Set(random.sample(this.nodes, count));
    return { honest: this.nodes.filter((node) => !hostile.has(node)), hostile };
  }

  table(node: ModelNode): RoutingTable<ModelNode> {
    return this.#tables[node.index] as RoutingTable<ModelNode>;
  }

  /** What an honest node answers. */
  honest(asked: ModelNode, target: Uint8Array): Answer {
    const table = this.table(asked);
    return { contacts: table.closest(target, this.k), terminal: table.isSibling(target) };
  }

  /** One lookup over d paths, one query after the other. `confirm`: as the lookup's option; default false. */
  lookup(
    origin: ModelNode,
    target: Uint8Array,
    { d, confirm = false }: { readonly d: number; readonly confirm?: boolean },
    conduct: Conduct,
  ): Outcome {
    const { k, s } = this;
    const seeds = this.table(origin).closest(target, k);
    const lookup = new Lookup<ModelNode>({ target, self: origin, seeds, d, k, s, confirm });
    let reached = false;
    for (let ask = lookup.next(); ask !== undefined; ask = lookup.next()) {
      const answer = conduct(ask.contact, target);
      if (answer === undefined) {
        lookup.failed(ask.contact);
        lookup.abandon(ask.path);
      } else {
        reached ||= answer.terminal && ask.path < d;
        lookup.answered(ask.contact, answer.contacts, answer.terminal);
      }
    }
    return { reached, queries: lookup.asked, closest: lookup.result() };
  }
}

/** Two different nodes of at least two. */
export function pair(
  nodes: readonly ModelNode[],
  random: Random,
): [origin: ModelNode, target: ModelNode] {
  const at = random.below(nodes.length);
  const other = (at + 1 + random.below(nodes.length - 1)) % nodes.length;
  return [nodes[at] as ModelNode, nodes[other] as ModelNode];
}

function makeNodes(count: number, random: Random): ModelNode[] {
  const ids: Uint8Array[] = [];
  for (let i = 0; i < count; i++) ids.push(nodeIdOf(random.bytes(32)));
  ids.sort(compare);
  return ids.map((nodeId, index) => ({ id: `n${index}`, nodeId, index }));
}

/** Whom a node knows once everything has settled: the members of its buckets, then its siblings. */
function* stabilised(
  nodes: readonly ModelNode[],
  self: ModelNode,
  k: number,
  s: number,
  random: Random,
): Generator<ModelNode> {
  const siblings = new Nearest<ModelNode>(self.nodeId, s);
  const ranges = subtrees(nodes, self);
  // From the deepest bucket upwards: the siblings are complete as soon as there are s.
  for (const [from, to] of ranges.reverse()) {
    if (!siblings.full) for (let i = from; i < to; i++) siblings.offer(nodes[i] as ModelNode);
    for (const offset of distinct(to - from, k, random)) yield nodes[from + offset] as ModelNode;
  }
  yield* siblings.items;
}

/** Where, among nodes sorted by id, those lie that share exactly 0, 1, 2, … bits with this one. */
function subtrees(nodes: readonly ModelNode[], self: ModelNode): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  let from = 0;
  let to = nodes.length;
  for (let bit = 0; to - from > 1; bit++) {
    const split = firstWithBit(nodes, from, to, bit);
    if (self.index < split) {
      ranges.push([split, to]);
      to = split;
    } else {
      ranges.push([from, split]);
      from = split;
    }
  }
  return ranges;
}

function firstWithBit(nodes: readonly ModelNode[], from: number, to: number, bit: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { nodeId } = nodes[middle] as ModelNode;
    if (((nodeId[bit >>> 3] as number) & (0x80 >>> (bit & 7))) === 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** min(n, population) distinct numbers below `population` (Floyd's algorithm). */
function distinct(population: number, n: number, random: Random): Set<number> {
  const taken = new Set<number>();
  for (let last = Math.max(population - n, 0); last < population; last++) {
    const drawn = random.below(last + 1);
    taken.add(taken.has(drawn) ? last : drawn);
  }
  return taken;
}
