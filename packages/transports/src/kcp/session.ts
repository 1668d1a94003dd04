/**
 * Session: one end of a connection after the handshake. A machine: packets, bytes and the time go in, packets
 * and bytes come out; no socket, no clock, no timer.
 *
 * Each direction is a byte stream made of single-segment KCP messages, whose end is an empty message. When both
 * have ended and all has arrived, the two sides tell each other so (`done`) and forget; a `reset` cuts at once.
 * Whoever drives it calls `receive` for each packet, and `turn` soon after a `wake` and when `due` has come.
 */

import { EMPTY, networkError, type Side } from "@testudo/core";
import { Outgoing } from "../udp/outgoing.ts";
import type { Place } from "../udp/place.ts";
import { Farewell } from "./farewell.ts";
import { Intake } from "./intake.ts";
import { Line, type LineParts, type Transmit } from "./line.ts";
import { Kcp, type KcpStatistics } from "./machine.ts";
import {
  type ConnectionId,
  decodeDone,
  decodePing,
  decodePong,
  decodeReset,
  encodeDone,
  encodeReset,
  HEADER_BYTES,
  NONCE_BYTES,
  TYPES,
} from "./packet.ts";
import { SEGMENT_HEADER } from "./segment.ts";
import type { Settings } from "./settings.ts";
import { Watch } from "./watch.ts";

/** Segments cut and waiting for the window; the rest waits uncut. */
const QUEUED_SEGMENTS = 256;

/** Below: what carries packets, and who keeps the sessions. */
export interface Carrier {
  readonly transmit: Transmit;
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

export interface SessionParts extends LineParts {
  readonly side: Side;
  readonly localId: ConnectionId;
  /** Text of the other end for errors. */
  readonly label: string;
  readonly settings: Settings;
}

export interface SessionStatistics extends KcpStatistics {
  /** Bytes of a UDP datagram that get through. */
  readonly mtu: number;
  /** Datagrams rebuilt by error correction so far. */
  readonly recovered: number;
}

export class Session {
  readonly #remoteId: ConnectionId;
  readonly #label: string;
  readonly #idleTimeoutMs: number;
  readonly #randomBytes: (length: number) => Uint8Array;
  readonly #carrier: Carrier;
  readonly #events: SessionEvents;
  readonly #kcp: Kcp;
  readonly #line: Line;
  readonly #intake: Intake;
  readonly #watch: Watch;
  readonly #outgoing = new Outgoing();
  #scratch: Uint8Array;
  #now: number;
  /** The last turn left acknowledgements for this one. */
  #held = false;
  #ending = false;
  #endSent = false;
  #localDone = false;
  /** The other side has said that it is done: nothing travels any more, but there may be bytes to read. */
  #peerDone = false;
  #settled = false;
  #gone = false;
  #farewell: Farewell | undefined;

  constructor(parts: SessionParts, carrier: Carrier, events: SessionEvents) {
    const { terms, settings, now, side, localId, remoteId } = parts;
    this.#remoteId = remoteId;
    this.#label = parts.label;
    this.#idleTimeoutMs = settings.idleTimeoutMs;
    this.#randomBytes = parts.randomBytes;
    this.#carrier = carrier;
    this.#events = events;
    this.#now = now;
    this.#line = new Line(parts, carrier.transmit);
    this.#watch = new Watch(settings.keepaliveMs, settings.idleTimeoutMs, now);
    const conv = (side === "dialer" ? localId : remoteId).low;
    this.#kcp = new Kcp(conv, (datagram) => this.#line.send(datagram, this.#now), {
      ...settings.machine,
      mtu: this.#line.segmentMtu,
      receiveMtu: terms.mtu,
      sendQueue: QUEUED_SEGMENTS + 1,
    });
    this.#intake = new Intake(this.#kcp, events.data);
    this.#scratch = new Uint8Array(this.#kcp.mtu - SEGMENT_HEADER);
  }

  get statistics(): SessionStatistics {
    const { mtu, recovered } = this.#line;
    return { ...this.#kcp.statistics, mtu, recovered };
  }

  /** Where the other end is now. */
  get place(): Place {
    return this.#line.place;
  }

  /** When `turn` is to be called if nothing happens before. */
  due(now: number): number {
    if (this.#farewell !== undefined) return this.#farewell.due;
    if (this.#gone || this.#peerDone) return Number.POSITIVE_INFINITY;
    return Math.min(this.#kcp.check(now), this.#watch.due, this.#line.due);
  }

  /** False: taken, but wait for `writable`. Keeps the pieces by reference. */
  write(pieces: readonly Uint8Array[]): boolean {
    if (this.#ending || this.#settled) return false;
    for (const piece of pieces) this.#outgoing.push(piece);
    if (this.#outgoing.bytes > 0) this.#carrier.wake();
    return !this.#outgoing.full;
  }

  get full(): boolean {
    return this.#outgoing.full;
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
    this.#leave((answer) => encodeReset(this.#remoteId, "cut", answer));
  }

  /** The socket is lost: nobody can be told. */
  drop(reason: Error): void {
    this.#settle(reason);
    this.#forget();
  }

  /** The reader is behind: nothing is handed on, and the other side's window closes. */
  pause(): void {
    this.#intake.paused = true;
  }

  resume(): void {
    this.#intake.paused = false;
    this.#carrier.wake();
  }

  /** Bytes of body that a datagram packet may have. */
  get datagramRoom(): number {
    return this.#line.room;
  }

  sendDatagram(body: Uint8Array): boolean {
    return !this.#settled && !this.#peerDone && this.#line.sendDatagram(body);
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
      this.#onDone(packet, from);
      return;
    }
    this.#watch.heard(now);
    this.#line.heard(from, packet.length, now);
    this.#take(packet, from);
    this.#carrier.wake();
  }

  #take(packet: Uint8Array, from: Place): void {
    const type = packet[0] as number;
    switch (type) {
      case TYPES.ping: {
        const nonce = decodePing(packet);
        if (nonce !== undefined) this.#line.pong(nonce, from);
        break;
      }
      case TYPES.pong: {
        const nonce = decodePong(packet);
        if (nonce !== undefined && this.#line.answered(nonce, from, this.#now)) this.#resize();
        break;
      }
      case TYPES.done:
        this.#onDone(packet, from);
        break;
      case TYPES.reset: {
        const reset = decodeReset(packet);
        if (reset === undefined) break;
        if (!reset.answer) this.#line.say(encodeReset(this.#remoteId, "cut", true), from);
        this.drop(this.#cut("the other side cut it"));
        break;
      }
      case TYPES.datagram:
        this.#events.datagram(packet.subarray(HEADER_BYTES));
        break;
      default:
        this.#line.receive(type, packet.subarray(HEADER_BYTES), this.#input);
    }
  }

  readonly #input = (datagram: Uint8Array): void => {
    this.#kcp.input(datagram, this.#now);
  };

  /** Does what has come up since the last turn, and what the time calls for. */
  turn(now: number): void {
    this.#now = now;
    if (this.#gone) return;
    if (this.#farewell !== undefined) {
      this.#sayFarewell(this.#farewell);
      return;
    }
    const wasEnded = this.#intake.ended;
    const delivered = this.#intake.deliver();
    if (this.#intake.ended && !wasEnded) this.#events.ended();
    // What the reader answers at once travels with the acknowledgement; it has one turn for that.
    if (delivered && !this.#held) {
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
    if (outgoing.relieved()) this.#events.writable();
  }

  /** Whether the other side is there, where it is, and how wide the way is. False when it is lost. */
  #keepWatch(): boolean {
    const now = this.#now;
    if (this.#watch.lost(now)) return this.#lose(`nothing arrived for ${this.#idleTimeoutMs} ms`);
    if (this.#kcp.dead) return this.#lose("something was sent too often without an answer");
    if (this.#watch.mustPing(now)) {
      this.#line.ping(this.#randomBytes(NONCE_BYTES), this.place);
    }
    this.#line.poll(now);
    if (this.#watch.stuck(this.#kcp.statistics, now) && this.#line.fall(now)) this.#resize();
    return true;
  }

  #resize(): void {
    const mtu = this.#line.segmentMtu;
    if (mtu === this.#kcp.mtu) return;
    this.#kcp.setMtu(mtu);
    this.#scratch = new Uint8Array(mtu - SEGMENT_HEADER);
  }

  /** The other side has all of ours, and has ended: what of its bytes is not read yet is here. */
  #onDone(packet: Uint8Array, from: Place): void {
    const done = decodeDone(packet);
    if (done === undefined) return;
    if (!done.answer) this.#line.say(encodeDone(this.#remoteId, true), from);
    if (this.#endSent) this.#peerDone = true;
    else this.drop(this.#cut("the other side was done too early"));
  }

  #receiveLeaving(farewell: Farewell, packet: Uint8Array, from: Place): void {
    const word = decodeDone(packet) ?? decodeReset(packet);
    if (word === undefined) {
      // It has not heard ours, which is not longer than what it sent.
      const ours = farewell.packet(false);
      if (packet.length >= ours.length) this.#line.say(ours, from);
      return;
    }
    if (!word.answer) this.#line.say(farewell.packet(true), from);
    this.#forget();
  }

  #settleIfDone(): void {
    if (!this.#localDone && this.#endSent && (this.#kcp.waitSend === 0 || this.#peerDone)) {
      this.#localDone = true;
      this.#events.flushed();
    }
    if (this.#localDone && this.#intake.ended) {
      this.#settle(undefined);
      this.#leave((answer) => encodeDone(this.#remoteId, answer));
    } else if (this.#peerDone && !this.#intake.paused && this.#intake.empty) {
      this.drop(this.#cut("the other side was done without an end"));
    }
  }

  #lose(why: string): false {
    this.#line.say(encodeReset(this.#remoteId, "cut", true));
    this.drop(this.#cut(why));
    return false;
  }

  #cut(why: string): Error {
    const address = this.#label;
    return networkError("TRUNCATED", `${address} was cut: ${why}`, { address });
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
    if (word !== undefined) this.#line.say(word);
    if (farewell.over(this.#now)) this.#forget();
  }

  #forget(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#carrier.gone();
  }
}
