/**
 * Alarm: one timer for a machine that says when it wants to be called next.
 *
 * A process that was busy rings late, and what a machine waited for may lie in its sockets by then. So a late ring is
 * put off by one turn, in which the sockets are read, and only then the machine decides that nothing came.
 */

import type { Runtime, Timer } from "@testudo/core";

/** Later than that is late. */
const LATE_MS = 50;

export class Alarm {
  readonly #runtime: Runtime;
  readonly #ring: (now: number) => number | undefined;
  #timer: Timer | undefined;
  #due = Number.POSITIVE_INFINITY;
  #stopped = false;

  /** `ring` returns when it is to be called next, in `runtime.now()`'s ms, if at all. */
  constructor(runtime: Runtime, ring: (now: number) => number | undefined) {
    this.#runtime = runtime;
    this.#ring = ring;
  }

  /** To ring at `due`, or earlier if that was wanted before. */
  want(due: number | undefined): void {
    if (due === undefined || due >= this.#due || this.#stopped) return;
    this.#due = due;
    this.#arm(due - this.#runtime.now(), false);
  }

  /** For good. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(delayMs: number, putOff: boolean): void {
    this.#timer?.cancel();
    this.#timer = this.#runtime.setTimer(() => this.#rang(putOff), Math.max(0, delayMs));
  }

  #rang(putOff: boolean): void {
    const now = this.#runtime.now();
    if (!putOff && now - this.#due > LATE_MS) {
      this.#arm(0, true);
      return;
    }
    this.#timer = undefined;
    this.#due = Number.POSITIVE_INFINITY;
    this.want(this.#ring(now));
  }
}
