/**
 * Siblings: the eta * s nodes closest to oneself, sorted. They take the place of Kademlia's irregular
 * splitting of the last buckets (S/Kademlia, section 4.2): with eta of 5 or more a node knows, with high
 * probability, all s siblings of every key it is one of the s siblings of.
 */

import { Nearest } from "./nearest.ts";
import { type Contact, compareDistance, sameId } from "./node-id.ts";

export class Siblings<C extends Contact> {
  readonly #self: Uint8Array;
  readonly #s: number;
  readonly #list: Nearest<C>;

  /** `self`: the own node id. */
  constructor(self: Uint8Array, s: number, eta: number) {
    this.#self = self;
    this.#s = s;
    this.#list = new Nearest<C>(self, s * eta);
  }

  get size(): number {
    return this.#list.size;
  }

  get full(): boolean {
    return this.#list.full;
  }

  /** All of them, closest first. */
  get items(): readonly C[] {
    return this.#list.items;
  }

  accepts(contact: C): boolean {
    return this.#list.accepts(contact);
  }

  /** `left`: who was pushed out by a closer one. */
  offer(contact: C): { entered: boolean; left: C | undefined } {
    const last = this.#list.full ? this.#list.farthest : undefined;
    const entered = this.#list.offer(contact);
    return { entered, left: entered ? last : undefined };
  }

  replace(contact: C): boolean {
    return this.#list.replace(contact);
  }

  delete(contact: C): boolean {
    return this.#list.delete(contact.nodeId);
  }

  /**
   * Whether a node with that id is, or would be, among the s closest to oneself: then nobody needs to search
   * on, for its siblings are known here. Who knows fewer than s nodes can say it only of those: a newcomer
   * does not know how empty its neighbourhood is.
   */
  covers(target: Uint8Array): boolean {
    if (sameId(target, this.#self)) return true;
    const last = this.#list.items[this.#s - 1];
    if (last === undefined) return this.#list.has(target);
    return compareDistance(this.#self, target, last.nodeId) <= 0;
  }
}
