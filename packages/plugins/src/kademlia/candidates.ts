/**
 * Candidates: nodes that others named and that would have a place in the table, until it is their turn to be
 * asked. A machine: `now` comes in.
 *
 * Nobody enters the table by being named; here he only waits for our own question, at a pace of our own.
 * Bounded, and what comes while it is full is left out: it will be named again. Who did not answer is left
 * alone for a while, however often he is named.
 */

import type { Contact } from "./node-id.ts";

/** Nodes that wait. */
const MAX_WAITING = 256;
/** Nodes that are left alone. */
const MAX_SHUNNED = 1_024;
const SHUN_MS = 600_000;

export class Candidates<C extends Contact> {
  readonly #wants: (contact: C) => boolean;
  readonly #waiting = new Map<string, C>();
  /** Until when, in the order they came. */
  readonly #shunned = new Map<string, number>();

  /** `wants`: whether the table would take one that answers. */
  constructor(wants: (contact: C) => boolean) {
    this.#wants = wants;
  }

  get size(): number {
    return this.#waiting.size;
  }

  offer(contact: C, now: number): void {
    if (this.#waiting.size >= MAX_WAITING || this.#waiting.has(contact.id)) return;
    if ((this.#shunned.get(contact.id) ?? 0) > now) return;
    if (this.#wants(contact)) this.#waiting.set(contact.id, contact);
  }

  /** At most n whom the table still wants; they wait no more. */
  take(n: number): C[] {
    const taken: C[] = [];
    for (const [id, contact] of this.#waiting) {
      if (taken.length >= n) break;
      this.#waiting.delete(id);
      if (this.#wants(contact)) taken.push(contact);
    }
    return taken;
  }

  /** It did not answer. */
  failed(id: string, now: number): void {
    this.#waiting.delete(id);
    this.#shunned.delete(id);
    if (this.#shunned.size >= MAX_SHUNNED) {
      const [oldest] = this.#shunned.keys();
      if (oldest !== undefined) this.#shunned.delete(oldest);
    }
    this.#shunned.set(id, now + SHUN_MS);
  }

  answered(id: string): void {
    this.#waiting.delete(id);
    this.#shunned.delete(id);
  }
}
