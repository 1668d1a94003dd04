/**
 * Neighbours: who was heard of on the link lately, and what is new of it. A machine: `now` comes in. Bounded by nodes
 * and by addresses a node; the one not heard of for longest makes room.
 */

import type { Neighbour } from "./answers.ts";

export interface NeighboursOptions {
  /** Nodes remembered. */
  readonly maxNodes: number;
  /** Addresses remembered of each. */
  readonly maxAddresses: number;
  /** An address heard again is worth another dial after this. */
  readonly againMs: number;
  /** An address not heard for so long is forgotten. */
  readonly memoryMs: number;
}

interface Heard {
  toldAt: number;
  heardAt: number;
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  /** By id, then by address, each in the order last heard. */
  readonly #nodes = new Map<string, Map<string, Heard>>();

  constructor(options: NeighboursOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Whether this is worth telling: it is new, or it was told long ago. */
  heard({ id, address }: Neighbour, now: number): boolean {
    const { maxNodes, maxAddresses, againMs } = this.#options;
    const addresses = this.#nodes.get(id.text) ?? new Map<string, Heard>();
    const known = addresses.get(address);
    const worth = known === undefined || now - known.toldAt >= againMs;
    toEnd(addresses, address, { heardAt: now, toldAt: worth ? now : known.toldAt }, maxAddresses);
    toEnd(this.#nodes, id.text, addresses, maxNodes);
    return worth;
  }

  /** The addresses of a node heard lately, the last one first. */
  addresses(id: string, now: number): string[] {
    const addresses = this.#nodes.get(id) ?? new Map<string, Heard>();
    return [...addresses]
      .filter(([, { heardAt }]) => now - heardAt < this.#options.memoryMs)
      .map(([address]) => address)
      .reverse();
  }
}

/** Sets an entry as the last of a map, and drops the first when that is one too many. */
function toEnd<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [first] = map.keys();
  if (map.size > most && first !== undefined) map.delete(first);
}
