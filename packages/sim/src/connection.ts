/**
 * Connection between two nodes of a world. Reliable and in order, as TCP's; what it does when the way
 * is cut is what TCP would do: bytes wait, are sent again ever less often, and at last it breaks.
 *
 * Bytes are handed over and not copied: a writer must not change them, as the contract of connections says.
 */

import {
  type Connection,
  type Deferred,
  deferred,
  Fifo,
  Inbox,
  type InboxSource,
  networkError,
  type Section,
  type Timer,
} from "@testudo/core";
import { type DatagramCarrier, SimDatagrams } from "./datagrams.ts";
import type { Host } from "./host.ts";
import type { Internet } from "./internet.ts";
import { delayOf, Line, type LinkShape, retransmissionMs } from "./line.ts";

/** Bytes under way in one direction before `write` says to wait; as many again fit into the reader's inbox. */
const IN_FLIGHT_BYTES = 256 * 1024;

/** A sender that gets no answer doubles its wait up to this. */
const LONGEST_RETRANSMISSION_MS = 60_000;

interface Flight {
  /** Absent for the end of the direction. */
  readonly pieces: readonly Uint8Array[] | undefined;
  readonly bytes: number;
  readonly at: number;
}

/** Two connected ends: the dialer's, then the listener's. */
export function connect(
  internet: Internet,
  dialer: { host: Host; remote: Section },
  listener: { host: Host; remote: Section },
): [SimConnection, SimConnection] {
  const near = new SimConnection(internet, dialer.host, listener.host, dialer.remote);
  const far = new SimConnection(internet, listener.host, dialer.host, listener.remote);
  near.join(far);
  far.join(near);
  return [near, far];
}

export class SimConnection implements Connection, InboxSource, DatagramCarrier {
  readonly remote: Section;
  /** Nodes are machines of their own, however many run in this process: bounds per host apply. */
  readonly local: boolean = false;
  readonly #internet: Internet;
  readonly #from: Host;
  readonly #to: Host;
  readonly #inbox: Inbox = new Inbox(this);
  readonly #flights: Fifo<Flight> = new Fifo();
  readonly #line: Line = new Line();
  #shape: LinkShape;
  #epoch: number;
  /** Itself until joined. */
  #other: SimConnection = this;
  #inFlight = 0;
  #paused = false;
  #timer: Timer | undefined;
  /** When bytes first did not come through, and what breaks the connection for that. */
  #stalledAt: number | undefined;
  #breaking: Timer | undefined;
  /** The other end is no more, and could not say so. */
  #orphan = false;
  #ending: Deferred<void> | undefined;
  #drained: Deferred<void> | undefined;
  #readEnded = false;
  #writeEnded = false;
  #over = false;
  #error: Error | undefined;
  #closed: Deferred<Error | undefined> | undefined;
  #datagrams: SimDatagrams | undefined;

  constructor(internet: Internet, from: Host, to: Host, remote: Section) {
    this.#internet = internet;
    this.#from = from;
    this.#to = to;
    this.remote = remote;
    this.#epoch = internet.epoch;
    this.#shape = internet.shapeOf(from, to);
    from.ends.add(this);
  }

  /** Once, before anything else. */
  join(other: SimConnection): void {
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
    await this.closed;
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.#inbox.clear();
    this.#settle(reason);
    this.#tellOther();
  }

  get closed(): Promise<Error | undefined> {
    if (this.#closed === undefined) {
      this.#closed = deferred();
      if (this.#over) this.#closed.resolve(this.#error);
    }
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }

  get datagrams(): SimDatagrams {
    if (this.#datagrams === undefined) {
      this.#datagrams = new SimDatagrams(this);
      if (this.#over) this.#datagrams.finish();
    }
    return this.#datagrams;
  }

  /** For the datagrams. What is lost is lost, and nothing waits for anything. */
  carry(bytes: Uint8Array): boolean {
    if (this.#over) return false;
    const internet = this.#internet;
    const shape = this.#shapeNow();
    internet.counters.writes++;
    internet.counters.bytes += bytes.length;
    const left = this.#from.sent(internet.now(), bytes.length);
    const lost = shape.lossRate > 0 && internet.random.next() < shape.lossRate;
    const arrive = (): void => {
      if (lost || internet.blocked(this.#from, this.#to)) return;
      internet.trace.add("datagram", this.#from.name, this.#to.name, bytes.length);
      this.#other.#datagrams?.receive(bytes);
    };
    internet.at(left + delayOf(shape, internet.random), arrive, this.#from);
    return true;
  }

  /** For the inbox: its reader is slow, so what arrives waits with the sender. */
  pause(): void {
    this.#other.#paused = true;
  }

  /** For the inbox: its reader has caught up. */
  resume(): void {
    this.#other.#paused = false;
    this.#other.#schedule();
  }

  /** The node is no more: nothing of it runs on. `silently`: nor does its machine, so that nobody is told. */
  die(silently: boolean): void {
    if (this.#over) return;
    this.#release();
    this.#inbox.clear();
    if (!silently) this.#tellOther();
  }

  /** The way may be open again: what waits is sent when the sender would next have tried. */
  healed(): void {
    const since = this.#stalledAt;
    if (since === undefined || this.#internet.blocked(this.#from, this.#to)) return;
    this.#stalledAt = undefined;
    this.#breaking?.cancel();
    this.#breaking = undefined;
    this.#internet.stalled.delete(this);
    const now = this.#internet.now();
    let wait = retransmissionMs(this.#shape);
    let at = since + wait;
    while (at < now) {
      wait = Math.min(2 * wait, LONGEST_RETRANSMISSION_MS);
      at += wait;
    }
    this.#timer = this.#internet.at(at, this.#deliver, this.#from);
  }

  #send(pieces: readonly Uint8Array[] | undefined, bytes: number): void {
    const internet = this.#internet;
    const left = this.#from.sent(internet.now(), bytes);
    const at = this.#line.arrival(this.#shapeNow(), internet.random, left, bytes);
    this.#flights.push({ pieces, bytes, at });
    this.#inFlight += bytes;
    internet.counters.writes++;
    internet.counters.bytes += bytes;
    this.#schedule();
  }

  #shapeNow(): LinkShape {
    if (this.#epoch !== this.#internet.epoch) {
      this.#epoch = this.#internet.epoch;
      this.#shape = this.#internet.shapeOf(this.#from, this.#to);
    }
    return this.#shape;
  }

  /** At most one timer is pending: the one for the first in flight. */
  #schedule(): void {
    if (this.#paused || this.#timer !== undefined || this.#stalledAt !== undefined) return;
    const first = this.#flights.peek();
    if (first !== undefined) {
      this.#timer = this.#internet.at(first.at, this.#deliver, this.#from);
    }
  }

  readonly #deliver = (): void => {
    this.#timer = undefined;
    if (this.#internet.blocked(this.#from, this.#to)) {
      this.#stall();
      return;
    }
    if (this.#orphan) {
      this.#internet.after(this.#delay(), () => this.#cut(), this.#from);
      return;
    }
    const now = this.#internet.now();
    let bytes = 0;
    for (;;) {
      const flight = this.#flights.peek();
      if (flight === undefined || flight.at > now || this.#paused) break;
      this.#flights.shift();
      bytes += flight.bytes;
      if (flight.pieces === undefined) this.#endArrived();
      else for (const piece of flight.pieces) this.#other.#inbox.push(piece);
    }
    this.#inFlight -= bytes;
    if (bytes > 0) this.#internet.trace.add("bytes", this.#from.name, this.#to.name, bytes);
    if (this.#inFlight < IN_FLIGHT_BYTES) this.#welcome();
    this.#schedule();
  };

  /** As a sender whose segments are not acknowledged: it tries for a while, then gives the connection up. */
  #stall(): void {
    this.#stalledAt = this.#internet.now();
    this.#internet.stalled.add(this);
    const giveUp = (): void => {
      this.abort(
        networkError("TRUNCATED", `${this.remote.text} did not answer any more`, {
          address: this.remote.text,
        }),
      );
    };
    this.#breaking = this.#internet.after(this.#internet.breakMs, giveUp, this.#from);
  }

  #endArrived(): void {
    this.#internet.trace.add("end", this.#from.name, this.#to.name, 0);
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

  #delay(): number {
    return delayOf(this.#shape, this.#internet.random);
  }

  /** That this end is no more reaches the other one if the way is open then. */
  #tellOther(): void {
    const other = this.#other;
    other.#orphan = true;
    this.#internet.after(
      this.#delay(),
      () => {
        if (!this.#internet.blocked(this.#from, this.#to)) other.#cut();
      },
      this.#to,
    );
  }

  /** The other end was aborted. */
  #cut(): void {
    if (this.#over) return;
    this.#internet.trace.add("cut", this.#from.name, this.#to.name, 0);
    this.#settle(
      networkError("TRUNCATED", `${this.remote.text} was cut by the other side`, {
        address: this.remote.text,
      }),
    );
  }

  #settle(error: Error | undefined): void {
    if (this.#over) return;
    this.#release();
    this.#error = error;
    this.#inbox.finish(error);
    this.#ending?.resolve();
    this.#welcome();
    this.#closed?.resolve(error);
  }

  #release(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#breaking?.cancel();
    this.#internet.stalled.delete(this);
    this.#flights.clear();
    this.#inFlight = 0;
    this.#datagrams?.finish();
    this.#from.ends.delete(this);
    this.#internet.counters.open--;
  }
}
