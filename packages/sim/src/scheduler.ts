/**
 * Scheduler: what is to happen, in the order of virtual time. A machine: it holds no clock that moves by
 * itself and runs nothing; whoever owns it takes the next event and calls it.
 *
 * Events of one instant come in the order in which they were set.
 */

import type { Timer } from "@testudo/core";

/** Who set an event: with `over`, its events never come. */
export interface Owner {
  readonly over: boolean;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly owner: Owner | undefined;
  callback: (() => void) | undefined;
}

/** With fewer entries it is not worth while to sweep out those that were cancelled. */
const SWEEP_FROM = 4_096;

export class Scheduler {
  #now = 0;
  #order = 0;
  /** A binary heap by time, then by order of setting. */
  #heap: Entry[] = [];
  #cancelled = 0;

  /** Milliseconds; never goes back. */
  get now(): number {
    return this.#now;
  }

  /** Events set, neither taken nor cancelled; those of an owner that is over are counted until their time. */
  get pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  /** `at` is in milliseconds; what is past comes now. */
  set(at: number, callback: () => void, owner?: Owner): Timer {
    const entry: Entry = {
      at: Number.isNaN(at) ? this.#now : Math.max(at, this.#now),
      order: this.#order++,
      owner,
      callback,
    };
    this.#push(entry);
    return { cancel: () => this.#cancel(entry) };
  }

  /** Moves on to the next event that is due by `end` and gives it; without one, moves on to `end` itself. */
  take(end: number): (() => void) | undefined {
    for (;;) {
      const [first] = this.#heap;
      if (first === undefined || (first.at > end && first.callback !== undefined)) {
        if (end > this.#now && Number.isFinite(end)) this.#now = end;
        return undefined;
      }
      this.#pop();
      const { callback, owner } = first;
      if (callback === undefined) {
        this.#cancelled--;
        continue;
      }
      first.callback = undefined;
      if (owner?.over === true) continue;
      this.#now = first.at;
      return callback;
    }
  }

  /** Forgets everything that was to happen. */
  clear(): void {
    this.#heap = [];
    this.#cancelled = 0;
  }

  #cancel(entry: Entry): void {
    if (entry.callback === undefined) return;
    entry.callback = undefined;
    this.#cancelled++;
    const { length } = this.#heap;
    if (length >= SWEEP_FROM && this.#cancelled * 2 > length) this.#sweep();
  }

  /** A list in order is a heap. */
  #sweep(): void {
    const live = this.#heap.filter(({ callback, owner }) => callback !== undefined && !owner?.over);
    live.sort((a, b) => (before(a, b) ? -1 : 1));
    this.#heap = live;
    this.#cancelled = 0;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Entry;
      if (!before(entry, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    const { length } = heap;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= length) break;
      if (down + 1 < length && before(heap[down + 1] as Entry, heap[down] as Entry)) down++;
      const child = heap[down] as Entry;
      if (!before(child, last)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
