/**
 * Ids: a set of (time, id) in that order, with fingerprints of its ranges. What reconciliation compares.
 *
 * A sorted array: new ids are nearly always the latest, so that putting one in is nearly always a push. The
 * caller bounds it. A fingerprint is the SHA-256 of the ids in the range, its first 16 bytes: who chooses ids
 * cannot make two different sets look the same.
 */

import { provider } from "@testudo/core/crypto";
import { binary, ID_BYTES, writeBinary } from "./origin.ts";

/** Where a range ends, exclusively: in front of the first entry that is not less. `id` may be the first bytes of one. */
export interface Bound {
  readonly time: number;
  readonly id: string;
}

export interface Entry {
  readonly time: number;
  readonly id: string;
}

export const FINGERPRINT_BYTES = 16;
/** Before all entries, and behind all. */
export const FIRST: Bound = { time: 0, id: "" };
export const LAST: Bound = { time: Number.POSITIVE_INFINITY, id: "" };

export class Ids {
  readonly #entries: Entry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** False when it is there already. */
  add(entry: Entry): boolean {
    const last = this.#entries.at(-1);
    if (last === undefined || isBefore(last, entry)) {
      this.#entries.push(entry);
      return true;
    }
    const at = this.find(entry);
    const there = this.#entries[at];
    if (there?.id === entry.id && there.time === entry.time) return false;
    this.#entries.splice(at, 0, entry);
    return true;
  }

  delete(entry: Entry): boolean {
    const at = this.find(entry);
    const there = this.#entries[at];
    if (there?.id !== entry.id || there.time !== entry.time) return false;
    this.#entries.splice(at, 1);
    return true;
  }

  at(index: number): Entry | undefined {
    return this.#entries[index];
  }

  /** The index of the first entry that is not before `bound`. */
  find(bound: Bound): number {
    if (bound.time === Number.POSITIVE_INFINITY) return this.#entries.length;
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.#entries[middle] as Entry, bound)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Ids of the entries from one index to another, exclusively. */
  slice(from: number, to: number): string[] {
    const ids: string[] = [];
    for (let i = from; i < to; i++) ids.push((this.#entries[i] as Entry).id);
    return ids;
  }

  /** One character a byte, as ids are. */
  fingerprint(from: number, to: number): string {
    const bytes = new Uint8Array((to - from) * ID_BYTES);
    for (let i = from; i < to; i++) {
      writeBinary(bytes, (i - from) * ID_BYTES, (this.#entries[i] as Entry).id);
    }
    return binary(provider.hash("SHA256", bytes), 0, FINGERPRINT_BYTES);
  }

  /** The shortest bound between the entry at `index` and the one in front of it. */
  boundAt(index: number): Bound {
    const entry = this.#entries[index] as Entry;
    const previous = this.#entries[index - 1];
    if (previous === undefined || previous.time !== entry.time) return { time: entry.time, id: "" };
    let shared = 0;
    while (previous.id[shared] === entry.id[shared]) shared++;
    return { time: entry.time, id: entry.id.slice(0, shared + 1) };
  }
}

/** Ids are compared as their characters are, which is as their bytes are. */
export function isBefore(a: Bound, b: Bound): boolean {
  return a.time < b.time || (a.time === b.time && a.id < b.id);
}
