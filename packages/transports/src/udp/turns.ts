/**
 * Turns: gives those who live on one socket their turns, and keeps one timer for all of them.
 *
 * Turns are taken once per turn of the event loop, after everything that has arrived was read: when we are late,
 * the answer to what seems lost is among it. Whoever throws is dropped, and the rest goes on.
 */

import { asError, type Runtime, type Timer } from "@testudo/core";

/** So many datagrams the event loop reads from one socket before it goes on: then more may be waiting. */
const BATCH = 32;
/** How often in a row turns wait for what else has arrived. */
const MOST_BATCHES = 8;

export interface Resident {
  turn(now: number): void;
  /** When the next turn is due if nothing happens before. */
  due(now: number): number;
  /** It has failed, or the socket is lost. Must not throw. */
  drop(reason: Error): void;
}

/** A resident's hold on its turns. */
export interface Seat {
  /** A turn soon. */
  wake(): void;
  /** No more turns. Idempotent. */
  leave(): void;
}

interface Entry {
  readonly resident: Resident;
  due: number;
  awake: boolean;
  left: boolean;
}

export class Turns {
  readonly #runtime: Runtime;
  readonly #soon: (callback: () => void) => Timer;
  readonly #entries = new Set<Entry>();
  #awake: Entry[] = [];
  #read = 0;
  #batches = 0;
  #turn: Timer | undefined;
  #timer: Timer | undefined;
  #timerAt: number = Number.POSITIVE_INFINITY;
  #closed = false;

  /** `soon` calls back after what has arrived was read. */
  constructor(runtime: Runtime, soon: (callback: () => void) => Timer) {
    this.#runtime = runtime;
    this.#soon = soon;
  }

  /** Gives it a first turn soon. */
  add(resident: Resident): Seat {
    const entry: Entry = { resident, due: Number.POSITIVE_INFINITY, awake: false, left: false };
    this.#entries.add(entry);
    this.#wake(entry);
    return {
      wake: () => this.#wake(entry),
      leave: () => {
        entry.left = true;
        entry.due = Number.POSITIVE_INFINITY;
        this.#entries.delete(entry);
      },
    };
  }

  /** To be told of each datagram that the socket brings. */
  read(): void {
    this.#read++;
  }

  /** Nobody gets a turn any more, and no timer is left. */
  close(): void {
    this.#closed = true;
    this.#turn?.cancel();
    this.#timer?.cancel();
    this.#entries.clear();
    this.#awake = [];
  }

  #wake(entry: Entry): void {
    if (entry.awake || entry.left || this.#closed) return;
    entry.awake = true;
    this.#awake.push(entry);
    this.#turn ??= this.#soon(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#turn = undefined;
    const full = this.#read >= BATCH;
    this.#read = 0;
    if (full && this.#batches++ < MOST_BATCHES) {
      this.#turn = this.#soon(this.#onTurn);
      return;
    }
    this.#batches = 0;
    const awake = this.#awake;
    this.#awake = [];
    const now = this.#runtime.now();
    let nearest = Number.POSITIVE_INFINITY;
    for (const entry of awake) {
      entry.awake = false;
      this.#give(entry, now);
      if (entry.due < nearest) nearest = entry.due;
    }
    this.#arm(nearest, now);
  };

  readonly #onTimer = (): void => {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#runtime.now();
    let nearest = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries) {
      if (entry.due <= now) this.#wake(entry);
      else if (entry.due < nearest) nearest = entry.due;
    }
    this.#arm(nearest, now);
  };

  #give(entry: Entry, now: number): void {
    const { resident } = entry;
    entry.due = Number.POSITIVE_INFINITY;
    if (entry.left) return;
    try {
      resident.turn(now);
      if (entry.left) return;
      entry.due = resident.due(now);
    } catch (error) {
      resident.drop(asError(error));
      return;
    }
    if (entry.due > now) return;
    entry.due = Number.POSITIVE_INFINITY;
    this.#wake(entry);
  }

  /** A timer that fires too early does no harm, so it is only ever moved forward. */
  #arm(at: number, now: number): void {
    if (at >= this.#timerAt || this.#closed) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.#runtime.setTimer(this.#onTimer, Math.ceil(at - now));
  }
}
