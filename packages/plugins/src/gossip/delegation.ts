/**
 * Delegation: a broadcast along the k-buckets of S/Kademlia, as carrier does it. A machine.
 *
 * Whoever holds a message at depth d answers for all nodes whose ids share at least d bits with its own. For each
 * of its buckets from d on it hands the part of that bucket to `copies` of its links there, at one depth more than the
 * bucket's: they split it further. With links into every bucket that has somebody in it each node is reached in
 * O(log n) steps and nearly without duplicates. A silent delegate costs its whole part, so `copies` are at least two
 * where nodes may fail, and reconciliation brings what is missing.
 *
 * `hops` on the wire is the depth plus 1, so that 1 is the origin's own broadcast, as in the other modes.
 */

import { commonPrefix } from "../kademlia/node-id.ts";
import { LastIds, type Spreading, type SpreadingOut } from "./spreading.ts";

export interface DelegationOptions<P> {
  readonly out: SpreadingOut<P>;
  /** This node's place in the id space. */
  readonly self: Uint8Array;
  /** A link's place; `undefined` for one that has none: it is told everything and answers for nobody. */
  readonly nodeIdOf: (peer: string) => Uint8Array | undefined;
  /** A whole number in [0, bound). */
  readonly random: (bound: number) => number;
  /** Delegates of one bucket. Default 2. */
  readonly copies?: number;
  /** Messages older than the ids remembered here. Default: none is known. */
  readonly seen?: (id: string) => boolean;
  /** Ids remembered. Default 65,536. */
  readonly maxIds?: number;
}

const MAX_DEPTH = 254;
/** The bucket of those without a place. */
const NOWHERE = MAX_DEPTH;

export class Delegation<P> implements Spreading<P> {
  readonly #options: DelegationOptions<P>;
  readonly #copies: number;
  readonly #ids: LastIds;
  readonly #links = new Set<string>();
  /** Links by how many bits they share with us. */
  readonly #buckets = new Map<number, Set<string>>();

  /** Throws `RangeError` for copies that make no sense. */
  constructor(options: DelegationOptions<P>) {
    this.#options = options;
    this.#copies = options.copies ?? 2;
    if (!(this.#copies >= 1)) throw new RangeError("copies must be a number from 1");
    this.#ids = new LastIds(options.maxIds ?? 65_536);
  }

  get eager(): ReadonlySet<string> {
    return this.#links;
  }

  readonly deadline: number | undefined = undefined;

  up(peer: string): void {
    if (this.#links.has(peer)) return;
    this.#links.add(peer);
    const bucket = this.#bucketOf(peer);
    const there = this.#buckets.get(bucket);
    if (there === undefined) this.#buckets.set(bucket, new Set([peer]));
    else there.add(peer);
  }

  down(peer: string): void {
    if (!this.#links.delete(peer)) return;
    const bucket = this.#bucketOf(peer);
    const there = this.#buckets.get(bucket);
    there?.delete(peer);
    if (there?.size === 0) this.#buckets.delete(bucket);
  }

  broadcast(id: string, payload: P, _now: number): number {
    return this.#isNew(id) ? this.#spread(id, payload, 0, undefined) : 0;
  }

  receivePush(from: string, id: string, payload: P, hops: number, _now: number): boolean {
    if (!this.#isNew(id)) return false;
    const depth = Math.min(MAX_DEPTH, Math.max(0, hops - 1));
    this.#spread(id, payload, depth, from);
    this.#options.out.deliver(id, payload, from, hops);
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
    return this.#options.seen?.(id) !== true && this.#ids.add(id);
  }

  #spread(id: string, payload: P, depth: number, from: string | undefined): number {
    let pushed = 0;
    for (const [bucket, peers] of this.#buckets) {
      if (bucket < depth) continue;
      const chosen = bucket === NOWHERE ? [...peers] : this.#some(peers, from);
      for (const peer of chosen) {
        if (peer === from) continue;
        pushed++;
        this.#options.out.push(peer, id, payload, Math.min(MAX_DEPTH, bucket + 1) + 1);
      }
    }
    return pushed;
  }

  /** `copies` of them, all equally likely. */
  #some(peers: ReadonlySet<string>, but: string | undefined): string[] {
    const all = [...peers].filter((peer) => peer !== but);
    const count = Math.min(this.#copies, all.length);
    for (let i = 0; i < count; i++) {
      const j = i + this.#options.random(all.length - i);
      [all[i], all[j]] = [all[j] as string, all[i] as string];
    }
    return all.slice(0, count);
  }

  #bucketOf(peer: string): number {
    const place = this.#options.nodeIdOf(peer);
    if (place === undefined) return NOWHERE;
    return Math.min(NOWHERE - 1, commonPrefix(this.#options.self, place));
  }
}
