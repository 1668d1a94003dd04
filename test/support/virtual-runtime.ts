/**
 * Virtual runtime: time that moves only when a test says so, and randomness from a seed.
 *
 * Nothing is ever slept for: `advance(10_000)` runs the timers of ten seconds, each with everything that
 * follows from it, in as long as that takes. The same seed gives the same run.
 */

import type { Runtime, Timer } from "@testudo/core";

interface Entry {
  readonly at: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/** 2001-09-09: a wall clock that cannot be mistaken for today's. */
const EPOCH_MS = 1_000_000_000_000;

export class VirtualRuntime implements Runtime {
  #now = 0;
  #order = 0;
  #random: () => number;
  /** A binary heap by time, then by order of setting. */
  readonly #heap: Entry[] = [];
  #pending = 0;

  constructor(seed: number = 1) {
    this.#random = seededNumbers(seed);
  }

  now(): number {
    return this.#now;
  }

  wallClock(): number {
    return EPOCH_MS + this.#now;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const entry: Entry = {
      at: this.#now + Math.max(delayMs, 0),
      order: this.#order++,
      callback,
    };
    this.#push(entry);
    this.#pending++;
    return {
      cancel: () => {
        if (entry.callback === undefined) return;
        entry.callback = undefined;
        this.#pending--;
      },
    };
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.#random() * 256));
  }

  /** Timers set, neither fired nor cancelled. */
  get pending(): number {
    return this.#pending;
  }

  /** Moves time on by `ms`, firing what comes due in order, with all that follows before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (let entry = this.#due(end); entry !== undefined; entry = this.#due(end)) {
      this.#fire(entry);
      await settled();
    }
    this.#now = end;
  }

  /** Fires timers until `done()`, or until none comes due within `withinMs`. Says which it was. */
  async until(done: () => boolean, withinMs: number): Promise<boolean> {
    const end = this.#now + withinMs;
    await settled();
    while (!done()) {
      const entry = this.#due(end);
      if (entry === undefined) return false;
      this.#fire(entry);
      await settled();
    }
    return true;
  }

  /** Runs time while `work` is under way, and gives what comes of it. Rejects when it is not done within `withinMs`. */
  async during<T>(work: Promise<T>, withinMs: number = 60_000): Promise<T> {
    let over = false;
    const finish = (): void => {
      over = true;
    };
    work.then(finish, finish);
    if (!(await this.until(() => over, withinMs))) {
      throw new Error(`not done within ${withinMs} ms of virtual time`);
    }
    return work;
  }

  #fire(entry: Entry): void {
    this.#now = Math.max(this.#now, entry.at);
    const { callback } = entry;
    entry.callback = undefined;
    this.#pending--;
    callback?.();
  }

  /** Takes the next timer due by `end`. */
  #due(end: number): Entry | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || (first.callback !== undefined && first.at > end)) return undefined;
      this.#pop();
      if (first.callback !== undefined) return first;
    }
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
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1] as Entry, heap[down] as Entry)) down++;
      const child = heap[down] as Entry;
      if (!before(child, last)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
  }
}

/** Resolves when every promise that can settle without a timer or a socket has. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** mulberry32: numbers from 0 to below 1, the same for the same seed. */
export function seededNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
