/**
 * Flood: everybody tells everybody he is linked to. A machine for tiny networks, where a tree is not worth its
 * upkeep: nothing to mend and the shortest ways, for as many copies as there are links.
 */

import { LastIds, type Spreading, type SpreadingOut } from "./spreading.ts";

const MAX_HOPS = 255;

export interface FloodOptions<P> {
  readonly out: SpreadingOut<P>;
  /** Messages older than the ids remembered here. Default: none is known. */
  readonly seen?: (id: string) => boolean;
  /** Ids remembered. Default 65,536. */
  readonly maxIds?: number;
}

export class Flood<P> implements Spreading<P> {
  readonly #out: SpreadingOut<P>;
  readonly #seen: ((id: string) => boolean) | undefined;
  readonly #ids: LastIds;
  readonly #links = new Set<string>();

  constructor({ out, seen, maxIds = 65_536 }: FloodOptions<P>) {
    this.#out = out;
    this.#seen = seen;
    this.#ids = new LastIds(maxIds);
  }

  get eager(): ReadonlySet<string> {
    return this.#links;
  }

  readonly deadline: number | undefined = undefined;

  up(peer: string): void {
    this.#links.add(peer);
  }

  down(peer: string): void {
    this.#links.delete(peer);
  }

  broadcast(id: string, payload: P, _now: number): number {
    return this.#isNew(id) ? this.#spread(id, payload, 1, undefined) : 0;
  }

  receivePush(from: string, id: string, payload: P, hops: number, _now: number): boolean {
    if (!this.#isNew(id)) return false;
    this.#spread(id, payload, Math.min(MAX_HOPS, hops + 1), from);
    this.#out.deliver(id, payload, from, hops);
    return true;
  }

  /** Nobody announces, prunes or grafts here. */
  receiveAnnounce(): void {}
  receivePrune(): void {}
  receiveGraft(): void {}

  poll(): undefined {
    return undefined;
  }

  #isNew(id: string): boolean {
    return this.#seen?.(id) !== true && this.#ids.add(id);
  }

  #spread(id: string, payload: P, hops: number, from: string | undefined): number {
    let pushed = 0;
    for (const peer of this.#links) {
      if (peer === from) continue;
      pushed++;
      this.#out.push(peer, id, payload, hops);
    }
    return pushed;
  }
}
