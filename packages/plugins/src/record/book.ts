/**
 * Record book: the newest record of each node we have heard of. A machine: `now` comes in.
 *
 * Of each node the number of its newest record is remembered until that record is past, even where the record itself
 * has to go, so that none older is taken instead. Where there is no room, what is past goes first, and then the longest
 * unheard of the source that brought most; what two sources brought counts for the smaller one, and of the nodes that
 * we reached the latest stay. So whoever brings most pushes out his own, and makes us forget only what he alone has
 * told us.
 *
 * A source is whatever the caller tells strangers apart by: a subnet, since keys cost nothing.
 */

import { equal, toBase64 } from "@testudo/core";
import { Marks } from "./marks.ts";
import { type ContactRecord, isExpired } from "./record.ts";
import { Shares } from "./shares.ts";

/** What became of a record: only `new` and `newer` were taken. */
export type Entered = "new" | "newer" | "same" | "older" | "expired";

export interface RecordBookOptions {
  /** Default 4,096. */
  readonly maxRecords?: number;
  /** Nodes of whom only the number is remembered. Default 65,536. */
  readonly maxMarks?: number;
}

interface Entry {
  readonly record: ContactRecord;
  source: string;
  /** The next other source that brought it. */
  also: string | undefined;
}

const MAX_RECORDS = 4_096;
const MAX_MARKS = 65_536;
const ID_BYTES = 32;
/** All are looked through for what is past; where there is no room, so often at most. */
const SWEEP_MS = 60_000;

export class RecordBook {
  readonly #maxRecords: number;
  /** By the text of the id. */
  readonly #entries = new Map<string, Entry>();
  /** Those that we reached, at most half of all; the longest ago first. */
  readonly #reached = new Set<string>();
  /** The others. */
  readonly #held = new Shares();
  readonly #marks: Marks;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor({ maxRecords = MAX_RECORDS, maxMarks = MAX_MARKS }: RecordBookOptions = {}) {
    this.#maxRecords = maxRecords;
    this.#marks = new Marks(maxMarks);
  }

  /** Records. */
  get size(): number {
    return this.#entries.size;
  }

  /** Nodes of whom only the number is remembered. */
  get marks(): number {
    return this.#marks.size;
  }

  /** `now` in unix ms. Of two records with one number the first stays, as long as it is here. */
  put(record: ContactRecord, now: number, source = ""): Entered {
    if (isExpired(record.expiresAt, now)) return "expired";
    const id = record.id.text;
    const there = this.#entries.get(id);
    if (there === undefined) return this.#enter(record, now, source);
    if (isExpired(there.record.expiresAt, now)) {
      this.#remove(id, there);
      return this.#enter(record, now, source);
    }
    if (record.seq < there.record.seq) return "older";
    const isNewer = record.seq > there.record.seq;
    if (!isNewer && !equal(record.bytes, there.record.bytes)) return "older";
    // Whoever is first with a new version was not first to tell us of the node.
    const entry = { ...there, record };
    if (isNewer) this.#entries.set(id, entry);
    this.#again(id, isNewer ? entry : there, source);
    return isNewer ? "newer" : "same";
  }

  /** The record that has these very bytes, if it is here: it need not be verified again. Counts as brought by `source`. */
  known(bytes: Uint8Array, source = ""): ContactRecord | undefined {
    if (bytes.length < ID_BYTES) return undefined;
    const id = toBase64(bytes.subarray(0, ID_BYTES));
    const entry = this.#entries.get(id);
    if (entry === undefined || !equal(entry.record.bytes, bytes)) return undefined;
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
    if (entry === undefined) return;
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
    if (entry === undefined) return;
    this.#remove(id, entry);
    const { record, source, also } = entry;
    const isAlsos = also !== undefined && this.#marks.of(also) < this.#marks.of(source);
    const { seq, expiresAt } = record;
    this.#marks.add(record.id.bytes, { seq, expiresAt, source: isAlsos ? also : source });
  }

  *values(): IterableIterator<ContactRecord> {
    for (const { record } of this.#entries.values()) yield record;
  }

  expire(now: number): void {
    this.#sweptAt = now;
    for (const [id, entry] of this.#entries) {
      if (isExpired(entry.record.expiresAt, now)) this.#remove(id, entry);
    }
    this.#marks.expire(now);
  }

  /** It was brought once more. */
  #again(id: string, entry: Entry, source: string): void {
    if (source !== entry.source) entry.also ??= source;
    if (this.#held.delete(entry.source, id)) this.#held.add(entry.source, id);
  }

  /** Of a node without a record here. */
  #enter(record: ContactRecord, now: number, source: string): Entered {
    const { text: id, bytes: key } = record.id;
    let mark = this.#marks.get(key);
    if (mark !== undefined && isExpired(mark.expiresAt, now)) mark = undefined;
    if (mark !== undefined && record.seq < mark.seq) return "older";
    this.#marks.delete(key);
    if (this.size >= this.#maxRecords) this.#makeRoom(now);
    const entry: Entry = { record, source: mark?.source ?? source, also: undefined };
    this.#entries.set(id, entry);
    this.#held.add(entry.source, id);
    this.#again(id, entry, source);
    return mark !== undefined && record.seq > mark.seq ? "newer" : "new";
  }

  #makeRoom(now: number): void {
    if (now >= this.#sweptAt + SWEEP_MS || now < this.#sweptAt) this.expire(now);
    if (this.size < this.#maxRecords) return;
    const id = this.#next();
    if (id !== undefined) this.delete(id);
  }

  /** Who is to go. What a smaller source brought, too, is that one's from now on. */
  #next(): string | undefined {
    const held = this.#held;
    for (;;) {
      const id = held.next();
      const entry = id === undefined ? undefined : this.#entries.get(id);
      if (id === undefined || entry?.also === undefined) return id;
      if (held.of(entry.also) + 1 >= held.of(entry.source)) return id;
      held.delete(entry.source, id);
      held.add(entry.also, id);
      entry.source = entry.also;
      entry.also = undefined;
    }
  }

  #remove(id: string, { source }: Entry): void {
    this.#entries.delete(id);
    if (!this.#reached.delete(id)) this.#held.delete(source, id);
  }
}
