/**
 * Held: the messages a node keeps for those who graft. Bounded in number, bytes and time; the oldest go first.
 */

import type { TreeLimits } from "./tree-options.ts";

export interface HeldMessage<P> {
  readonly payload: P;
  /** From its origin to here. */
  readonly hops: number;
}

interface Entry<P> extends HeldMessage<P> {
  readonly size: number;
  readonly at: number;
  /** How often who got it. */
  copies: Map<string, number> | undefined;
}

export class Held<P> {
  readonly #limits: TreeLimits;
  readonly #sizeOf: ((payload: P) => number) | undefined;
  /** The oldest first. */
  readonly #all = new Map<string, Entry<P>>();
  #bytes = 0;

  constructor(limits: TreeLimits, sizeOf: ((payload: P) => number) | undefined) {
    this.#limits = limits;
    this.#sizeOf = sizeOf;
  }

  has(id: string): boolean {
    return this.#all.has(id);
  }

  get(id: string): HeldMessage<P> | undefined {
    return this.#all.get(id);
  }

  /** The newest one stays, whatever its size. */
  add(id: string, payload: P, hops: number, now: number): void {
    const { messages, bytes, keepMs } = this.#limits;
    const size = this.#sizeOf?.(payload) ?? 0;
    this.#all.set(id, { payload, hops, size, at: now, copies: undefined });
    this.#bytes += size;
    for (const [oldest, held] of this.#all) {
      const full = this.#all.size > messages || this.#bytes > bytes;
      if (oldest === id || (!full && now - held.at <= keepMs)) break;
      this.#all.delete(oldest);
      this.#bytes -= held.size;
    }
  }

  /** For `peer`, which gets each of them only so often. */
  copy(id: string, peer: string): HeldMessage<P> | undefined {
    const held = this.#all.get(id);
    if (held === undefined) return undefined;
    held.copies ??= new Map();
    const copies = held.copies.get(peer) ?? 0;
    if (copies >= this.#limits.copies) return undefined;
    held.copies.set(peer, copies + 1);
    return held;
  }
}
