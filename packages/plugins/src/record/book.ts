/**
 * Record book: the newest record of each node we have heard of. A machine: `now` comes in.
 *
 * Bounded; when it is full, the record that expires first makes room.
 */

import { equal } from "@testudo/core";
import { type ContactRecord, isExpired } from "./record.ts";

/** What became of a record: only `new` and `newer` were taken. */
export type Entered = "new" | "newer" | "same" | "older" | "expired";

export class RecordBook {
  readonly #maxRecords: number;
  readonly #records = new Map<string, ContactRecord>();

  /** Default: 4,096 records. */
  constructor({ maxRecords = 4_096 }: { readonly maxRecords?: number } = {}) {
    this.#maxRecords = maxRecords;
  }

  get size(): number {
    return this.#records.size;
  }

  /** `now` in unix ms. Of two records with one number the first stays. */
  put(record: ContactRecord, now: number): Entered {
    if (isExpired(record.expiresAt, now)) return "expired";
    const present = this.#records.get(record.id.text);
    if (present !== undefined) {
      if (record.seq < present.seq) return "older";
      if (record.seq === present.seq) return equal(record.bytes, present.bytes) ? "same" : "older";
      this.#records.set(record.id.text, record);
      return "newer";
    }
    if (this.#records.size >= this.#maxRecords) this.#makeRoom(now);
    this.#records.set(record.id.text, record);
    return "new";
  }

  /** By the text of a peer id. */
  get(id: string): ContactRecord | undefined {
    return this.#records.get(id);
  }

  delete(id: string): void {
    this.#records.delete(id);
  }

  values(): IterableIterator<ContactRecord> {
    return this.#records.values();
  }

  expire(now: number): void {
    for (const [id, { expiresAt }] of this.#records) {
      if (isExpired(expiresAt, now)) this.#records.delete(id);
    }
  }

  #makeRoom(now: number): void {
    this.expire(now);
    if (this.#records.size < this.#maxRecords) return;
    let first: ContactRecord | undefined;
    for (const record of this.#records.values()) {
      if (first === undefined || record.expiresAt < first.expiresAt) first = record;
    }
    if (first !== undefined) this.#records.delete(first.id.text);
  }
}
