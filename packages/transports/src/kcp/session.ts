/**
 * Session: one end of a connection after the handshake. A machine: packets, bytes and the time go in, packets
 * and bytes come out; no socket, no clock, no timer.
 *
 * Each direction is a byte stream made of single-segment KCP messages, whose end is an empty message. When both
 * have ended and all has arrived, the two sides tell each other so (`done`) and forget; a `reset` cuts at once.
 * Whoever drives it calls `receive` for each packet and `turn` soon after a `wake`, and when `due` has come.
 */

import { EMPTY, networkError, type Side } from "@testudo/core";
import { Coding } from "./coding.ts";
import { Farewell } from "./farewell.ts";
import { Kcp, type KcpStatistics } from "./machine.ts";
import { Outgoing } from "./outgoing.ts";
import {
  type ConnectionId,
  decodeDone,
  decodePing,
  decodePong,
  decodeReset,
  encodeDone,
  encodePing,
  encodePong,
  encodeReset,
  HEADER_BYTES,
  header,
  NONCE_BYTES,
  type Terms,
  TYPES,
} from "./packet.ts";
import { Path } from "./path.ts";
import { PathMtu } from "./path-mtu.ts";
import { cut, Pieces } from "./pieces.ts";
import type { Place } from "./place.ts";
import { SEGMENT_HEADER } from "./segment.ts";
import type { Settings } from "./settings.ts";

/** Segments cut and waiting for the window; the rest waits uncut. */
const QUEUED_SEGMENTS = 256;
/** Bytes handed on in one chunk. */
const CHUNK_BYTES = 65_536;
/** Bytes written and not yet cut before writers are asked to wait, and when they may go on. */
const HIGH_WATER_BYTES: number = 256 * 1024;
const LOW_WATER_BYTES: number = HIGH_WATER_BYTES / 2;
/** Once a ping was not answered, they come more often. */
const HURRY = 4;
/** No progress for so many waiting times, and at least so long, means that the path has become narrower. */
const BLACK_HOLE_ROUNDS = 4;
const BLACK_HOLE_MS = 1_500;

/** Below: what carries packets, and who keeps the sessions. */
export interface Carrier {
  /** Sends `head` and `body` as one datagram, copied. False when it could not be taken. Never throws. */
  transmit(to: Place, head: Uint8Array, body: Uint8Array): boolean;
  /** `turn` is to be called soon. */
  wake(): void;
  /** Nothing is left to say: the session can be forgotten. */
  gone(): void;
}

/** Above: the connection. */
export interface SessionEvents {
  data(chunk: Uint8Array): void;
  /** The other side has ended its direction. */
  ended(): void;
  /** Writing is welcome again. */
  writable(): void;
  /** Our own end, and all before it, has arrived. */
  flushed(): void;
  /** Once: with the error when it was cut, without when both directions ended. */
  settled(error: Error | undefined): void;
  datagram(body: Uint8Array): void;
}

export interface SessionParts {
  readonly side: Side;
  readonly localId: ConnectionId;
  readonly remoteId: ConnectionId;
  readonly place: Place;
  /** Text of the other end for errors. */
  readonly label: string;
  /** What was agreed; `mtu` is the largest datagram that both take. */
  readonly terms: Terms;
  /** Sizes worth probing for on this path. */
  readonly sizes: readonly number[];
  readonly settings: Settings;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly now: number;
}

export class Session {
  readonly parts: SessionParts;
  readonly #carrier: Carrier;
  readonly #events: SessionEvents;
  readonly #kcp: Kcp;
  readonly #path: Path;
  readonly #mtu: PathMtu;
  readonly #coding: Coding | undefined;
  readonly #pieces: Pieces;
  readonly #outgoing = new Outgoing();
  readonly #heads: { readonly [type: number]: Uint8Array };
  #scratch: Uint8Array = EMPTY;
  #now: number;
  #lastHeard: number;
  #lastPing: number;
  #lastUna = -1;
  #progressAt: number;
  #pieceNumber = 0;
  #paused = false;
  #held = false;
  #full = false;
  #ending = false;
  #endSent = false;
  #localDone = false;
  #peerEnded = false;
  #peerDone = false;
  #settled = false;
  #gone = false;
  #farewell: Farewell | undefined;

  constructor(parts: SessionParts, carrier: Carrier, events: SessionEvents) {
    const { terms, settings, now, side, localId, remoteId } = parts;
    this.parts = parts;
    this.#carrier = carrier;
    this.#events = events;
    this.#now = now;
    this.#lastHeard = now;
    this.#lastPing = now;
    this.#progressAt = now;
    this.#path = new Path(parts.place, parts.randomBytes);
    this.#mtu = new PathMtu(parts.sizes, now, parts.randomBytes);
    this.#pieces = new Pieces(terms.mtu);
    this.#coding = terms.fecData > 0 ? new Coding(terms) : undefined;
    this.#heads = {
      [TYPES.data]: header(TYPES.data, remoteId),
      [TYPES.coded]: header(TYPES.coded, remoteId),
      [TYPES.piece]: header(TYPES.piece, remoteId),
      [TYPES.datagram]: header(TYPES.datagram, remoteId),
    };
    const conv = (side === "dialer" ? localId : remoteId).low;
    this.#kcp = new Kcp(conv, (datagram) => this.#output(datagram), {
      ...settings.machine,
      mtu: this.#segmentMtu(),
      receiveMtu: terms.mtu,
      sendQueue: QUEUED_SEGMENTS + 1,
    });
    this.#scratch = new Uint8Array(this.#kcp.mtu - SEGMENT_HEADER);
  }

  /** What the machine below is doing, and the datagrams' present size. */
  get statistics(): KcpStatistics & { readonly mtu: number; readonly recovered: number } {
    const recovered = this.#coding?.recovered ?? 0;
    return { ...this.#kcp.statistics, mtu: this.#mtu.size, recovered };
  }

  /** Where the other end is now. */
  get place(): Place {
    return this.#path.place;
  }

  /** When `turn` is to be called if nothing happens before. */
  due(now: number): number {
    if (this.#gone) return Number.POSITIVE_INFINITY;
    if (this.#farewell !== undefined) return this.#farewell.due;
    if (this.#peerDone) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.#kcp.check(now),
      this.#lastHeard + this.parts.settings.idleTimeoutMs,
      this.#pingAt(),
      this.#path.due,
      this.#mtu.due,
    );
  }

  /** False: taken, but wait for `writable`. Keeps the pieces by reference. */
  write(pieces: readonly Uint8Array[]): boolean {
    if (this.#ending || this.#settled) return false;
    for (const piece of pieces) this.#outgoing.push(piece);
    if (this.#outgoing.bytes > 0) this.#carrier.wake();
    this.#full ||= this.#outgoing.bytes >= HIGH_WATER_BYTES;
    return !this.#full;
  }

  get full(): boolean {
    return this.#full;
  }

  /** Ends our direction behind all that was written. */
  end(): void {
    if (this.#ending || this.#settled) return;
    this.#ending = true;
    this.#carrier.wake();
  }

  /** Cuts both directions now and tells the other side. */
  abort(reason: Error): void {
    if (this.#settled) return;
    this.#settle(reason);
    this.#leave((answer) => encodeReset(this.parts.remoteId, "cut", answer));
  }

  /** The socket is lost: nobody can be told. */
  drop(reason: Error): void {
    this.#settle(reason);
    this.#forget();
  }

  /** The reader is behind: nothing is handed on, and the other side's window closes. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#carrier.wake();
  }

  /** Bytes of body that a datagram packet may have. */
  get datagramRoom(): number {
    return this.#mtu.size - HEADER_BYTES;
  }

  sendDatagram(body: Uint8Array): boolean {
    if (this.#settled || body.length > this.datagramRoom) return false;
    return this.#transmit(TYPES.datagram, body);
  }

  /** A packet with our id. Believes nothing but the id. */
  receive(packet: Uint8Array, from: Place, now: number): void {
    this.#now = now;
    if (this.#gone) return;
    if (this.#farewell !== undefined) {
      this.#receiveLeaving(this.#farewell, packet, from);
      return;
    }
    if (this.#peerDone) {
      this.#receiveAfterDone(packet, from);
      return;
    }
    this.#lastHeard = now;
    this.#path.heard(from, packet.length, now);
    this.#take(packet[0] as number, packet.subarray(HEADER_BYTES), packet, from);
    this.#carrier.wake();
  }

  #take(type: number, body: Uint8Array, packet: Uint8Array, from: Place): void {
    switch (type) {
      case TYPES.data:
        this.#kcp.input(body, this.#now);
        break;
      case TYPES.coded:
        this.#coding?.decode(body, (datagram) => this.#kcp.input(datagram, this.#now));
        break;
      case TYPES.piece: {
        const whole = this.#pieces.add(body);
        const inner = whole?.[0];
        if (whole === undefined || (inner !== TYPES.data && inner !== TYPES.coded)) break;
        this.#take(inner, whole.subarray(1), packet, from);
        break;
      }
      case TYPES.ping: {
        const nonce = decodePing(packet);
        if (nonce === undefined) break;
        this.#carrier.transmit(from, encodePong(this.parts.remoteId, nonce), EMPTY);
        break;
      }
      case TYPES.pong: {
        const nonce = decodePong(packet);
        if (nonce !== undefined) this.#onPong(nonce, from);
        break;
      }
      case TYPES.done: {
        const done = decodeDone(packet);
        if (done !== undefined) this.#onDone(from, done.answer);
        break;
      }
      case TYPES.reset: {
        const reset = decodeReset(packet);
        if (reset === undefined) break;
        if (!reset.answer) this.#answer(encodeReset(this.parts.remoteId, "cut", true), from);
        this.drop(this.#cut("the other side cut it"));
        break;
      }
      case TYPES.datagram:
        this.#events.datagram(body);
        break;
    }
  }

  /** Does what has come up since the last turn, and what the time calls for. */
  turn(now: number): void {
    this.#now = now;
    if (this.#gone) return;
    if (this.#farewell !== undefined) {
      this.#sayFarewell(this.#farewell);
      return;
    }
    // What the reader answers at once travels with the acknowledgement; it has one turn for that.
    if (this.#deliver() && !this.#held) {
      this.#held = true;
      this.#carrier.wake();
      return;
    }
    this.#held = false;
    if (!this.#peerDone) {
      this.#pump();
      if (!this.#keepWatch()) return;
    }
    this.#settleIfDone();
  }

  /** Hands on what is in order. True when there was something. */
  #deliver(): boolean {
    const kcp = this.#kcp;
    let chunk = EMPTY;
    let used = 0;
    let any = false;
    const push = (): void => {
      if (used > 0) this.#events.data(used === chunk.length ? chunk : chunk.subarray(0, used));
      used = 0;
      chunk = EMPTY;
    };
    while (!this.#paused) {
      const size = kcp.peekSize;
      if (size < 0) break;
      if (size === 0 || this.#peerEnded) {
        kcp.recv();
        if (this.#peerEnded) continue;
        push();
        this.#peerEnded = true;
        this.#events.ended();
        continue;
      }
      any = true;
      if (chunk.length - used < size) {
        push();
        if (this.#paused) break;
        const ready = size * kcp.statistics.receiveReady;
        chunk = new Uint8Array(Math.max(Math.min(ready, CHUNK_BYTES), size));
      }
      kcp.recv(chunk.subarray(used, used + size));
      used += size;
    }
    push();
    return any;
  }

  /** Cuts what was written into segments, as many as there is use for, and lets the machine send. */
  #pump(): void {
    const kcp = this.#kcp;
    const outgoing = this.#outgoing;
    for (;;) {
      let room = QUEUED_SEGMENTS - kcp.statistics.sendQueued;
      for (; room > 0 && outgoing.bytes > 0; room--) kcp.send(outgoing.take(this.#scratch));
      if (this.#ending && !this.#endSent && outgoing.bytes === 0) {
        this.#endSent = true;
        kcp.send(EMPTY);
      }
      kcp.update(this.#now);
      if (outgoing.bytes === 0 || kcp.statistics.sendQueued > 0) break;
    }
    if (this.#full && outgoing.bytes <= LOW_WATER_BYTES) {
      this.#full = false;
      this.#events.writable();
    }
  }

  /** Whether the other side is there, where it is, and how wide the way is. False when it is lost. */
  #keepWatch(): boolean {
    const now = this.#now;
    const { idleTimeoutMs } = this.parts.settings;
    if (now - this.#lastHeard >= idleTimeoutMs) {
      return this.#lose(`nothing arrived for ${idleTimeoutMs} ms`);
    }
    if (this.#kcp.dead) {
      this.#lose("something was sent too often without an answer");
      return;
    }
    if (now >= this.#pingAt()) {
      this.#lastPing = now;
      this.#ping(this.place, this.parts.randomBytes(NONCE_BYTES));
    }
    const challenge = this.#path.poll(now);
    if (challenge !== undefined) this.#ping(challenge.to, challenge.nonce);
    const probe = this.#mtu.poll(now);
    if (probe !== undefined) this.#ping(this.place, probe.nonce, probe.size);
    this.#watchForBlackHole();
    return true;
  }

  #ping(to: Place, nonce: Uint8Array, length?: number): void {
    this.#carrier.transmit(to, encodePing(this.parts.remoteId, nonce, length), EMPTY);
  }

  #pingAt(): number {
    const { keepaliveMs } = this.parts.settings;
    const unanswered = this.#lastPing > this.#lastHeard;
    return unanswered ? this.#lastPing + keepaliveMs / HURRY : this.#lastHeard + keepaliveMs;
  }

  #onPong(nonce: Uint8Array, from: Place): void {
    if (this.#path.answered(nonce, from)) {
      this.#mtu.reset(this.#now);
      this.#resize();
    } else if (this.#mtu.answered(nonce, this.#now)) this.#resize();
  }

  #watchForBlackHole(): void {
    const { sendUna, inFlight, rto } = this.#kcp.statistics;
    if (sendUna !== this.#lastUna || inFlight === 0) {
      this.#lastUna = sendUna;
      this.#progressAt = this.#now;
      return;
    }
    const patience = Math.max(BLACK_HOLE_ROUNDS * rto, BLACK_HOLE_MS);
    if (this.#now - this.#progressAt < patience) return;
    this.#progressAt = this.#now;
    if (this.#mtu.fall(this.#now)) this.#resize();
  }

  #segmentMtu(): number {
    return this.#mtu.size - HEADER_BYTES - (this.#coding?.overhead ?? 0);
  }

  #resize(): void {
    const mtu = this.#segmentMtu();
    if (mtu === this.#kcp.mtu) return;
    this.#kcp.setMtu(mtu);
    this.#scratch = new Uint8Array(mtu - SEGMENT_HEADER);
  }

  /** From the machine, which must not be called from here. */
  #output(datagram: Uint8Array): void {
    if (this.#coding === undefined) {
      this.#emit(TYPES.data, datagram);
      return;
    }
    for (const packet of this.#coding.encode(datagram, this.#now)) {
      this.#emit(TYPES.coded, packet);
    }
  }

  #emit(type: number, body: Uint8Array): void {
    const room = this.#mtu.size - HEADER_BYTES;
    if (body.length <= room) {
      this.#transmit(type, body);
      return;
    }
    this.#pieceNumber = (this.#pieceNumber + 1) & 0xffff;
    for (const piece of cut(this.#pieceNumber, type, body, room)) {
      this.#transmit(TYPES.piece, piece);
    }
  }

  #transmit(type: number, body: Uint8Array): boolean {
    return this.#carrier.transmit(this.place, this.#heads[type] ?? EMPTY, body);
  }

  #answer(packet: Uint8Array, to: Place): void {
    this.#carrier.transmit(to, packet, EMPTY);
  }

  /** The other side has all of ours, and has ended: what of its bytes is not read yet is here. */
  #onDone(from: Place, answer: boolean): void {
    if (!answer) this.#answer(encodeDone(this.parts.remoteId, true), from);
    if (!this.#endSent) {
      this.drop(this.#cut("the other side was done too early"));
      return;
    }
    this.#peerDone = true;
  }

  #receiveAfterDone(packet: Uint8Array, from: Place): void {
    const done = packet[0] === TYPES.done ? decodeDone(packet) : undefined;
    if (done?.answer === false) this.#answer(encodeDone(this.parts.remoteId, true), from);
  }

  #receiveLeaving(farewell: Farewell, packet: Uint8Array, from: Place): void {
    const word = packet[0] === TYPES.done ? decodeDone(packet) : decodeReset(packet);
    if (word === undefined) {
      // It has not heard it. What it sent is longer than what it gets.
      if (packet.length >= farewell.packet(false).length) {
        this.#answer(farewell.packet(false), from);
      }
      return;
    }
    if (!word.answer) this.#answer(farewell.packet(true), from);
    this.#forget();
  }

  #settleIfDone(): void {
    if (!this.#localDone && this.#endSent && (this.#kcp.waitSend === 0 || this.#peerDone)) {
      this.#localDone = true;
      this.#events.flushed();
    }
    if (this.#localDone && this.#peerEnded) {
      this.#settle(undefined);
      if (this.#peerDone) this.#forget();
      else this.#leave((answer) => encodeDone(this.parts.remoteId, answer));
    } else if (this.#peerDone && !this.#paused && this.#kcp.peekSize < 0) {
      this.drop(this.#cut("the other side was done without an end"));
    }
  }

  #lose(why: string): false {
    this.#answer(encodeReset(this.parts.remoteId, "cut", true), this.place);
    this.drop(this.#cut(why));
    return false;
  }

  #cut(why: string): Error {
    const { label } = this.parts;
    return networkError("TRUNCATED", `${label} was cut: ${why}`, { address: label });
  }

  #settle(error: Error | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#outgoing.clear();
    this.#events.settled(error);
  }

  #leave(packet: (answer: boolean) => Uint8Array): void {
    if (this.#gone) return;
    if (this.#peerDone) {
      this.#forget();
      return;
    }
    this.#farewell = new Farewell(packet);
    this.#carrier.wake();
  }

  #sayFarewell(farewell: Farewell): void {
    const word = farewell.poll(this.#now);
    if (word !== undefined) this.#answer(word, this.place);
    if (farewell.over(this.#now)) this.#forget();
  }

  #forget(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#carrier.gone();
  }
}
