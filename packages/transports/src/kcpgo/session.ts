/**
 * Session: one end of a kcp-go session. A machine: opened packets, bytes and the time go in, sealed packets and bytes come
 * out; no socket, no clock, no timer.
 *
 * A byte stream of single-segment KCP messages, as kcp-go writes them. There is no end on the wire: ours is reached when all
 * is acknowledged and the other side has been quiet for a moment. Whether the other side is there is asked with WASK.
 *
 * Until the other end has proved that it receives what is sent there, it gets acknowledgements, and data no more than came
 * from it, with a few repetitions: whoever writes a stranger's address on a packet gains nothing by it.
 */

import { networkError, readU32 } from "@testudo/core";
import { fecKind } from "../kcp/fec.ts";
import { FecDecoder } from "../kcp/fec-decoder.ts";
import { Kcp, type KcpStatistics } from "../kcp/machine.ts";
import { SEGMENT_HEADER } from "../kcp/segment.ts";
import { Outgoing } from "../udp/outgoing.ts";
import { Allowance } from "./allowance.ts";
import { decodePacket, PacketEncoder } from "./packet.ts";
import type { Settings } from "./settings.ts";
import { carriesData, question, withoutTimes } from "./words.ts";

/** Segments cut and waiting for the window; the rest waits uncut. */
const QUEUED_SEGMENTS = 256;
/** Bytes handed on in one chunk. */
const CHUNK_BYTES = 65_536;
/** Once a question was not answered, they come more often; so many must stay without an answer before silence is believed. */
const HURRY = 4;
const LEAST_QUESTIONS = 3;
/** After the end: silence of so many waiting times, within these bounds, means that the other side has nothing left to say. */
const QUIET_ROUNDS = 3;
const LEAST_QUIET_MS = 100;
const MOST_QUIET_MS = 1_000;
/** A session that another wants to replace is asked whether it lives, so often, and has this long to answer. */
const CONTEST_AGAIN_MS = 200;
const CONTEST_MS = 2_000;

/** Below: what carries packets, and who keeps the sessions. */
export interface Carrier {
  /** Sends a sealed packet, whose memory is not touched again. Never throws. */
  transmit(packet: Uint8Array): void;
  /** `turn` is to be called soon. */
  wake(): void;
  /** Nothing is left to say: the session can be forgotten. */
  gone(): void;
}

/** Above: the connection. */
export interface SessionEvents {
  data(chunk: Uint8Array): void;
  /** Writing is welcome again. */
  writable(): void;
  /** All that was written has arrived. */
  flushed(): void;
  /** Once: with the error when it was cut, without after our end. */
  settled(error: Error | undefined): void;
}

export interface SessionParts {
  readonly conv: number;
  /** The other end is known to receive what is sent there: we dialled it, or it brought back a cookie. */
  readonly proved: boolean;
  /** Text of the other end for errors. */
  readonly label: string;
  readonly settings: Settings;
  readonly now: number;
}

export class Session {
  readonly conv: number;
  readonly #parts: SessionParts;
  readonly #carrier: Carrier;
  readonly #events: SessionEvents;
  readonly #kcp: Kcp;
  readonly #encoder: PacketEncoder;
  /** Without error correction, whose headers a stranger that sends none is not sent either: they would make answers longer. */
  readonly #plainEncoder: PacketEncoder;
  #wrapped = false;
  readonly #decoder: FecDecoder | undefined;
  readonly #outgoing = new Outgoing();
  readonly #scratch: Uint8Array;
  /** Added to the time, so that nobody can guess the timestamps that acknowledgements bring back. */
  readonly #clockOffset: number;
  #now: number;
  #lastHeard: number;
  #lastData: number;
  #lastQuestion: number;
  #questions = 0;
  readonly #allowance: Allowance;
  #paused = false;
  #held = false;
  #ending = false;
  #flushedAt: number | undefined;
  #lastUna = 0;
  #progressAt: number;
  #contestedAt: number | undefined;
  #settled = false;

  constructor(parts: SessionParts, carrier: Carrier, events: SessionEvents) {
    const { conv, settings, now } = parts;
    const { crypt, code, packetBytes, machine, runtime } = settings;
    this.conv = conv;
    this.#parts = parts;
    this.#carrier = carrier;
    this.#events = events;
    this.#now = now;
    this.#lastHeard = now;
    this.#lastData = now;
    this.#lastQuestion = now;
    this.#progressAt = now;
    this.#allowance = new Allowance(parts.proved);
    this.#clockOffset = readU32(runtime.randomBytes(4), 0);
    this.#encoder = new PacketEncoder({ crypt, code, packetBytes });
    this.#plainEncoder =
      code === undefined ? this.#encoder : new PacketEncoder({ crypt, packetBytes });
    this.#decoder = code === undefined ? undefined : new FecDecoder(code);
    this.#kcp = new Kcp(conv, (datagram) => this.#output(datagram), {
      ...machine,
      mtu: this.#encoder.maxDatagramBytes,
      sendQueue: QUEUED_SEGMENTS + 1,
    });
    this.#scratch = new Uint8Array(this.#encoder.maxDatagramBytes - SEGMENT_HEADER);
  }

  get statistics(): KcpStatistics & { readonly recovered: number } {
    return { ...this.#kcp.statistics, recovered: this.#decoder?.recovered ?? 0 };
  }

  /** Whether the other end is known to receive what is sent there. */
  get proved(): boolean {
    return this.#allowance.proved;
  }

  /** When `turn` is to be called if nothing happens before. */
  due(now: number): number {
    if (this.#settled) return Number.POSITIVE_INFINITY;
    const machineAt = this.#kcp.check(now + this.#clockOffset) - this.#clockOffset;
    return Math.min(machineAt, this.#questionAt(), this.#idleAt(), this.#endAt());
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

  /** Nothing more is written. The session is over when all has arrived and the other side is quiet. */
  end(): void {
    if (this.#ending || this.#settled) return;
    this.#ending = true;
    this.#progressAt = this.#parts.settings.runtime.now();
    this.#carrier.wake();
  }

  /** Over now. The other side is not told: there is no word for it. */
  drop(reason: Error): void {
    this.#settle(reason);
  }

  /** The reader is behind: nothing is handed on, and the other side's window closes. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#carrier.wake();
  }

  /** A packet for this session, opened. Keeps its memory for a while. */
  receive(opened: Uint8Array, now: number): void {
    if (this.#settled) return;
    this.#now = now;
    this.#wrapped = fecKind(opened) !== undefined;
    this.#allowance.came(opened.length + this.#parts.settings.crypt.overheadBytes);
    decodePacket(opened, this.#decoder, (datagram, recovered) => this.#input(datagram, recovered));
    this.#carrier.wake();
  }

  #input(datagram: Uint8Array, recovered: boolean): void {
    const at = this.#now + this.#clockOffset;
    if (recovered) withoutTimes(datagram, this.#kcp.statistics.remoteWindow);
    if (this.#kcp.input(datagram, at) !== 0) return;
    this.#allowance.examine(datagram, at);
    this.#lastHeard = this.#now;
    this.#questions = 0;
    if (carriesData(datagram)) this.#lastData = this.#now;
  }

  /** Does what has come up since the last turn, and what the time calls for. */
  turn(now: number): void {
    this.#now = now;
    if (this.#settled) return;
    // What the reader answers at once travels with the acknowledgement; it has one turn for that.
    if (this.#deliver(false) && !this.#held) {
      this.#held = true;
      this.#carrier.wake();
      return;
    }
    this.#held = false;
    this.#pump();
    if (this.#keepWatch()) this.#endIfDone();
  }

  /** Somebody at the same address wants a session of its own. True when this one is silent and may be replaced. */
  contested(now: number): boolean {
    const since = this.#contestedAt;
    if (since === undefined || this.#lastHeard >= since) {
      if (since !== undefined && now - since < CONTEST_AGAIN_MS) return false;
      this.#contestedAt = now;
      if (this.proved) this.#ask(now);
      this.#carrier.wake();
      return false;
    }
    return now - since >= CONTEST_MS;
  }

  /** Hands on what is in order. True when there was something. */
  #deliver(all: boolean): boolean {
    const kcp = this.#kcp;
    let any = false;
    while (all || !this.#paused) {
      const size = kcp.peekSize;
      if (size < 0) break;
      const ready = kcp.statistics.receiveReady * this.#scratch.length;
      const chunk = new Uint8Array(Math.max(Math.min(ready, CHUNK_BYTES), size));
      const used = kcp.drain(chunk);
      if (used === 0) continue;
      any = true;
      // A small part of a large chunk would hold all its memory.
      this.#events.data(used * 2 < chunk.length ? chunk.slice(0, used) : chunk.subarray(0, used));
    }
    return any;
  }

  /** Cuts what was written into segments, as many as there is use for, and lets the machine send. */
  #pump(): void {
    const kcp = this.#kcp;
    const outgoing = this.#outgoing;
    for (;;) {
      if (this.proved) {
        let room = QUEUED_SEGMENTS - kcp.statistics.sendQueued;
        for (; room > 0 && outgoing.bytes > 0; room--) kcp.send(outgoing.take(this.#scratch));
      } else if (outgoing.bytes > 0 && kcp.waitSend === 0) kcp.send(this.#takeProbe());
      kcp.update(this.#now + this.#clockOffset);
      if (!this.proved || outgoing.bytes === 0 || kcp.statistics.sendQueued > 0) break;
    }
    if (outgoing.relieved()) this.#events.writable();
  }

  /** The first data to an end that has proved nothing: a packet no larger than what came from it, if that can be. */
  #takeProbe(): Uint8Array {
    const { headRoom, tailRoom } = this.#encoder;
    const { acksPending } = this.#kcp.statistics;
    const segments = SEGMENT_HEADER * (acksPending > 0 ? 2 : 1);
    const at = this.#now + this.#clockOffset;
    const room = this.#allowance.probe(headRoom + tailRoom + segments, at);
    return this.#outgoing.take(this.#scratch.subarray(0, Math.min(room, this.#scratch.length)));
  }

  /** Whether the other side is there. False when it is lost. */
  #keepWatch(): boolean {
    const now = this.#now;
    const { idleTimeoutMs } = this.#parts.settings;
    if (now >= this.#idleAt()) return this.lose(`nothing arrived for ${idleTimeoutMs} ms`);
    if (this.#kcp.dead) return this.lose("something was sent too often without an answer");
    if (now >= this.#questionAt()) {
      this.#questions++;
      this.#ask(now);
    }
    return true;
  }

  #ask(now: number): void {
    this.#lastQuestion = now;
    const { receiveNext, receiveReady } = this.#kcp.statistics;
    const window = Math.max(this.#parts.settings.machine.receiveWindow - receiveReady, 0);
    this.#output(question(this.conv, window, receiveNext));
  }

  #questionAt(): number {
    if (!this.proved || this.#flushedAt !== undefined) return Number.POSITIVE_INFINITY;
    const contestedAt = this.#contestedAt ?? Number.NEGATIVE_INFINITY;
    if (this.#lastHeard < contestedAt && this.#lastQuestion < contestedAt + CONTEST_MS) {
      return this.#lastQuestion + CONTEST_AGAIN_MS;
    }
    const { keepaliveMs } = this.#parts.settings;
    return this.#questions === 0
      ? this.#lastHeard + keepaliveMs
      : this.#lastQuestion + keepaliveMs / HURRY;
  }

  /** Silence alone may be our own: a process that was busy has not read what is there. After our end it is what we wait for. */
  #idleAt(): number {
    if (this.#flushedAt !== undefined) return Number.POSITIVE_INFINITY;
    const silentAt = this.#lastHeard + this.#parts.settings.idleTimeoutMs;
    if (!this.proved) return silentAt;
    return this.#questions < LEAST_QUESTIONS
      ? Number.POSITIVE_INFINITY
      : Math.max(silentAt, this.#questionAt());
  }

  /** When an end is complete, or given up. */
  #endAt(): number {
    if (!this.#ending) return Number.POSITIVE_INFINITY;
    const { drainTimeoutMs } = this.#parts.settings;
    if (this.#flushedAt === undefined) return this.#progressAt + drainTimeoutMs;
    const wait = QUIET_ROUNDS * this.#kcp.statistics.rto;
    const quiet = Math.min(Math.max(wait, LEAST_QUIET_MS), MOST_QUIET_MS);
    return Math.min(
      Math.max(this.#flushedAt, this.#lastData) + quiet,
      this.#flushedAt + drainTimeoutMs,
    );
  }

  #endIfDone(): void {
    if (!this.#ending) return;
    const { sendUna } = this.#kcp.statistics;
    if (sendUna !== this.#lastUna) {
      this.#lastUna = sendUna;
      this.#progressAt = this.#now;
    }
    const arrived = this.#outgoing.bytes === 0 && this.#kcp.waitSend === 0;
    if (arrived && this.#flushedAt === undefined) {
      this.#flushedAt = this.#now;
      this.#events.flushed();
    }
    if (this.#now < this.#endAt()) return;
    if (this.#flushedAt === undefined) {
      this.lose("not all that was written was acknowledged");
      return;
    }
    if (this.#kcp.statistics.acksPending > 0) this.#kcp.flush(this.#now + this.#clockOffset);
    this.#deliver(true);
    this.#settle(undefined);
  }

  /** From the machine, which must not be called from here. */
  #output(datagram: Uint8Array): void {
    const encoder = this.proved || this.#wrapped ? this.#encoder : this.#plainEncoder;
    const { headRoom, tailRoom } = encoder;
    const packet = new Uint8Array(headRoom + datagram.length + tailRoom);
    if (!this.#allowance.mayGo(datagram, packet.length)) return;
    packet.set(datagram, headRoom);
    let first = true;
    encoder.encode(packet, this.#now, (each) => {
      // Parity is more than an acknowledgement of what came.
      if (first || this.proved) this.#carrier.transmit(each);
      first = false;
    });
  }

  /** Cuts it; what has arrived can still be read. */
  lose(why: string): false {
    const { label } = this.#parts;
    // What has arrived is good.
    this.#deliver(true);
    this.#settle(networkError("TRUNCATED", `${label} was cut: ${why}`, { address: label }));
    return false;
  }

  #settle(error: Error | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#outgoing.clear();
    this.#events.settled(error);
    this.#carrier.gone();
  }
}
