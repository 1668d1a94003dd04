/**
 * Virtual clock: time that moves only when it is told to, and randomness from a seed; a `Runtime` like any other.
 *
 * Nothing is ever slept for: `advance(10_000)` runs the timers of ten seconds, each with everything that
 * follows from it, in as long as that takes. The same seed gives the same run, as long as what runs on it
 * waits only for promises and for timers of a virtual runtime, never for a socket, a file or a worker.
 */

import type { Runtime, Timer } from "@testudo/core";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";

/** 2001-09-09: a wall clock that cannot be mistaken for today's. */
export const EPOCH_MS = 1_000_000_000_000;

/** After so many events the process gets a turn: for signals, for what is printed, for the collector. */
const EVENTS_PER_TURN = 1_024;

/** How long work may take when nobody says otherwise. */
const LONGEST_MS = 60_000;

export class VirtualClock implements Runtime {
  readonly #scheduler = new Scheduler();
  readonly #random: Random;
  readonly #signal: AbortSignal | undefined;
  #running = false;
  #events = 0;

  /** With a signal, whatever moves time rejects with its reason once it has fired. */
  constructor(seed: number | string = 1, signal?: AbortSignal) {
    this.#random = new Random(seed);
    this.#signal = signal;
  }

  get scheduler(): Scheduler {
    return this.#scheduler;
  }

  /** Events that have happened. */
  get events(): number {
    return this.#events;
  }

  /** Timers set, neither fired nor cancelled. */
  get pending(): number {
    return this.#scheduler.pending;
  }

  now(): number {
    return this.#scheduler.now;
  }

  wallClock(): number {
    return EPOCH_MS + this.#scheduler.now;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    return this.#scheduler.set(this.#scheduler.now + Math.max(delayMs, 0), callback);
  }

  randomBytes(length: number): Uint8Array {
    return this.#random.bytes(length);
  }

  /** Moves time on by `ms`, firing what comes due in order, with all that follows before the next. */
  async advance(ms: number): Promise<void> {
    await this.#play(this.#scheduler.now + checkMs("ms", ms), () => false);
  }

  /**
   * Fires timers until `done()`, asked after each, or until none comes due within `withinMs`, and time has then
   * moved on by that. Says which it was.
   */
  until(done: () => boolean, withinMs: number): Promise<boolean> {
    return this.#play(this.#scheduler.now + checkMs("withinMs", withinMs), done);
  }

  /** Moves time on while `work` is under way, and gives what comes of it. Rejects when it is not done within `withinMs`. */
  async during<T>(work: Promise<T>, withinMs: number = LONGEST_MS): Promise<T> {
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

  async #play(end: number, done: () => boolean): Promise<boolean> {
    if (this.#running) throw new TypeError("time is moving already: await the call that moves it");
    this.#running = true;
    try {
      // What was called just before has its say first.
      await settled();
      return await this.#loop(end, done);
    } finally {
      this.#running = false;
    }
  }

  #loop(end: number, done: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          if (done()) {
            resolve(true);
            return;
          }
          const event = this.#scheduler.take(end);
          if (event === undefined) {
            resolve(false);
            return;
          }
          event();
          if (++this.#events % EVENTS_PER_TURN === 0) {
            this.#signal?.throwIfAborted();
            setImmediate(step);
          } else {
            // The queue of ticks waits until no promise is left that could settle; a turn of the event loop
            // would do the same at seven times the cost.
            queueMicrotask(tick);
          }
        } catch (error) {
          reject(error);
        }
      };
      const tick = (): void => process.nextTick(step);
      this.#signal?.throwIfAborted();
      step();
    });
  }
}

/** Resolves when every promise that can settle without a timer or a socket has. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function checkMs(name: string, ms: number): number {
  if (typeof ms !== "number" || !(ms >= 0)) {
    throw new RangeError(`${name} must be milliseconds, at least 0`);
  }
  return ms;
}
