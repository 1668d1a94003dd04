/**
 * Nearest: at most so many contacts, sorted by their distance to a target. The one sorted list of this
 * folder: answers, sibling lists and the paths of a lookup are made of it. Never holds an id twice.
 */

import { type Contact, Target } from "./node-id.ts";

export class Nearest<C extends Contact> {
  readonly #target: Target;
  readonly #limit: number;
  readonly #items: C[] = [];
  /** The head of each item's distance: comparing numbers decides nearly always. */
  readonly #heads: number[] = [];

  /** Keeps the `limit` closest to `target`. */
  constructor(target: Target | Uint8Array, limit: number) {
    this.#target = target instanceof Target ? target : new Target(target);
    this.#limit = limit;
  }

  /** Closest first. Not to be changed by the reader, and gone stale after the next call. */
  get items(): readonly C[] {
    return this.#items;
  }

  get size(): number {
    return this.#items.length;
  }

  get full(): boolean {
    return this.#items.length >= this.#limit;
  }

  get farthest(): C | undefined {
    return this.#items[this.#items.length - 1];
  }

  /** Whether `offer` would take it. */
  accepts(contact: C): boolean {
    const head = this.#target.head(contact.nodeId);
    const at = this.#place(head, contact.nodeId);
    return at < this.#limit && !this.#holdsAt(at, head, contact.nodeId);
  }

  /** Takes a contact that is closer than the farthest, or any while there is room. False if it stays outside. */
  offer(contact: C): boolean {
    const { nodeId } = contact;
    const items = this.#items;
    const heads = this.#heads;
    const head = this.#target.head(nodeId);
    // Most of what a full list is offered lies behind its end.
    if (items.length >= this.#limit && head > (heads[items.length - 1] as number)) return false;
    const at = this.#place(head, nodeId);
    if (at >= this.#limit || this.#holdsAt(at, head, nodeId)) return false;
    let from = items.length;
    if (from >= this.#limit) from--;
    for (; from > at; from--) {
      items[from] = items[from - 1] as C;
      heads[from] = heads[from - 1] as number;
    }
    items[at] = contact;
    heads[at] = head;
    return true;
  }

  /** The same node's newer contact takes the place of the old one. */
  replace(contact: C): boolean {
    const at = this.#find(contact.nodeId);
    if (at < 0) return false;
    this.#items[at] = contact;
    return true;
  }

  has(nodeId: Uint8Array): boolean {
    return this.#find(nodeId) >= 0;
  }

  delete(nodeId: Uint8Array): boolean {
    const at = this.#find(nodeId);
    if (at < 0) return false;
    this.#items.splice(at, 1);
    this.#heads.splice(at, 1);
    return true;
  }

  /** Takes the closest out. */
  shift(): C | undefined {
    this.#heads.shift();
    return this.#items.shift();
  }

  clear(): void {
    this.#items.length = 0;
    this.#heads.length = 0;
  }

  #find(nodeId: Uint8Array): number {
    const head = this.#target.head(nodeId);
    const at = this.#place(head, nodeId);
    return this.#holdsAt(at, head, nodeId) ? at : -1;
  }

  #holdsAt(at: number, head: number, nodeId: Uint8Array): boolean {
    const held = this.#items[at];
    return (
      held !== undefined &&
      this.#heads[at] === head &&
      this.#target.compare(held.nodeId, nodeId) === 0
    );
  }

  /** The first index whose item is not closer. From the end: what arrives is seldom the closest yet. */
  #place(head: number, nodeId: Uint8Array): number {
    const heads = this.#heads;
    let at = heads.length;
    while (at > 0) {
      const before = heads[at - 1] as number;
      if (before < head) break;
      if (before === head && this.#target.compare((this.#items[at - 1] as C).nodeId, nodeId) < 0) {
        break;
      }
      at--;
    }
    return at;
  }
}
