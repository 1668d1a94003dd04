/**
 * Marks: the numbers of records that had to go, by node. A machine: `now` comes in.
 *
 * Some 50 bytes each, all of them claimed with the first. A node is told by the first eight bytes of its key: nobody
 * finds another one with the same. When there are too many, the oldest of the source that has most is forgotten.
 */

import { readU32 } from "@testudo/core";
import { isExpired } from "./record.ts";

export interface Mark {
  readonly seq: number;
  /** Of the record. */
  readonly expiresAt: number;
  /** For whom it is counted. */
  readonly source: string;
}

/** The marks of one source, from the oldest to the latest. */
interface Line {
  readonly source: string;
  count: number;
  first: number;
  last: number;
}

const NONE = -1;

class Slots {
  readonly line: (Line | undefined)[];
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly seq: Float64Array;
  readonly expiresAt: Float64Array;
  /** Neighbours in the line. */
  readonly before: Int32Array;
  readonly after: Int32Array;
  /** The next one under the same head, or that is free. */
  readonly next: Int32Array;
  readonly heads: Int32Array;

  constructor(count: number) {
    this.line = new Array<Line | undefined>(count).fill(undefined);
    const numbers = (): Int32Array => new Int32Array(count).fill(NONE);
    [this.low, this.high, this.before, this.after] = [numbers(), numbers(), numbers(), numbers()];
    [this.seq, this.expiresAt] = [new Float64Array(count), new Float64Array(count)];
    this.heads = numbers();
    this.next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : NONE));
  }
}

export class Marks {
  readonly #most: number;
  readonly #lines = new Map<string, Line>();
  #slots: Slots | undefined;
  #free = 0;
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  /** How many are counted for that source. */
  of(source: string): number {
    return this.#lines.get(source)?.count ?? 0;
  }

  /** Of a node, by its key. */
  get(key: Uint8Array): Mark | undefined {
    const slots = this.#slots;
    const at = this.#find(key);
    const line = slots?.line[at];
    if (slots === undefined || line === undefined) return undefined;
    const { seq, expiresAt } = slots;
    return { seq: seq[at] as number, expiresAt: expiresAt[at] as number, source: line.source };
  }

  /** One that is not there yet. */
  add(key: Uint8Array, { seq, expiresAt, source }: Mark): void {
    // One more than may stay: who comes counts when it is asked who has most.
    this.#slots ??= new Slots(this.#most + 1);
    const slots = this.#slots;
    const at = this.#free;
    this.#free = slots.next[at] as number;
    [slots.low[at], slots.high[at]] = [readU32(key, 0) | 0, readU32(key, 4) | 0];
    [slots.seq[at], slots.expiresAt[at]] = [seq, expiresAt];
    const head = headOf(slots, slots.low[at] as number);
    slots.next[at] = slots.heads[head] as number;
    slots.heads[head] = at;
    this.#enqueue(slots, at, source);
    this.#size++;
    if (this.#size > this.#most) this.#remove(slots, this.#largest().first);
  }

  delete(key: Uint8Array): void {
    const at = this.#find(key);
    if (this.#slots !== undefined && at !== NONE) this.#remove(this.#slots, at);
  }

  expire(now: number): void {
    const slots = this.#slots;
    if (slots === undefined || this.#size === 0) return;
    for (let at = 0; at <= this.#most; at++) {
      const isPast = isExpired(slots.expiresAt[at] as number, now);
      if (isPast && slots.line[at] !== undefined) this.#remove(slots, at);
    }
  }

  #find(key: Uint8Array): number {
    const slots = this.#slots;
    if (slots === undefined) return NONE;
    const [low, high] = [readU32(key, 0) | 0, readU32(key, 4) | 0];
    let at = slots.heads[headOf(slots, low)] as number;
    while (at !== NONE && (slots.low[at] !== low || slots.high[at] !== high)) {
      at = slots.next[at] as number;
    }
    return at;
  }

  #largest(): Line {
    let most: Line | undefined;
    for (const line of this.#lines.values()) {
      if (most === undefined || line.count > most.count) most = line;
    }
    return most as Line;
  }

  #enqueue(slots: Slots, at: number, source: string): void {
    let line = this.#lines.get(source);
    if (line === undefined) {
      line = { source, count: 0, first: NONE, last: NONE };
      this.#lines.set(source, line);
    }
    slots.line[at] = line;
    slots.before[at] = line.last;
    slots.after[at] = NONE;
    if (line.last === NONE) line.first = at;
    else slots.after[line.last] = at;
    line.last = at;
    line.count++;
  }

  #remove(slots: Slots, at: number): void {
    const line = slots.line[at] as Line;
    const [before, after] = [slots.before[at] as number, slots.after[at] as number];
    if (before === NONE) line.first = after;
    else slots.after[before] = after;
    if (after === NONE) line.last = before;
    else slots.before[after] = before;
    slots.line[at] = undefined;
    if (--line.count === 0) this.#lines.delete(line.source);

    const head = headOf(slots, slots.low[at] as number);
    if (slots.heads[head] === at) slots.heads[head] = slots.next[at] as number;
    else {
      let other = slots.heads[head] as number;
      while (slots.next[other] !== at) other = slots.next[other] as number;
      slots.next[other] = slots.next[at] as number;
    }
    slots.next[at] = this.#free;
    this.#free = at;
    this.#size--;
  }
}

function headOf(slots: Slots, low: number): number {
  return (low >>> 0) % slots.heads.length;
}
