/**
 * Window: the items of the last minutes, for those who missed them. A machine.
 *
 * Bounded in number, in bytes and in age, the longest here first to go. Age is counted by our own monotonic clock
 * from when the item reached its first reader of whom we know: who brings an item late says how long he had it. So
 * two nodes forget it at nearly the same moment, and no wall clock has a say. In `ids`, which are compared with those of
 * others, an item is only once it is `settledMs` old: what is still under way by itself is not missing.
 */

import { Ids } from "./ids.ts";
import type { Item } from "./origin.ts";

export interface WindowOptions {
  /** Default 65,536. */
  readonly maxItems?: number;
  /** Default 32 MiB. */
  readonly maxBytes?: number;
  /** Default 20 minutes. */
  readonly keepMs?: number;
  /** Default 1,000. */
  readonly settledMs?: number;
}

interface Kept {
  readonly item: Item;
  readonly since: number;
}

/** Part of `keepMs` between two looks for what is too old. */
const LOOKS = 64;

export class Window {
  readonly ids: Ids = new Ids();
  readonly #maxItems: number;
  readonly #maxBytes: number;
  readonly keepMs: number;
  readonly #settledMs: number;
  /** Not yet in `ids`, in the order of coming. */
  readonly #fresh = new Set<string>();
  /** In the order of coming, which is that of `since` but for what was brought late. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;
  #nextLook = 0;

  constructor({
    maxItems = 65_536,
    maxBytes = 33_554_432,
    keepMs = 1_200_000,
    settledMs = 1_000,
  }: WindowOptions = {}) {
    this.#maxItems = maxItems;
    this.#maxBytes = maxBytes;
    this.keepMs = keepMs;
    this.#settledMs = settledMs;
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(id: string): boolean {
    return this.#kept.has(id);
  }

  get(id: string): Item | undefined {
    return this.#kept.get(id)?.item;
  }

  /** How long ago it reached its first reader, ms. */
  ageOf(id: string, now: number): number {
    const kept = this.#kept.get(id);
    return kept === undefined ? 0 : Math.max(0, Math.floor(now - kept.since));
  }

  /** `ageMs`: how long others have had it. */
  add(item: Item, now: number, ageMs: number = 0): void {
    if (this.#kept.has(item.id) || ageMs >= this.keepMs || item.bytes.length > this.#maxBytes)
      return;
    this.#kept.set(item.id, { item, since: now - ageMs });
    if (ageMs >= this.#settledMs) this.ids.add({ time: item.time, id: item.id });
    else this.#fresh.add(item.id);
    this.#bytes += item.bytes.length;
    for (const [id] of this.#kept) {
      if (this.#kept.size <= this.#maxItems && this.#bytes <= this.#maxBytes) break;
      this.#delete(id);
    }
    this.expire(now);
  }

  /** Forgets what is too old. Cheap to call often. */
  expire(now: number): void {
    if (now < this.#nextLook) return;
    this.#nextLook = now + this.keepMs / LOOKS;
    for (const [id, { since }] of this.#kept) if (now - since >= this.keepMs) this.#delete(id);
  }

  /** What is settled by now can be compared. To be called before `ids` are. */
  settle(now: number): void {
    for (const id of this.#fresh) {
      const kept = this.#kept.get(id);
      if (kept !== undefined && now - kept.since < this.#settledMs) break;
      this.#fresh.delete(id);
      if (kept !== undefined) this.ids.add({ time: kept.item.time, id });
    }
  }

  clear(): void {
    for (const id of [...this.#kept.keys()]) this.#delete(id);
  }

  #delete(id: string): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.#bytes -= kept.item.bytes.length;
    if (!this.#fresh.delete(id)) this.ids.delete({ time: kept.item.time, id });
  }
}
