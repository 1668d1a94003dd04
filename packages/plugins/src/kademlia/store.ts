/**
 * Store: the values a node keeps for others. A machine: `now` comes in, nothing is sent from here.
 *
 * Bounded by number and by bytes. When it is full, the source that takes most of it makes room: whoever brings much
 * pushes out his own, however near to us he made it (content with a near hash is found in no time). Of what that source
 * brought the value furthest from us goes, for others are nearer to it and will be asked for it; one that is
 * further than all of these is not taken. What two sources brought counts for the one that takes less. A signed
 * value is replaced by a higher number only.
 *
 * A source is whatever the caller tells strangers apart by: a subnet, since keys cost nothing.
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
interface Kept {
  readonly value: Value;
  readonly until: number;
  /** Unix ms of the last time it came. */
  readonly since: number;
}

interface Entry extends Kept {
  /** Whom it is counted for. */
  source: string;
  /** Another that brought it. */
  also: string | undefined;
}

interface Load {
  values: number;
  bytes: number;
}

export class Store {
  readonly #options: Required<StoreOptions>;
  readonly #kept = new Map<string, Entry>();
  /** Of each source. */
  readonly #loads = new Map<string, Load>();
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
   * `source`: who brought it; default: ourselves.
   */
  put(value: Value, now: number, lifeMs: number = VALUE_LIFE_MS, source: string = ""): Stored {
    let until = endOf(value, now, lifeMs);
    if (until <= now) return STORED.expired;
    const name = toHex(value.key);
    const present = this.#live(name, now);
    if (present !== undefined) {
      if (isOlder(value, present.value)) return STORED.older;
      if (equal(value.bytes, present.value.bytes)) until = Math.max(until, present.until);
    }
    const entry = { value, until, since: now, ...this.#sources(present, source) };
    if (!this.#makeRoom(entry, present, now)) return STORED.full;
    this.#delete(name);
    this.#kept.set(name, entry);
    this.#bytes += value.bytes.length;
    this.#charge(entry.source, value, 1);
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

  #live(name: string, now: number): Entry | undefined {
    const kept = this.#kept.get(name);
    return kept === undefined || kept.until <= now ? undefined : kept;
  }

  #delete(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    this.#kept.delete(name);
    this.#bytes -= kept.value.bytes.length;
    this.#charge(kept.source, kept.value, -1);
  }

  /** Whose it is when it comes again: two are remembered, of later ones who takes less than the second of them. */
  #sources(present: Entry | undefined, source: string): Pick<Entry, "source" | "also"> {
    if (present === undefined) return { source, also: undefined };
    const { source: first, also } = present;
    if (source === first || source === also) return { source: first, also };
    const lighter = also === undefined || this.#shareOf(source) < this.#shareOf(also);
    return { source: first, also: lighter ? source : also };
  }

  #charge(source: string, { bytes }: Value, sign: 1 | -1): void {
    const load = this.#loads.get(source) ?? { values: 0, bytes: 0 };
    load.values += sign;
    load.bytes += sign * bytes.length;
    if (load.values > 0) this.#loads.set(source, load);
    else this.#loads.delete(source);
  }

  /** What part of the room a source takes, or with one more value: of values or of bytes, whichever is more. */
  #shareOf(source: string, more?: Value): number {
    const { values, bytes } = this.#loads.get(source) ?? { values: 0, bytes: 0 };
    const { maxValues, maxBytes } = this.#options;
    if (more === undefined) return Math.max(values / maxValues, bytes / maxBytes);
    return Math.max((values + 1) / maxValues, (bytes + more.bytes.length) / maxBytes);
  }

  /** Drops what is to go for `entry`, if that is enough; else nothing. */
  #makeRoom(entry: Entry, replaced: Entry | undefined, now: number): boolean {
    if (!this.#fits(entry, replaced, [])) this.expire(now);
    if (this.#fits(entry, replaced, [])) return true;
    // As if it were here, to find whose turn it is.
    if (replaced !== undefined) this.#charge(replaced.source, replaced.value, -1);
    this.#charge(entry.source, entry.value, 1);
    const staying = new Set(this.#kept.values()).add(entry);
    if (replaced !== undefined) staying.delete(replaced);
    const leaving: Entry[] = [];
    let fits = false;
    while (!fits) {
      const next = this.#next(staying);
      if (next === undefined || next === entry) break;
      staying.delete(next);
      this.#charge(next.source, next.value, -1);
      leaving.push(next);
      fits = this.#fits(entry, replaced, leaving);
    }
    this.#charge(entry.source, entry.value, -1);
    if (replaced !== undefined) this.#charge(replaced.source, replaced.value, 1);
    for (const { source, value } of leaving) this.#charge(source, value, 1);
    if (fits) for (const { value } of leaving) this.#delete(toHex(value.key));
    return fits;
  }

  /** Whose turn it is to go. What a lighter source brought, too, is that one's from now on. */
  #next(staying: ReadonlySet<Entry>): Entry | undefined {
    const { self } = this.#options;
    for (;;) {
      let most = 0;
      for (const source of this.#loads.keys()) most = Math.max(most, this.#shareOf(source));
      const heaviest = new Set(
        [...this.#loads.keys()].filter((source) => this.#shareOf(source) === most),
      );
      let next: Entry | undefined;
      for (const entry of staying) {
        if (!heaviest.has(entry.source)) continue;
        if (next === undefined || compareDistance(self, next.value.key, entry.value.key) < 0)
          next = entry;
      }
      if (next?.also === undefined || this.#shareOf(next.also, next.value) >= most) return next;
      this.#charge(next.source, next.value, -1);
      this.#charge(next.also, next.value, 1);
      next.source = next.also;
      next.also = undefined;
    }
  }

  #fits({ value }: Entry, replaced: Entry | undefined, leaving: readonly Entry[]): boolean {
    let values = this.#kept.size + 1;
    let bytes = this.#bytes + value.bytes.length;
    for (const gone of replaced === undefined ? leaving : [replaced, ...leaving]) {
      values--;
      bytes -= gone.value.bytes.length;
    }
    return values <= this.#options.maxValues && bytes <= this.#options.maxBytes;
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
