/**
 * Deadlines: many waits of one length, one timer. For what happens a hundred thousand times a second and
 * is nearly always over long before it is late: requests and hooks.
 */

import type { Runtime, Timer } from "./runtime.ts";

export class Deadlines<T> {
  readonly #runtime: Runtime;
  readonly #lengthMs: number;
  readonly #late: (item: T) => void;
  /** In the order added, which is the order of their ends. */
  readonly #due = new Map<T, number>();
  #timer: Timer | undefined;

  /** `late` is called once for each item still there `lengthMs` after it was added. */
  constructor(runtime: Runtime, lengthMs: number, late: (item: T) => void) {
    this.#runtime = runtime;
    this.#lengthMs = lengthMs;
    this.#late = late;
  }

  /** An item is in it once: what is added again while it waits keeps its place, and its first end. */
  add(item: T): void {
    if (this.#due.has(item)) return;
    this.#due.set(item, this.#runtime.now() + this.#lengthMs);
    if (this.#timer === undefined) this.#arm(this.#lengthMs);
  }

  /** Leaves the timer armed: cancelling and setting one per item would cost more than the item. */
  delete(item: T): void {
    this.#due.delete(item);
  }

  /** Forgets everything and holds no timer. */
  clear(): void {
    this.#due.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#runtime.setTimer(this.#tick, delayMs);
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    const now = this.#runtime.now();
    for (const [item, due] of this.#due) {
      if (due > now) {
        // What `late` added has set a timer for its own end, which is later than this one's.
        this.#arm(due - now);
        return;
      }
      this.#due.delete(item);
      this.#late(item);
    }
  };
}
