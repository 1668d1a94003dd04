/**
 * Dialling kcpgo by host and port: looks the host up, then races its addresses, families in turn. Each dial has a
 * socket of its own, as in kcp-go, and drops what comes from anywhere else.
 */

import { isIP } from "node:net";
import {
  asError,
  type Deferred,
  type DialOptions,
  deferred,
  EMPTY,
  readU32,
  type Section,
} from "@testudo/core";
import { hostSection, isLoopback } from "../net/host.ts";
import { dialUdp } from "../udp/dial.ts";
import { type Place, samePlace } from "../udp/place.ts";
import type { DatagramSocket } from "../udp/socket.ts";
import { type Seat, Turns } from "../udp/turns.ts";
import { KcpgoConnection } from "./connection.ts";
import { Opening } from "./opening.ts";
import type { Settings } from "./settings.ts";

/** Too short for any session to begin with it: it only asks the system there whether the port is open. */
const KNOCK = new Uint8Array(1);

/** Rejects `DialError`, or with the signal's reason; then nothing is left open. */
export function dialKcpgo(
  section: Section,
  target: { readonly host: string; readonly port: number },
  options: DialOptions,
  settings: Settings,
): Promise<KcpgoConnection> {
  const open = async (place: Place, signal: AbortSignal): Promise<KcpgoConnection> => {
    const line = await Line.open(place, settings);
    return line.dial(section.text, signal);
  };
  return dialUdp({ section, ...target, open }, options, settings.runtime);
}

/** One socket and the one conversation on it: first an opening, then a session. */
class Line {
  readonly #settings: Settings;
  readonly #place: Place;
  readonly #conv: number;
  readonly #turns: Turns;
  readonly #opened: Deferred<KcpgoConnection> = deferred();
  #socket: DatagramSocket | undefined;
  #opening: Opening | undefined;
  #connection: KcpgoConnection | undefined;
  #seat: Seat | undefined;

  private constructor(place: Place, settings: Settings) {
    const { runtime, system } = settings;
    this.#settings = settings;
    this.#place = place;
    this.#conv = newNumber(settings);
    this.#turns = new Turns(runtime, (callback) => system.soon(callback));
  }

  /** Rejects with the system's error. */
  static async open(place: Place, settings: Settings): Promise<Line> {
    const line = new Line(place, settings);
    const events = {
      packet: (packet: Uint8Array, from: Place) => line.#onPacket(packet, from),
      lost: (error: Error) => line.#onLost(error),
    };
    const ipv6 = isIP(place.address) === 6;
    const any = { address: ipv6 ? "::" : "0.0.0.0", port: 0 };
    line.#socket = await settings.system.bind(any, events, ipv6);
    return line;
  }

  /** Once. What fails leaves no socket. */
  async dial(label: string, signal: AbortSignal): Promise<KcpgoConnection> {
    if (signal.aborted) {
      this.#close();
      throw signal.reason;
    }
    if (!this.#settings.greet) return this.#connect();
    const { runtime, system, machine, openTimeoutMs: timeoutMs } = this.#settings;
    const { receiveWindow } = machine;
    const nonce = newNumber(this.#settings);
    const now = runtime.now();
    const parts = { conv: this.#conv, nonce, receiveWindow, timeoutMs, label, now };
    const refusal = system.refusal(this.#place, KNOCK, (error) => opening.drop(error));
    const opening = new Opening(parts, {
      send: (segment) => this.#sendSegment(segment),
      wake: () => this.#seat?.wake(),
      opened: (first) => this.#opened.resolve(this.#connect(first)),
      failed: (error) => {
        this.#close();
        this.#opened.reject(error);
      },
      unheard: () => refusal.ask(),
    });
    const onAbort = (): void => opening.drop(asError(signal.reason));
    this.#opening = opening;
    this.#seat = this.#turns.add(opening);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#opened.promise;
    } finally {
      refusal.close();
      signal.removeEventListener("abort", onAbort);
    }
  }

  #connect(first?: Uint8Array): KcpgoConnection {
    const { runtime } = this.#settings;
    const remote = hostSection("kcpgo", this.#place.address, this.#place.port);
    const now = runtime.now();
    const label = remote.text;
    const parts = { conv: this.#conv, proved: true, label, settings: this.#settings, now };
    const connection = new KcpgoConnection(remote, isLoopback(this.#place.address), parts, {
      transmit: (packet) => this.#send(packet),
      wake: () => this.#seat?.wake(),
      gone: () => this.#close(),
    });
    this.#seat?.leave();
    this.#opening = undefined;
    this.#connection = connection;
    this.#seat = this.#turns.add(connection.session);
    if (first !== undefined) connection.session.receive(first, now);
    return connection;
  }

  #sendSegment(segment: Uint8Array): void {
    const { crypt } = this.#settings;
    const packet = new Uint8Array(crypt.overheadBytes + segment.length);
    packet.set(segment, crypt.headerBytes);
    crypt.seal(packet);
    this.#send(packet);
  }

  #send(packet: Uint8Array): void {
    this.#socket?.send(this.#place, packet, EMPTY);
  }

  #onPacket(packet: Uint8Array, from: Place): void {
    this.#turns.read();
    if (!samePlace(from, this.#place)) return;
    const opened = this.#settings.crypt.open(packet);
    if (opened === undefined) return;
    const now = this.#settings.runtime.now();
    const session = this.#connection?.session;
    try {
      if (session === undefined) this.#opening?.receive(opened, now);
      else session.receive(opened, now);
    } catch (error) {
      this.#drop(asError(error));
    }
  }

  #onLost(error: Error): void {
    this.#drop(error);
    this.#close();
  }

  #drop(error: Error): void {
    this.#opening?.drop(error);
    this.#connection?.session.drop(error);
  }

  #close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#turns.close();
    socket?.close();
  }
}

/** 32 bits that nobody can guess, and not 0. */
function newNumber({ runtime }: Settings): number {
  for (;;) {
    const number = readU32(runtime.randomBytes(4), 0);
    if (number !== 0) return number;
  }
}
