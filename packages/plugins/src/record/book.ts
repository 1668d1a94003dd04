/**
 * Record book: the newest record of each node we have heard of. A machine: `now` comes in.
 *
 * Of each node the number of its newest record is remembered until that record is past, even where the record itself
 * has to go, so that none older is taken instead. Where there is no room, what is past goes first, and then the longest
 * unheard of the source that brought most; what two sources brought counts for the smaller one, and of the nodes that
 * we reached the latest stay. So whoever brings records without end pushes out his own, and makes us forget only what
 * he alone has told us.
 *
 * A source is whatever the caller tells strangers apart by: a subnet, since keys cost nothing.
 */

import { equal, toBase64 } from "@testudo/core";
import { type ContactRecord, isExpired } from "./record.ts";
import { Shares } from "./shares.ts";

/** What became of a record: only `new` and `newer` were taken. */
export type Entered = "new" | "newer" | "same" | "older" | "expired";

export interface RecordBookOptions {
  /** Default 4,096. */
  readonly maxRecords?: number;
  /** Nodes of whom only the number is remembered, some 200 bytes each. Default 65,536. */
  readonly maxMarks?: number;
}

interface Entry {
  seq: number;
  expiresAt: number;
  /** `undefined`: it had to go, and only its number is remembered. */
  record: ContactRecord | undefined;
  source: string;
  /** The next other source that brought it. */
  also: string | undefined;
}

const MAX_MARKS = 65_536;
const ID_BYTES = 32;
/** All are looked through for what is past; where there is no room, so often at most. */
const SWEEP_MS = 60_000;

export class RecordBook {
  readonly #maxRecords: number;
  readonly #maxMarks: number;
  /** By the text of the id. */
  readonly #entries = new Map<string, Entry>();
  /** Those with a record that we reached, at most half of all; the longest ago first. */
  readonly #reached = new Set<string>();
  /** The others with a record. */
  readonly #held = new Shares();
  /** Those without. */
  readonly #marks = new Shares();
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor({ maxRecords = 4_096, maxMarks = MAX_MARKS }: RecordBookOptions = {}) {
    this.#maxRecords = maxRecords;
    this.#maxMarks = maxMarks;
  }

  /** Records. */
  get size(): number {
    return this.#reached.size + this.#held.size;
  }

  /** Nodes of whom only the number is remembered. */
  get marks(): number {
    return this.#marks.size;
  }

  /** `now` in unix ms. Of two records with one number the first stays, as long as it is here. */
  put(record: ContactRecord, now: number, source = ""): Entered {
    const { seq, expiresAt } = record;
    if (isExpired(expiresAt, now)) return "expired";
    const id = record.id.text;
    const there = this.#entries.get(id);
    if (there === undefined || isExpired(there.expiresAt, now)) {
      if (there !== undefined) this.#remove(id, there);
      this.#hold(id, { seq, expiresAt, record, source, also: undefined }, now);
      return "new";
    }
    if (seq < there.seq) return "older";
    const isNewer = seq > there.seq;
    if (!isNewer && there.record !== undefined) {
      if (!equal(record.bytes, there.record.bytes)) return "older";
      this.#again(id, there, source);
      return "same";
    }
    // Whoever is in the lead by one version has not told us of the node before all others.
    const also = there.also ?? (source === there.source ? undefined : source);
    const entry = { seq, expiresAt, record, source: there.source, also };
    if (there.record === undefined) {
      this.#remove(id, there);
      this.#hold(id, entry, now);
    } else {
      this.#entries.set(id, entry);
      this.#again(id, entry, source);
    }
    return isNewer ? "newer" : "new";
  }

  /** The record that has these very bytes, if it is here: it need not be verified again. Counts as brought by `source`. */
  known(bytes: Uint8Array, source = ""): ContactRecord | undefined {
    if (bytes.length < ID_BYTES) return undefined;
    const id = toBase64(bytes.subarray(0, ID_BYTES));
    const entry = this.#entries.get(id);
    if (entry?.record === undefined || !equal(entry.record.bytes, bytes)) return undefined;
    this.#again(id, entry, source);
    return entry.record;
  }

  /** By the text of a peer id. */
  get(id: string): ContactRecord | undefined {
    return this.#entries.get(id)?.record;
  }

  /** We dialled it, and it was there. `source`: where. */
  reached(id: string, source?: string): void {
    const entry = this.#entries.get(id);
    if (entry?.record === undefined) return;
    if (!this.#reached.delete(id)) this.#held.delete(entry.source, id);
    if (source !== undefined) {
      entry.source = source;
      entry.also = undefined;
    }
    this.#reached.add(id);
    if (this.#reached.size <= this.#maxRecords / 2) return;
    for (const oldest of this.#reached) {
      this.#reached.delete(oldest);
      this.#held.add(this.#entries.get(oldest)?.source ?? "", oldest);
      break;
    }
  }

  /** Drops a record; none older is taken all the same. */
  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.record !== undefined) this.#drop(id, entry);
  }

  *values(): IterableIterator<ContactRecord> {
    for (const { record } of this.#entries.values()) if (record !== undefined) yield record;
  }

  expire(now: number): void {
    this.#sweptAt = now;
    for (const [id, entry] of this.#entries) {
      if (isExpired(entry.expiresAt, now)) this.#remove(id, entry);
    }
  }

  /** It was brought once more. */
  #again(id: string, entry: Entry, source: string): void {
    if (source !== entry.source) entry.also ??= source;
    if (this.#held.delete(entry.source, id)) this.#held.add(entry.source, id);
  }

  #hold(id: string, entry: Entry, now: number): void {
    if (this.size >= this.#maxRecords) this.#makeRoom(now);
    this.#entries.set(id, entry);
    this.#held.add(entry.source, id);
  }

  #makeRoom(now: number): void {
    if (now >= this.#sweptAt + SWEEP_MS || now < this.#sweptAt) this.expire(now);
    if (this.size < this.#maxRecords) return;
    const id = this.#next(this.#held);
    if (id !== undefined) this.delete(id);
  }

  /** Drops the record, and keeps its number. */
  #drop(id: string, entry: Entry): void {
    this.#remove(id, entry);
    entry.record = undefined;
    this.#entries.set(id, entry);
    this.#marks.add(entry.source, id);
    if (this.#marks.size <= this.#maxMarks) return;
    const forgotten = this.#next(this.#marks);
    const mark = forgotten === undefined ? undefined : this.#entries.get(forgotten);
    if (forgotten !== undefined && mark !== undefined) this.#remove(forgotten, mark);
  }

  /** Who is to go. What a smaller source brought, too, is that one's from now on. */
  #next(shares: Shares): string | undefined {
    for (;;) {
      const id = shares.next();
      const entry = id === undefined ? undefined : this.#entries.get(id);
      if (id === undefined || entry?.also === undefined) return id;
      if (shares.of(entry.also) + 1 >= shares.of(entry.source)) return id;
      shares.delete(entry.source, id);
      shares.add(entry.also, id);
      entry.source = entry.also;
      entry.also = undefined;
    }
  }

  #remove(id: string, { source, record }: Entry): void {
    this.#entries.delete(id);
    if (record === undefined) this.#marks.delete(source, id);
    else if (!this.#reached.delete(id)) this.#held.delete(source, id);
  }
}
