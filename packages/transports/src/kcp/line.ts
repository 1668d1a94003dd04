/**
 * Line: what lies between a session's KCP machine and UDP. Error correction, pieces, the place of the other end,
 * and how large a datagram may be on the way there. A machine.
 */

import { EMPTY } from "@testudo/core";
import type { Place } from "../udp/place.ts";
import { Coding } from "./coding.ts";
import {
  type ConnectionId,
  encodePing,
  encodePong,
  HEADER_BYTES,
  header,
  type Terms,
  TYPES,
} from "./packet.ts";
import { Path } from "./path.ts";
import { PathMtu } from "./path-mtu.ts";
import { cut, Pieces } from "./pieces.ts";

/** Sends `head` and `body` as one datagram, copied. False when it could not be taken. Never throws. */
export type Transmit = (to: Place, head: Uint8Array, body: Uint8Array) => boolean;

export interface LineParts {
  readonly remoteId: ConnectionId;
  readonly place: Place;
  /** What was agreed; `mtu` is the largest datagram that both take. */
  readonly terms: Terms;
  /** Sizes worth probing for on this path. */
  readonly sizes: readonly number[];
  readonly randomBytes: (length: number) => Uint8Array;
  readonly now: number;
}

type Carrying = typeof TYPES.data | typeof TYPES.coded | typeof TYPES.piece | typeof TYPES.datagram;

export class Line {
  readonly #remoteId: ConnectionId;
  readonly #transmit: Transmit;
  readonly #path: Path;
  readonly #mtu: PathMtu;
  readonly #coding: Coding | undefined;
  readonly #pieces: Pieces;
  readonly #heads: Readonly<Record<Carrying, Uint8Array>>;
  #pieceNumber = 0;

  constructor(parts: LineParts, transmit: Transmit) {
    const { remoteId, place, terms, sizes, randomBytes, now } = parts;
    this.#remoteId = remoteId;
    this.#transmit = transmit;
    this.#path = new Path(place, randomBytes);
    this.#mtu = new PathMtu(sizes, now, randomBytes);
    this.#pieces = new Pieces(terms.mtu);
    this.#coding = terms.fecData > 0 ? new Coding(terms) : undefined;
    this.#heads = {
      [TYPES.data]: header(TYPES.data, remoteId),
      [TYPES.coded]: header(TYPES.coded, remoteId),
      [TYPES.piece]: header(TYPES.piece, remoteId),
      [TYPES.datagram]: header(TYPES.datagram, remoteId),
    };
  }

  /** Where the other end is. */
  get place(): Place {
    return this.#path.place;
  }

  /** Bytes of a UDP datagram that get through. */
  get mtu(): number {
    return this.#mtu.size;
  }

  /** Bytes behind the header of a packet. */
  get room(): number {
    return this.#mtu.size - HEADER_BYTES;
  }

  /** Bytes of a datagram of the KCP machine. */
  get segmentMtu(): number {
    return this.room - (this.#coding?.overhead ?? 0);
  }

  /** Datagrams rebuilt by error correction so far. */
  get recovered(): number {
    return this.#coding?.recovered ?? 0;
  }

  /** When `poll` has something to do. */
  get due(): number {
    return Math.min(this.#path.due, this.#mtu.due);
  }

  /** Asks places and sizes whether they answer. */
  poll(now: number): void {
    const challenge = this.#path.poll(now);
    if (challenge !== undefined) this.ping(challenge.nonce, challenge.to);
    const probe = this.#mtu.poll(now);
    if (probe !== undefined) this.ping(probe.nonce, this.place, probe.size);
  }

  /** A packet with our id came from there. */
  heard(from: Place, bytes: number, now: number): void {
    this.#path.heard(from, bytes, now);
  }

  /** A pong. True when the size of datagrams may have changed. */
  answered(nonce: Uint8Array, from: Place, now: number): boolean {
    if (!this.#path.answered(nonce, from)) return this.#mtu.answered(nonce, now);
    this.#mtu.reset(now);
    return true;
  }

  /** Nothing gets through any more. True when datagrams are to be smaller. */
  fall(now: number): boolean {
    return this.#mtu.fall(now);
  }

  ping(nonce: Uint8Array, to: Place, length?: number): void {
    this.say(encodePing(this.#remoteId, nonce, length), to);
  }

  /** To where the ping came from, whether that is the path or not: it is no longer than the ping. */
  pong(nonce: Uint8Array, to: Place): void {
    this.say(encodePong(this.#remoteId, nonce), to);
  }

  say(packet: Uint8Array, to: Place = this.place): void {
    this.#transmit(to, packet, EMPTY);
  }

  /** A datagram of the KCP machine, which is copied. */
  send(datagram: Uint8Array, now: number): void {
    if (this.#coding === undefined) {
      this.#emit(TYPES.data, datagram);
      return;
    }
    for (const packet of this.#coding.encode(datagram, now)) this.#emit(TYPES.coded, packet);
  }

  /** An unreliable message. False when it does not fit, or was dropped at once. */
  sendDatagram(body: Uint8Array): boolean {
    return body.length <= this.room && this.#carry(TYPES.datagram, body);
  }

  /** The KCP datagrams that a packet of data, coded data or a piece brings. May keep a reference to it. */
  receive(type: number, body: Uint8Array, deliver: (datagram: Uint8Array) => void): void {
    if (type === TYPES.data) deliver(body);
    else if (type === TYPES.coded) this.#coding?.decode(body, deliver);
    else if (type === TYPES.piece) {
      const whole = this.#pieces.add(body);
      const inner = whole?.[0];
      if (whole === undefined || inner === TYPES.piece) return;
      this.receive(inner as number, whole.subarray(1), deliver);
    }
  }

  #emit(type: typeof TYPES.data | typeof TYPES.coded, body: Uint8Array): void {
    if (body.length <= this.room) {
      this.#carry(type, body);
      return;
    }
    this.#pieceNumber = (this.#pieceNumber + 1) & 0xffff;
    for (const piece of cut(this.#pieceNumber, type, body, this.room)) {
      this.#carry(TYPES.piece, piece);
    }
  }

  #carry(type: Carrying, body: Uint8Array): boolean {
    return this.#transmit(this.place, this.#heads[type], body);
  }
}
