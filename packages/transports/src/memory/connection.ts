/**
 * Connection inside one process: two ends, each of which hands its bytes to the other's inbox.
 *
 * What is written is copied when it arrives: the two ends share no memory, and a writer that changes its
 * bytes too early is found out as it would be over a socket. Without delays all happens in microtasks.
 */

import {
  type Connection,
  concat,
  type Deferred,
  deferred,
  Fifo,
  Inbox,
  networkError,
  type Runtime,
  type Section,
  type Timer,
} from "@testudo/core";
import type { Link } from "./link.ts";

/** Bytes under way in one direction before `write` says to wait; as many again fit into the reader's inbox. */
const IN_FLIGHT_BYTES = 256 * 1024;

interface Flight {
  /** Absent for the end of the direction. */
  readonly pieces: readonly Uint8Array[] | undefined;
  readonly bytes: number;
  readonly at: number;
}

export interface MemoryEnd {
  readonly link: Link;
  readonly remote: Section;
}

/** Two connected ends. */
export function connectedPair(
  runtime: Runtime,
  one: MemoryEnd,
  other: MemoryEnd,
): [MemoryConnection, MemoryConnection] {
  const ends = [new MemoryConnection(runtime, one), new MemoryConnection(runtime, other)] as const;
  ends[0].join(ends[1]);
  ends[1].join(ends[0]);
  return [...ends];
}

export class MemoryConnection implements Connection {
  readonly remote: Section;
  readonly local: boolean = true;
  readonly #link: Link;
  readonly #runtime: Runtime;
  readonly #inbox: Inbox;
  readonly #flights = new Fifo<Flight>();
  /** Itself until joined. */
  #other: MemoryConnection = this;
  #inFlight = 0;
  #stalled = false;
  #timer: Timer | undefined;
  #ending: Deferred<void> | undefined;
  #drained: Deferred<void> | undefined;
  #readEnded = false;
  #writeEnded = false;
  #over = false;
  readonly #closed: Deferred<Error | undefined> = deferred();

  constructor(runtime: Runtime, end: MemoryEnd) {
    this.#runtime = runtime;
    this.#link = end.link;
    this.remote = end.remote;
    this.#inbox = new Inbox({
      pause: () => this.#other.#stall(),
      resume: () => this.#other.#go(),
    });
  }

  /** Once, before anything else. */
  join(other: MemoryConnection): void {
    this.#other = other;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.#over || this.#ending !== undefined) return false;
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    if (bytes > 0) this.#send(pieces, bytes);
    return this.#inFlight < IN_FLIGHT_BYTES;
  }

  drain(): Promise<void> {
    if (this.#over || this.#inFlight < IN_FLIGHT_BYTES) return Promise.resolve();
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  end(): Promise<void> {
    if (this.#ending === undefined) {
      this.#ending = deferred();
      if (this.#over) this.#ending.resolve();
      else this.#send(undefined, 0);
    }
    return this.#ending.promise;
  }

  /** Waits for the other side's end as long as nobody calls `abort`; what arrives can still be read. */
  async close(): Promise<void> {
    await this.end();
    await this.#closed.promise;
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.#inbox.clear();
    this.#settle(reason);
    const other = this.#other;
    if (this.#link.instant) queueMicrotask(() => other.#cut());
    else this.#runtime.setTimer(() => other.#cut(), this.#link.delay());
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }

  #send(pieces: readonly Uint8Array[] | undefined, bytes: number): void {
    const at = this.#link.instant ? 0 : this.#link.arrival(this.#runtime.now(), bytes);
    this.#flights.push({ pieces, bytes, at });
    this.#inFlight += bytes;
    this.#schedule();
  }

  /** At most one timer or microtask is pending: the one for the first in flight. */
  #schedule(): void {
    const first = this.#flights.peek();
    if (first === undefined || this.#stalled || this.#timer !== undefined) return;
    if (this.#link.instant) {
      this.#timer = { cancel: () => {} };
      queueMicrotask(() => this.#deliver());
    } else {
      this.#timer = this.#runtime.setTimer(() => this.#deliver(), first.at - this.#runtime.now());
    }
  }

  #deliver(): void {
    this.#timer = undefined;
    const now = this.#link.instant ? 0 : this.#runtime.now();
    for (;;) {
      const flight = this.#flights.peek();
      if (flight === undefined || flight.at > now || this.#stalled) break;
      this.#flights.shift();
      this.#inFlight -= flight.bytes;
      if (flight.pieces !== undefined) this.#other.#inbox.push(concat(...flight.pieces));
      else this.#endArrived();
    }
    if (this.#inFlight < IN_FLIGHT_BYTES) this.#welcome();
    this.#schedule();
  }

  #endArrived(): void {
    this.#writeEnded = true;
    this.#ending?.resolve();
    const other = this.#other;
    other.#readEnded = true;
    other.#inbox.finish();
    other.#settleIfBothEnded();
    this.#settleIfBothEnded();
  }

  #settleIfBothEnded(): void {
    if (this.#readEnded && this.#writeEnded) this.#settle(undefined);
  }

  #welcome(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.resolve();
  }

  #stall(): void {
    this.#stalled = true;
  }

  #go(): void {
    this.#stalled = false;
    this.#schedule();
  }

  /** The other end was aborted. */
  #cut(): void {
    this.#settle(
      networkError("TRUNCATED", `${this.remote.text} was cut by the other side`, {
        address: this.remote.text,
      }),
    );
  }

  #settle(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#flights.clear();
    this.#inFlight = 0;
    this.#inbox.finish(error);
    this.#ending?.resolve();
    this.#welcome();
    this.#closed.resolve(error);
  }
}
