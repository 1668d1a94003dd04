/**
 * Door: one UDP socket that listens, and the sessions on it, found by the address they come from as in kcp-go.
 *
 * A session begins with a greeting that brings back its cookie, or as kcp-go's do: with data that can be the first of a
 * session. Of those that begin so only a bounded number may be without proof. A session is replaced by another from its
 * address only when that one brings a cookie, or when it is silent itself; one that is over leaves a mark, so that what
 * still comes for it opens nothing. Nothing that arrives makes this throw or grow beyond its bounds.
 */

import { asError, type Connection, EMPTY, type Timer } from "@testudo/core";
import { FEC_HEADER_BYTES } from "../kcp/fec.ts";
import { PUSH, SEGMENT_HEADER } from "../kcp/segment.ts";
import { hostSection, isLoopback } from "../net/host.ts";
import { Cookies } from "../udp/cookie.ts";
import type { UdpDoor } from "../udp/listener.ts";
import type { Place } from "../udp/place.ts";
import type { DatagramSocket } from "../udp/socket.ts";
import { Turns } from "../udp/turns.ts";
import { KcpgoConnection } from "./connection.ts";
import { type PacketHead, readHead } from "./packet.ts";
import type { Session } from "./session.ts";
import type { Settings } from "./settings.ts";
import {
  answer,
  convBytes,
  cookieMark,
  isGreeting,
  type Mark,
  readWord,
  refusal,
  sameMark,
  type Word,
} from "./words.ts";

/** What can be the first packet of a session has a number below this, since the one before it may be lost. */
const FIRST_NUMBERS = 128;
/** How long, since the last packet for it, a session that is over is remembered; longer than a cookie lives. */
const REMEMBER_MS = 60_000;
const MOST_REMEMBERED = 4_096;

export class Door implements UdpDoor {
  /** Given each new connection; absent when nobody listens any more. */
  accept: ((connection: Connection) => void) | undefined;
  /** Called once, when the socket is closed. */
  closed: (() => void) | undefined;
  readonly #settings: Settings;
  readonly #cookies: Cookies;
  readonly #turns: Turns;
  readonly #sessions = new Map<string, Session>();
  readonly #unproved = new Set<Session>();
  /** Those that are over, with the time until which that is remembered; oldest first. */
  readonly #over = new Map<string, number>();
  #socket: DatagramSocket | undefined;
  #held = true;

  private constructor(settings: Settings) {
    const { runtime, system } = settings;
    this.#settings = settings;
    this.#cookies = new Cookies(runtime);
    this.#turns = new Turns(runtime, (callback): Timer => system.soon(callback));
  }

  /** Held by whoever opened it. Rejects with the system's error. */
  static async open(at: Place, settings: Settings): Promise<Door> {
    const door = new Door(settings);
    const events = {
      packet: (packet: Uint8Array, from: Place) => door.#onPacket(packet, from),
      lost: (error: Error) => door.#onLost(error),
    };
    door.#socket = await settings.system.bind(at, events, false);
    return door;
  }

  get place(): Place {
    return this.#socket?.place ?? { address: "", port: 0 };
  }

  get open(): boolean {
    return this.#socket !== undefined;
  }

  /** Sessions now, and those of them that have proved nothing. */
  get count(): { readonly sessions: number; readonly unproved: number } {
    this.#forgetProved();
    return { sessions: this.#sessions.size, unproved: this.#unproved.size };
  }

  /** Somebody listens again. */
  hold(): void {
    this.#held = true;
  }

  /** Nobody listens any more: the socket stays for the sessions that there are. */
  release(): void {
    this.accept = undefined;
    this.#held = false;
    this.#closeIfEmpty();
  }

  #onPacket(packet: Uint8Array, from: Place): void {
    this.#turns.read();
    // Nobody can be answered at port 0.
    if (from.port === 0) return;
    const opened = this.#settings.crypt.open(packet);
    const head = opened === undefined ? undefined : readHead(opened);
    if (opened === undefined || head === undefined) return;
    const key = `${from.address}|${from.port}`;
    const session = this.#sessions.get(key);
    if (session !== undefined && (head.conv === undefined || head.conv === session.conv)) {
      try {
        session.receive(opened, this.#settings.runtime.now());
      } catch (error) {
        session.drop(asError(error));
      }
    } else if (head.conv !== undefined) this.#onStranger(opened, head, from, key);
  }

  /** A packet of a conversation that does not exist there. */
  #onStranger(opened: Uint8Array, head: PacketHead, from: Place, key: string): void {
    const { conv, kind } = head;
    if (conv === undefined || kind === "oob" || this.#isOver(`${key}|${conv}`)) return;
    const word = readWord(opened, kind === "data" ? FEC_HEADER_BYTES : 0);
    if (isGreeting(word)) this.#onGreeting(opened, word, from, key);
    else if (this.accept !== undefined && canBeFirst(word)) this.#onFirst(opened, word, from, key);
  }

  #onGreeting(opened: Uint8Array, word: Word, from: Place, key: string): void {
    const { maxConnections } = this.#settings;
    const full = this.#sessions.size >= maxConnections && !this.#sessions.has(key);
    if (this.accept === undefined || full) this.#reply(from, word, refusal(word.ts));
    else if (!this.#isProved(word, from)) {
      this.#reply(from, word, cookieMark(this.#cookies.make(from, convBytes(word.conv))));
    } else {
      this.#replace(key);
      this.#admit(opened, word, from, key, true);
    }
  }

  #isProved(word: Word, from: Place): boolean {
    const same = (good: Uint8Array): boolean => sameMark(word, cookieMark(good));
    return this.#cookies.verify(same, from, convBytes(word.conv));
  }

  #onFirst(opened: Uint8Array, word: Word, from: Place, key: string): void {
    const { maxConnections, maxUnproved, runtime } = this.#settings;
    const before = this.#sessions.get(key);
    if (before !== undefined) {
      if (!before.contested(runtime.now())) return;
      this.#replace(key);
    }
    this.#forgetProved();
    if (this.#sessions.size >= maxConnections || this.#unproved.size >= maxUnproved) return;
    this.#admit(opened, word, from, key, false);
  }

  #admit(opened: Uint8Array, word: Word, from: Place, key: string, proved: boolean): void {
    const { runtime } = this.#settings;
    const place: Place = { address: from.address, port: from.port };
    const remote = hostSection("kcpgo", place.address, place.port);
    const now = runtime.now();
    const parts = { conv: word.conv, proved, label: remote.text, settings: this.#settings, now };
    const connection = new KcpgoConnection(remote, isLoopback(place.address), parts, {
      transmit: (packet) => void this.#socket?.send(place, packet, EMPTY),
      wake: () => seat.wake(),
      gone: () => {
        seat.leave();
        this.#forget(key, session);
      },
    });
    const { session } = connection;
    const seat = this.#turns.add(session);
    this.#sessions.set(key, session);
    if (!proved) this.#unproved.add(session);
    try {
      session.receive(opened, now);
      this.accept?.(connection);
    } catch (error) {
      connection.abort(asError(error));
    }
  }

  /** No longer than what it answers. */
  #reply(to: Place, { conv }: Word, mark: Mark): void {
    const { crypt, machine } = this.#settings;
    const packet = new Uint8Array(crypt.overheadBytes + SEGMENT_HEADER);
    packet.set(answer(conv, machine.receiveWindow, mark), crypt.headerBytes);
    crypt.seal(packet);
    this.#socket?.send(to, packet, EMPTY);
  }

  #replace(key: string): void {
    this.#sessions.get(key)?.lose("another session took its address");
  }

  #forget(key: string, session: Session): void {
    this.#unproved.delete(session);
    if (this.#sessions.get(key) === session) this.#sessions.delete(key);
    this.#remember(`${key}|${session.conv}`);
    this.#closeIfEmpty();
  }

  #forgetProved(): void {
    for (const session of this.#unproved) if (session.proved) this.#unproved.delete(session);
  }

  #remember(name: string): void {
    const now = this.#settings.runtime.now();
    this.#over.delete(name);
    this.#over.set(name, now + REMEMBER_MS);
    for (const [each, until] of this.#over) {
      if (until > now && this.#over.size <= MOST_REMEMBERED) break;
      this.#over.delete(each);
    }
  }

  /** Whoever goes on sending is remembered for longer. */
  #isOver(name: string): boolean {
    const until = this.#over.get(name);
    if (until === undefined) return false;
    const still = until > this.#settings.runtime.now();
    if (still) this.#remember(name);
    return still;
  }

  #closeIfEmpty(): void {
    if (this.#sessions.size > 0 || this.#held) return;
    const socket = this.#socket;
    this.#end();
    socket?.close();
  }

  #onLost(error: Error): void {
    this.#held = false;
    for (const session of [...this.#sessions.values()]) session.drop(error);
    this.#end();
  }

  #end(): void {
    this.#socket = undefined;
    this.#turns.close();
    const { closed } = this;
    this.closed = undefined;
    closed?.();
  }
}

/** Data that somebody sends who has received nothing yet. */
function canBeFirst({ command, sn, una }: Word): boolean {
  return command === PUSH && una === 0 && sn < FIRST_NUMBERS;
}
