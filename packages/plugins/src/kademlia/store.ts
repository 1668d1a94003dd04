/**
 * Store: the values a node keeps for others. A machine: `now` comes in, nothing is sent from here.
 *
 * Bounded by number and by bytes. When it is full, the value furthest from us goes, for others are nearer
 * to it and will be asked for it; one that is further than all it holds is not taken. A signed value is
 * replaced by a higher number only.
 */

import { equal, toHex } from "@testudo/core";
import { compareDistance } from "./node-id.ts";
import { VALUE_LIFE_MS, type Value } from "./value.ts";

/** What became of a value, as it travels in the answer. */
export const STORED = {
  stored: 0,
  /** We have one with this or a higher number. */
  older: 1,
  expired: 2,
  /** The key is not ours to keep. */
  elsewhere: 3,
  full: 4,
  malformed: 5,
} as const;
export type Stored = (typeof STORED)[keyof typeof STORED];

export interface StoreOptions {
  /** Our own node id. */
  readonly self: Uint8Array;
  /** Default 4,096. */
  readonly maxValues?: number;
  /** Of encoded values together. Default 4 MiB. */
  readonly maxBytes?: number;
}

/** A value, and when (unix ms) it goes. */
export interface Kept {
  readonly value: Value;
  readonly until: number;
  /** Unix ms of the last time it came. */
  readonly since: number;
}

export class Store {
  readonly #options: Required<StoreOptions>;
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(options: StoreOptions) {
    this.#options = { maxValues: 4_096, maxBytes: 4 * 1024 * 1024, ...options };
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * `now` in unix ms. The same value again is `stored`, and lives as long as whoever brings it says, if that is longer:
   * a publisher says a whole life, a keeper what is left of it, or a value would outlive its publisher for ever.
   */
  put(value: Value, now: number, lifeMs: number = VALUE_LIFE_MS): Stored {
    let until = endOf(value, now, lifeMs);
    if (until <= now) return STORED.expired;
    const name = toHex(value.key);
    const present = this.#live(name, now);
    if (present !== undefined) {
      if (isOlder(value, present.value)) return STORED.older;
      if (equal(value.bytes, present.value.bytes)) until = Math.max(until, present.until);
    }
    if (!this.#makeRoom(value, present, now)) return STORED.full;
    this.#delete(name);
    this.#kept.set(name, { value, until, since: now });
    this.#bytes += value.bytes.length;
    return STORED.stored;
  }

  get(key: Uint8Array, now: number): Value | undefined {
    return this.#live(toHex(key), now)?.value;
  }

  expire(now: number): void {
    for (const [name, kept] of this.#kept) if (kept.until <= now) this.#delete(name);
  }

  /** What did not come again since `olderThan` (unix ms), so that it is our turn to pass it on. */
  due(olderThan: number): Value[] {
    const due: Value[] = [];
    for (const { value, since } of this.#kept.values()) if (since <= olderThan) due.push(value);
    return due;
  }

  /** How long a value will be kept. */
  leftMs(key: Uint8Array, now: number): number {
    return (this.#live(toHex(key), now)?.until ?? now) - now;
  }

  /** It was passed on at `now`. */
  renewed(value: Value, now: number): void {
    const kept = this.#kept.get(toHex(value.key));
    if (kept?.value === value) this.#kept.set(toHex(value.key), { ...kept, since: now });
  }

  #live(name: string, now: number): Kept | undefined {
    const kept = this.#kept.get(name);
    return kept === undefined || kept.until <= now ? undefined : kept;
  }

  #delete(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    this.#kept.delete(name);
    this.#bytes -= kept.value.bytes.length;
  }

  /** Drops what is further than `value`, furthest first, if that is enough; else nothing. */
  #makeRoom(value: Value, replaced: Kept | undefined, now: number): boolean {
    const { maxValues, maxBytes, self } = this.#options;
    const over = (): { values: number; bytes: number } => ({
      values: this.#kept.size + (replaced === undefined ? 1 : 0) - maxValues,
      bytes: this.#bytes - (replaced?.value.bytes.length ?? 0) + value.bytes.length - maxBytes,
    });
    if (over().values > 0 || over().bytes > 0) this.expire(now);
    let { values, bytes } = over();
    if (values <= 0 && bytes <= 0) return true;
    const leaving: Kept[] = [];
    for (const kept of this.#furthestFirst()) {
      if (compareDistance(self, kept.value.key, value.key) <= 0) return false;
      if (kept === replaced) continue;
      leaving.push(kept);
      values--;
      bytes -= kept.value.bytes.length;
      if (values <= 0 && bytes <= 0) break;
    }
    if (values > 0 || bytes > 0) return false;
    for (const kept of leaving) this.#delete(toHex(kept.value.key));
    return true;
  }

  #furthestFirst(): Kept[] {
    const { self } = this.#options;
    return [...this.#kept.values()].sort((a, b) => compareDistance(self, b.value.key, a.value.key));
  }
}

/** Until when (unix ms) a value that comes now is kept. */
function endOf(value: Value, now: number, lifeMs: number): number {
  const most = now + Math.min(lifeMs, VALUE_LIFE_MS);
  return value.kind === "signed" ? Math.min(value.expiresAt, most) : most;
}

function isOlder(value: Value, present: Value): boolean {
  if (value.kind !== "signed" || present.kind !== "signed") return false;
  if (value.seq !== present.seq) return value.seq < present.seq;
  // Two versions of one number: the owner's mistake, and the first stays.
  return !equal(value.bytes, present.bytes);
}
