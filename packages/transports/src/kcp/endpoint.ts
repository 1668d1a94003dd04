/**
 * Endpoint: one UDP socket and everybody who lives on it. Finds the one a packet is for by its id, and gives all
 * their turns.
 *
 * The socket is closed when nobody is left and nobody listens. Whoever throws is cut; the others go on.
 */

import { asError, type Runtime, readU32 } from "@testudo/core";
import type { Place } from "../udp/place.ts";
import type { DatagramSocket } from "../udp/socket.ts";
import type { UdpSystem } from "../udp/system.ts";
import { type Seat, type Resident as Taker, Turns } from "../udp/turns.ts";
import { type ConnectionId, HEADER_BYTES, readId, TYPES } from "./packet.ts";

/** Whoever has an id here: a session, or a dial that waits for its answer. When dropped, it calls `gone`. */
export interface Resident extends Taker {
  receive(packet: Uint8Array, from: Place, now: number): void;
}

/** A resident's way to its endpoint. */
export interface Residence {
  transmit(to: Place, head: Uint8Array, body: Uint8Array): boolean;
  wake(): void;
  gone(): void;
}

export interface Surroundings {
  readonly runtime: Runtime;
  readonly system: UdpSystem;
}

interface Entry {
  readonly id: ConnectionId;
  resident: Resident | undefined;
  seat: Seat | undefined;
}

export class Endpoint {
  readonly runtime: Runtime;
  /** Given what is no resident's: opens. */
  knock: ((packet: Uint8Array, from: Place) => void) | undefined;
  /** Called once, when the socket is closed. */
  closed: (() => void) | undefined;
  #socket: DatagramSocket | undefined;
  readonly #entries = new Map<number, Entry>();
  readonly #turns: Turns;
  /** Somebody listens or is about to dial: the socket stays. */
  #holds = 0;

  private constructor(runtime: Runtime, system: UdpSystem) {
    this.runtime = runtime;
    this.#turns = new Turns(runtime, (callback) => system.soon(callback));
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
    if (before !== undefined) leave(before);
    const entry: Entry = { id, resident: undefined, seat: undefined };
    this.#entries.set(id.low, entry);
    const resident = make({
      transmit: (to, head, body) => this.transmit(to, head, body),
      wake: () => entry.seat?.wake(),
      gone: () => this.#remove(entry),
    });
    entry.resident = resident;
    entry.seat = this.#turns.add(resident);
    return resident;
  }

  transmit(to: Place, head: Uint8Array, body: Uint8Array): boolean {
    return this.#socket?.send(to, head, body) ?? false;
  }

  #onPacket(packet: Uint8Array, from: Place): void {
    this.#turns.read();
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

  #remove(entry: Entry): void {
    if (entry.resident === undefined) return;
    leave(entry);
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
    this.#turns.close();
    const { closed } = this;
    this.closed = undefined;
    closed?.();
  }
}

function leave(entry: Entry): void {
  entry.resident = undefined;
  entry.seat?.leave();
}
