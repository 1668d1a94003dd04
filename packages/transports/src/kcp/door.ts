/**
 * Door: a listener's half of the handshake.
 *
 * Keeps nothing about an address that has not brought back its cookie, and never sends more bytes than came in
 * that address's name. An open that was answered is answered in the same way again; one whose connection is
 * over stays refused for as long as its cookie lives, so that a late repetition opens nothing.
 */

import { asError, type Connection, EMPTY, equal } from "@testudo/core";
import { hostSection, isLoopback } from "../net/host.ts";
import { Cookies, SLOT_MS } from "../udp/cookie.ts";
import type { UdpDoor } from "../udp/listener.ts";
import type { Place } from "../udp/place.ts";
import { KcpConnection } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import {
  COOKIE_BYTES,
  type ConnectionId,
  decodeOpen,
  encodeAccept,
  encodeReset,
  encodeRetry,
  type Open,
  type ResetReason,
} from "./packet.ts";
import { grant, type Settings, sizesUpTo } from "./settings.ts";

/** A cookie lives no longer. */
const REMEMBER_MS: number = 2 * SLOT_MS;
const MOST_REMEMBERED = 65_536;

export class Door implements UdpDoor {
  /** Given each new connection; absent when nobody listens any more. */
  accept: ((connection: Connection) => void) | undefined;
  readonly #endpoint: Endpoint;
  readonly #settings: Settings;
  readonly #cookies: Cookies;
  /** The answers to those that live here, by the dialer's id. */
  readonly #answers = new Map<string, Uint8Array>();
  /** Those that are over, by the dialer's id, with the time until which that is remembered; oldest first. */
  readonly #over = new Map<string, number>();

  private constructor(endpoint: Endpoint, settings: Settings) {
    this.#endpoint = endpoint;
    this.#settings = settings;
    this.#cookies = new Cookies(settings.runtime);
    endpoint.knock = (packet, from) => this.#knock(packet, from);
  }

  /** Held by whoever opened it. Rejects with the system's error. */
  static async open(at: Place, settings: Settings): Promise<Door> {
    return new Door(await Endpoint.open(at, settings), settings);
  }

  get place(): Place {
    return this.#endpoint.place;
  }

  get closed(): (() => void) | undefined {
    return this.#endpoint.closed;
  }

  set closed(closed: (() => void) | undefined) {
    this.#endpoint.closed = closed;
  }

  hold(): void {
    this.#endpoint.hold();
  }

  release(): void {
    this.accept = undefined;
    this.#endpoint.release();
  }

  #knock(packet: Uint8Array, from: Place): void {
    const open = decodeOpen(packet);
    if (open === undefined) return;
    const key = keyOf(open.id);
    const answer = this.#answers.get(key);
    if (this.accept === undefined && answer === undefined) {
      this.#refuse(open, from);
      return;
    }
    if (!this.#isProved(open, from)) {
      const cookie = this.#cookies.make(from, open.id.bytes).subarray(0, COOKIE_BYTES);
      this.#send(from, encodeRetry(open.id, cookie));
    } else if (answer !== undefined) this.#send(from, answer);
    else if (this.#isOver(key)) this.#refuse(open, from);
    else if (this.#answers.size >= this.#settings.maxConnections) this.#refuse(open, from, "full");
    else this.#admit(open, from, key);
  }

  #isProved({ cookie, id }: Open, from: Place): boolean {
    if (cookie === undefined) return false;
    const same = (good: Uint8Array): boolean => equal(cookie, good.subarray(0, COOKIE_BYTES));
    return this.#cookies.verify(same, from, id.bytes);
  }

  #admit(open: Open, from: Place, key: string): void {
    const { runtime } = this.#settings;
    const place: Place = { address: from.address, port: from.port };
    const terms = grant(this.#settings, open, place);
    const localId = this.#endpoint.newId();
    const remote = hostSection("kcp", place.address, place.port);
    const parts = {
      side: "listener",
      localId,
      remoteId: open.id,
      place,
      label: remote.text,
      terms,
      sizes: sizesUpTo(terms.mtu),
      settings: this.#settings,
      randomBytes: (length: number) => runtime.randomBytes(length),
      now: runtime.now(),
    } as const;
    let connection: KcpConnection | undefined;
    this.#endpoint.add(localId, (residence) => {
      const gone = (): void => {
        this.#forget(key);
        residence.gone();
      };
      const carrier = { ...residence, gone };
      connection = new KcpConnection(remote, isLoopback(place.address), parts, carrier);
      return connection.session;
    });
    const answer = encodeAccept(open.id, { ...terms, id: localId });
    this.#answers.set(key, answer);
    this.#send(place, answer);
    if (connection === undefined) return;
    try {
      this.accept?.(connection);
    } catch (error) {
      connection.abort(asError(error));
    }
  }

  #send(to: Place, packet: Uint8Array): void {
    this.#endpoint.transmit(to, packet, EMPTY);
  }

  #refuse(open: Open, to: Place, reason: ResetReason = "refused"): void {
    this.#send(to, encodeReset(open.id, reason, true));
  }

  #forget(key: string): void {
    this.#answers.delete(key);
    const now = this.#settings.runtime.now();
    for (const [each, until] of this.#over) {
      if (until > now && this.#over.size < MOST_REMEMBERED) break;
      this.#over.delete(each);
    }
    this.#over.set(key, now + REMEMBER_MS);
  }

  #isOver(key: string): boolean {
    const until = this.#over.get(key);
    return until !== undefined && until > this.#settings.runtime.now();
  }
}

function keyOf({ low, high }: ConnectionId): string {
  return `${high}:${low}`;
}
