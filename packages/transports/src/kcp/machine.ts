/**
 * KCP: reliable, ordered messages or bytes over datagrams that get lost, doubled and mixed up. A machine:
 * datagrams, user data and the time go in; datagrams and user data come out.
 *
 * Wire-compatible with the C implementation and with kcp-go. `conv` and the options are agreed elsewhere:
 * KCP has no handshake, no close, no keepalive and no secrecy, and neither has this. It reads no clock,
 * sets no timer, opens no socket, and no datagram whatever makes it throw or grow beyond its windows.
 *
 * How to drive it: after `send`, and after the last `input` of a batch, ask `check(now)`; call
 * `update(now)` when that time has come. Times are milliseconds of any one clock; fractions help pacing.
 */

import { Clock } from "./clock.ts";
import { type CongestionControl, noCongestionControl } from "./congestion.ts";
import { DelayControl } from "./congestion-delay.ts";
import { RenoControl } from "./congestion-reno.ts";
import type { Flight } from "./flight.ts";
import { ClassicFlight } from "./flight-classic.ts";
import { ModernFlight } from "./flight-modern.ts";
import { type KcpOptions, MAX_MTU, MIN_MTU, type Settings, withDefaults } from "./options.ts";
import { Packer } from "./packer.ts";
import { Receiver } from "./receiver.ts";
import { RoundTrip } from "./rtt.ts";
import {
  ACK,
  ASK_WINDOW,
  PUSH,
  readInt,
  SEGMENT_HEADER,
  SegmentPool,
  TELL_WINDOW,
} from "./segment.ts";
import { SendQueue } from "./send-queue.ts";
import { WindowProbe } from "./window-probe.ts";

export type { KcpOptions } from "./options.ts";

/** `input` could not read the datagram to its end. What came before the fault has taken effect. */
const TOO_SHORT_OR_OTHER_CONV = -1;
const BAD_LENGTH = -2;
const BAD_COMMAND = -3;

/** A clock that jumps by this much starts the interval anew (classic). */
const CLOCK_JUMP_MS = 10_000;
/** `check` asks for an update this far ahead when nothing is to be done. */
const IDLE_MS = 60_000;
/** Free segments kept for use again. */
const POOL_KEEPS = 2_048;

/** What a machine is doing: numbers for tests and statistics. */
export interface KcpStatistics {
  readonly sendUna: number;
  readonly sendNext: number;
  readonly receiveNext: number;
  readonly remoteWindow: number;
  readonly congestionWindow: number;
  /** Smoothed round trip, its spread and the waiting time for acknowledgements, in milliseconds. */
  readonly srtt: number;
  readonly rttvar: number;
  readonly rto: number;
  /** Segments in each of the four places. */
  readonly sendQueued: number;
  readonly inFlight: number;
  readonly receiveReady: number;
  readonly receiveAhead: number;
  /** Acknowledgements not yet sent. */
  readonly acksPending: number;
  /** Segments sent again because of time, and because of later acknowledgements. */
  readonly timeouts: number;
  readonly fastResends: number;
  readonly datagramsSent: number;
  readonly bytesSent: number;
}

export class Kcp {
  readonly conv: number;
  readonly #settings: Settings;
  readonly #classic: boolean;
  readonly #clock: Clock = new Clock();
  readonly #roundTrip: RoundTrip;
  readonly #pool: SegmentPool;
  readonly #queue: SendQueue;
  readonly #receiver: Receiver;
  readonly #flight: Flight;
  readonly #packer: Packer;
  readonly #probe: WindowProbe;
  /** The next flush of the classic policy, as a signed integer. */
  #flushAt: number;
  #updated = false;

  /**
   * `output` gets each datagram as a view of the machine's own memory: it must copy, seal or send it before
   * it returns, must not change it, and must not call this machine. Throws for options that make no sense.
   */
  constructor(conv: number, output: (datagram: Uint8Array) => void, options: KcpOptions = {}) {
    const settings = withDefaults(options);
    this.conv = conv >>> 0;
    this.#settings = settings;
    this.#classic = settings.policy === "classic";
    this.#roundTrip = new RoundTrip(settings.minRtoMs, settings.intervalMs);
    this.#pool = new SegmentPool(
      Math.max(settings.mtu, Math.min(settings.receiveMtu, 1_500)),
      Math.min(settings.sendWindow + settings.receiveWindow, POOL_KEEPS),
    );
    this.#queue = new SendQueue(this.#pool, settings.mtu, settings.stream, settings.sendQueue);
    this.#receiver = new Receiver(
      this.#pool,
      settings.receiveWindow,
      settings.receiveMtu - SEGMENT_HEADER,
      settings.initialSn,
      this.#classic,
    );
    this.#packer = new Packer(conv, settings.mtu, output);
    this.#probe = new WindowProbe(this.#classic);
    this.#flushAt = this.#classic ? 100 : 0;
    const { congestion } = settings;
    this.#flight = this.#classic
      ? new ClassicFlight(settings, this.#clock, this.#roundTrip, this.#queue, this.#pool)
      : new ModernFlight(
          settings,
          this.#clock,
          this.#roundTrip,
          this.#queue,
          this.#pool,
          controlFor(congestion, settings),
        );
  }

  /**
   * Copies the bytes into the queue. Returns how many were taken: all of a message, or in stream mode as
   * many as there was room for. Negative, and nothing taken: -2 for a message of too many fragments, -3
   * for a full queue. Watch `waitSend`.
   */
  send(bytes: Uint8Array): number {
    return this.#queue.send(bytes);
  }

  /**
   * Takes a datagram in, and keeps none of its memory. Returns 0, or negative when it could not be read to
   * its end: -1 too short or of another conversation, -2 a length that lies, -3 an unknown command.
   */
  input(datagram: Uint8Array, now: number): number {
    if (datagram.length < SEGMENT_HEADER) return TOO_SHORT_OR_OTHER_CONV;
    this.#clock.set(now);
    const result = this.#read(datagram);
    this.#flight.endInput(result === 0);
    return result;
  }

  /** Does what the time calls for: sends, resends, acknowledges, probes. */
  update(now: number): void {
    this.#clock.set(now);
    if (!this.#classic) {
      if (this.#wait() <= 0) this.#flush();
      return;
    }
    const { tick } = this.#clock;
    const { intervalMs } = this.#settings;
    if (!this.#updated) {
      this.#updated = true;
      this.#flushAt = tick;
    }
    let late = (tick - this.#flushAt) | 0;
    if (Math.abs(late) >= CLOCK_JUMP_MS) {
      this.#flushAt = tick;
      late = 0;
    }
    if (late < 0) return;
    this.#flushAt = (this.#flushAt + intervalMs) | 0;
    if (((tick - this.#flushAt) | 0) >= 0) this.#flushAt = (tick + intervalMs) | 0;
    this.#flush();
  }

  /** When `update` is next to be called, on the caller's clock and not wrapped: `now` if at once. */
  check(now: number): number {
    this.#clock.set(now);
    return now + (this.#classic ? this.#classicWait() : Math.min(this.#wait(), IDLE_MS));
  }

  /** Sends what may be sent now, due or not. Does nothing before the first `update` under the classic policy. */
  flush(now: number): void {
    this.#clock.set(now);
    if (!this.#classic || this.#updated) this.#flush();
  }

  /**
   * The next whole message: in memory of its own, or copied into `into`, whose filled part is returned.
   * `undefined` when there is none, or when it does not fit: it is then as large as `peekSize` says, and stays.
   */
  recv(into?: Uint8Array): Uint8Array | undefined {
    return this.#receiver.recv(into);
  }

  /** Copies as many whole messages as fit, one behind the other: for streams. Returns the bytes copied. */
  drain(into: Uint8Array): number {
    return this.#receiver.drain(into);
  }

  /** Bytes of the next whole message; -1 when there is none. */
  get peekSize(): number {
    return this.#receiver.peekSize;
  }

  /** Segments not yet acknowledged, sent or not. */
  get waitSend(): number {
    return this.#queue.length + this.#flight.count;
  }

  /** Some segment was sent `deadLink` times and nobody answered. */
  get dead(): boolean {
    return this.#flight.dead;
  }

  get mtu(): number {
    return this.#packer.mtu;
  }

  /**
   * Changes the size of later segments and datagrams. A segment already cut larger travels alone in a
   * datagram of its own size. Throws `RangeError` outside 50 to 65,507.
   */
  setMtu(mtu: number): void {
    if (!Number.isInteger(mtu) || mtu < MIN_MTU || mtu > MAX_MTU) {
      throw new RangeError(`mtu must be a whole number from ${MIN_MTU} to ${MAX_MTU}`);
    }
    this.#packer.mtu = mtu;
    this.#queue.mss = mtu - SEGMENT_HEADER;
    this.#pool.grow(mtu);
  }

  get statistics(): KcpStatistics {
    const flight = this.#flight;
    const receiver = this.#receiver;
    return {
      sendUna: flight.una >>> 0,
      sendNext: flight.next >>> 0,
      receiveNext: receiver.next >>> 0,
      remoteWindow: flight.remoteWindow,
      congestionWindow: flight.congestionWindow,
      srtt: this.#roundTrip.srtt,
      rttvar: this.#roundTrip.rttvar,
      rto: this.#roundTrip.rto,
      sendQueued: this.#queue.length,
      inFlight: flight.count,
      receiveReady: receiver.ready,
      receiveAhead: receiver.ahead,
      acksPending: receiver.acks.length,
      timeouts: flight.timeouts,
      fastResends: flight.fastResends,
      datagramsSent: this.#packer.datagrams,
      bytesSent: this.#packer.bytes,
    };
  }

  /** The classic policy's own variables, for comparison with the C implementation; `undefined` under the modern one. */
  get classicState(): ClassicState | undefined {
    if (!(this.#flight instanceof ClassicFlight)) return undefined;
    const { reno } = this.#flight;
    return {
      congestionWindow: reno.segments,
      threshold: reno.threshold,
      growth: reno.growth,
      probeWait: this.#probe.wait,
      probeAt: this.#probe.at >>> 0,
      flushAt: this.#flushAt >>> 0,
    };
  }

  #read(datagram: Uint8Array): number {
    const conv = this.conv | 0;
    const { length } = datagram;
    const receiver = this.#receiver;
    const flight = this.#flight;
    for (let at = 0; length - at >= SEGMENT_HEADER; ) {
      if (readInt(datagram, at) !== conv) return TOO_SHORT_OR_OTHER_CONV;
      const size = readInt(datagram, at + 20);
      if (size < 0 || size > length - at - SEGMENT_HEADER) return BAD_LENGTH;
      const command = datagram[at + 4] as number;
      if (command < PUSH || command > TELL_WINDOW) return BAD_COMMAND;
      const wnd = (datagram[at + 6] as number) | ((datagram[at + 7] as number) << 8);
      const ts = readInt(datagram, at + 8);
      const sn = readInt(datagram, at + 12);
      const una = readInt(datagram, at + 16);
      if (flight.header(command === ACK, wnd, una, sn, ts)) {
        if (command === PUSH) {
          const frg = datagram[at + 5] as number;
          receiver.push(sn, ts, frg, datagram, at + SEGMENT_HEADER, size);
        } else if (command === ASK_WINDOW) receiver.tell = true;
      }
      at += SEGMENT_HEADER + size;
    }
    return 0;
  }

  #flush(): void {
    const receiver = this.#receiver;
    const packer = this.#packer;
    const { acks } = receiver;
    packer.begin(receiver.announce(), receiver.next);
    let sn = 0;
    let ts = 0;
    for (let i = 0; i < acks.length; i++) {
      // What is older than una needs no acknowledgement of its own, but one must tell the round trip.
      if (!this.#classic && i < acks.length - 1 && ((acks.sn(i) - receiver.next) | 0) < 0) continue;
      sn = acks.sn(i);
      ts = acks.ts(i);
      packer.header(ACK, sn, ts);
    }
    acks.clear();
    // The C implementation leaves the last acknowledgement's numbers in the headers that follow.
    const ask = this.#probe.due(this.#flight.remoteWindow, this.#clock.tick);
    if (ask) packer.header(ASK_WINDOW, sn, ts);
    if (receiver.tell) packer.header(TELL_WINDOW, sn, ts);
    receiver.tell = false;
    this.#flight.transmit(packer);
  }

  /** Milliseconds until a modern machine has something to do; `Infinity` if only the peer can change that. */
  #wait(): number {
    const receiver = this.#receiver;
    if (receiver.acks.length > 0 || receiver.tell) return 0;
    const probe = this.#probe.left(this.#flight.remoteWindow, this.#clock.tick);
    return Math.min(probe, this.#flight.wait());
  }

  #classicWait(): number {
    if (!this.#updated) return 0;
    const { tick } = this.#clock;
    let flushAt = this.#flushAt;
    if (Math.abs((tick - flushAt) | 0) >= CLOCK_JUMP_MS) flushAt = tick;
    const untilFlush = (flushAt - tick) | 0;
    if (untilFlush <= 0) return 0;
    return Math.min(untilFlush, this.#flight.wait(), this.#settings.intervalMs);
  }
}

/** See `Kcp.classicState`. */
export interface ClassicState {
  readonly congestionWindow: number;
  readonly threshold: number;
  readonly growth: number;
  readonly probeWait: number;
  readonly probeAt: number;
  readonly flushAt: number;
}

function controlFor(congestion: Settings["congestion"], settings: Settings): CongestionControl {
  const given = { maxWindow: settings.sendWindow, fastResend: settings.fastResend };
  if (typeof congestion === "function") return congestion(given);
  if (congestion === "off") return noCongestionControl();
  return congestion === "reno" ? new RenoControl(given) : new DelayControl(given);
}
