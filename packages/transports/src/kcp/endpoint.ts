/**
 * Endpoint: one UDP socket and everybody who lives on it. Finds the one a packet is for by its id, gives turns
 * to those that asked for one, and keeps one timer for all.
 *
 * Turns are taken once per turn of the event loop, after everything that has arrived was read. The socket is
 * closed when nobody is left and nobody listens. Whoever throws is cut; the others go on.
 */

import { asError, type Runtime, readU32, type Timer } from "@testudo/core";
import { type ConnectionId, HEADER_BYTES, readId, TYPES } from "./packet.ts";
import type { Place } from "./place.ts";
import type { UdpSystem } from "./system.ts";
import type { DatagramSocket } from "./udp-socket.ts";

/** Whoever has an id here: a session, or a dial that waits for its answer. */
export interface Resident {
  receive(packet: Uint8Array, from: Place, now: number): void;
  turn(now: number): void;
  due(now: number): number;
  /** The socket is lost, or this resident failed. Calls `leave`. */
  drop(reason: Error): void;
}

/** A resident's way to its endpoint. */
export interface Residence {
  transmit(to: Place, head: Uint8Array, body: Uint8Array): boolean;
  wake(): void;
  gone(): void;
}

/** So many datagrams the event loop reads from one socket before it goes on: then more may be waiting. */
const BATCH = 32;
/** How often in a row turns wait for what else has arrived. */
const MOST_BATCHES = 8;

export interface Surroundings {
  readonly runtime: Runtime;
  readonly system: UdpSystem;
}

interface Entry {
  readonly id: ConnectionId;
  resident: Resident | undefined;
  due: number;
  awake: boolean;
}

export class Endpoint {
  readonly runtime: Runtime;
  /** Given what is no resident's: opens. */
  knock: ((packet: Uint8Array, from: Place) => void) | undefined;
  /** Called once, when the socket is closed. */
  closed: (() => void) | undefined;
  readonly #system: UdpSystem;
  #socket: DatagramSocket | undefined;
  readonly #entries = new Map<number, Entry>();
  #awake: Entry[] = [];
  #turn: Timer | undefined;
  #read = 0;
  #batches = 0;
  #timer: Timer | undefined;
  #timerAt: number = Number.POSITIVE_INFINITY;
  /** Somebody listens or is about to dial: the socket stays. */
  #holds = 0;

  private constructor(runtime: Runtime, system: UdpSystem) {
    this.runtime = runtime;
    this.#system = system;
  }

  /** Held once by whoever opened it. Rejects with the system's error. */
  static async open(
    at: Place,
    { runtime, system }: Surroundings,
    ipv6Only: boolean = false,
  ): Promise<Endpoint> {
    const endpoint = new Endpoint(runtime, system);
    const events = {
      packet: (packet: Uint8Array, from: Place) => endpoint.#onPacket(packet, from),
      lost: (error: Error) => endpoint.#onLost(error),
    };
    endpoint.#socket = await system.bind(at, events, ipv6Only);
    endpoint.hold();
    return endpoint;
  }

  get place(): Place {
    return this.#socket?.place ?? { address: "", port: 0 };
  }

  get open(): boolean {
    return this.#socket !== undefined;
  }

  /** How many live here. */
  get residents(): number {
    return this.#entries.size;
  }

  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
    this.#closeIfEmpty();
  }

  /** An id that nobody here has. */
  newId(): ConnectionId {
    for (;;) {
      const id = readId(this.runtime.randomBytes(8), 0);
      if ((id.low !== 0 || id.high !== 0) && !this.#entries.has(id.low)) return id;
    }
  }

  /** Lets somebody live under the id, in the place of whoever lives there now, and gives them a turn. */
  add<T extends Resident>(id: ConnectionId, make: (residence: Residence) => T): T {
    const before = this.#entries.get(id.low);
    if (before !== undefined) before.resident = undefined;
    const due = Number.POSITIVE_INFINITY;
    const entry: Entry = { id, resident: undefined, due, awake: false };
    this.#entries.set(id.low, entry);
    const resident = make({
      transmit: (to, head, body) => this.transmit(to, head, body),
      wake: () => this.#wake(entry),
      gone: () => this.#remove(entry),
    });
    entry.resident = resident;
    this.#wake(entry);
    return resident;
  }

  transmit(to: Place, head: Uint8Array, body: Uint8Array): boolean {
    return this.#socket?.send(to, head, body) ?? false;
  }

  #onPacket(packet: Uint8Array, from: Place): void {
    this.#read++;
    // Nobody can be answered at port 0.
    if (packet.length < HEADER_BYTES || from.port === 0) return;
    if (packet[0] === TYPES.open) {
      this.knock?.(packet, from);
      return;
    }
    const entry = this.#entries.get(readU32(packet, 1));
    if (entry === undefined || entry.id.high !== readU32(packet, 5)) return;
    try {
      entry.resident?.receive(packet, from, this.runtime.now());
    } catch (error) {
      entry.resident?.drop(asError(error));
    }
  }

  #wake(entry: Entry): void {
    if (entry.awake) return;
    entry.awake = true;
    this.#awake.push(entry);
    this.#turn ??= this.#system.soon(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#turn = undefined;
    const full = this.#read >= BATCH;
    this.#read = 0;
    // When we are late, the answer to what seems lost is among what is not read yet.
    if (full && this.#batches++ < MOST_BATCHES) {
      this.#turn = this.#system.soon(this.#onTurn);
      return;
    }
    this.#batches = 0;
    const awake = this.#awake;
    this.#awake = [];
    const now = this.runtime.now();
    let nearest = Number.POSITIVE_INFINITY;
    for (const entry of awake) {
      entry.awake = false;
      this.#giveTurn(entry, now);
      if (entry.due < nearest) nearest = entry.due;
    }
    this.#arm(nearest, now);
  };

  /** Turns come after what has arrived was read: when we are late, an answer may be among it. */
  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.runtime.now();
    let nearest = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      if (entry.due <= now) this.#wake(entry);
      else if (entry.due < nearest) nearest = entry.due;
    }
    this.#arm(nearest, now);
  };

  #giveTurn(entry: Entry, now: number): void {
    const { resident } = entry;
    entry.due = Number.POSITIVE_INFINITY;
    if (resident === undefined) return;
    try {
      resident.turn(now);
      // It may have left.
      if (entry.resident !== undefined) entry.due = resident.due(now);
    } catch (error) {
      resident.drop(asError(error));
    }
    if (entry.due > now) return;
    entry.due = Number.POSITIVE_INFINITY;
    this.#wake(entry);
  }

  /** A timer that fires too early does no harm, so it is only ever moved forward. */
  #arm(at: number, now: number): void {
    if (at >= this.#timerAt || this.#socket === undefined) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.runtime.setTimer(this.#onTimer, Math.ceil(at - now));
  }

  #remove(entry: Entry): void {
    if (entry.resident === undefined) return;
    entry.resident = undefined;
    entry.due = Number.POSITIVE_INFINITY;
    if (this.#entries.get(entry.id.low) === entry) this.#entries.delete(entry.id.low);
    this.#closeIfEmpty();
  }

  #closeIfEmpty(): void {
    if (this.#entries.size > 0 || this.#holds > 0) return;
    const socket = this.#socket;
    this.#over();
    socket?.close();
  }

  #onLost(error: Error): void {
    for (const { resident } of [...this.#entries.values()]) resident?.drop(error);
    this.#over();
  }

  #over(): void {
    this.#socket = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#turn?.cancel();
    const { closed } = this;
    this.closed = undefined;
    closed?.();
  }
}
