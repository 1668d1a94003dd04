/**
 * Classic flight: sends and resends exactly as the C implementation, version 2.1.1, does.
 *
 * Acknowledgements that come in one datagram count as one, everything happens at the interval, and every
 * flush looks at every segment. It is here for comparison and for peers tuned to it; see the modern flight.
 */

import type { Clock } from "./clock.ts";
import type { Flight } from "./flight.ts";
import type { Settings } from "./options.ts";
import type { Packer } from "./packer.ts";
import { RenoWindow } from "./reno-window.ts";
import { SegmentRing } from "./ring.ts";
import type { RoundTrip } from "./rtt.ts";
import type { Segment, SegmentPool } from "./segment.ts";
import type { SendQueue } from "./send-queue.ts";

/** A segment is resent early only while it was not sent more often than this. */
const FAST_LIMIT = 5;
const FIRST_REMOTE_WINDOW = 128;
const NEVER = 0xffff_ffff;

export class ClassicFlight implements Flight {
  una: number;
  next: number;
  count = 0;
  remoteWindow: number = FIRST_REMOTE_WINDOW;
  dead = false;
  timeouts = 0;
  fastResends = 0;
  readonly reno: RenoWindow = new RenoWindow();
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #roundTrip: RoundTrip;
  readonly #queue: SendQueue;
  readonly #pool: SegmentPool;
  readonly #sent: SegmentRing;
  /** The newest acknowledgement of this datagram, by the conservative rule. */
  #acked = false;
  #newestSn = 0;
  #newestTs = 0;
  #unaBefore: number;

  constructor(
    settings: Settings,
    clock: Clock,
    roundTrip: RoundTrip,
    queue: SendQueue,
    pool: SegmentPool,
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#roundTrip = roundTrip;
    this.#queue = queue;
    this.#pool = pool;
    this.#sent = new SegmentRing(settings.sendWindow);
    this.una = settings.initialSn | 0;
    this.next = this.una;
    this.#unaBefore = this.una;
  }

  get congestionWindow(): number {
    return this.#settings.congestion === "off" ? Number.POSITIVE_INFINITY : this.reno.segments;
  }

  header(ack: boolean, wnd: number, una: number, sn: number, ts: number): boolean {
    this.remoteWindow = wnd;
    while (this.una !== this.next && ((una - this.una) | 0) > 0) {
      this.#delete(this.una);
      this.una = (this.una + 1) | 0;
    }
    this.#skipAcknowledged();
    if (ack) this.#ack(sn, ts);
    return true;
  }

  endInput(whole: boolean): void {
    if (whole && this.#acked) this.#countLater();
    this.#acked = false;
    if (whole && ((this.una - this.#unaBefore) | 0) > 0) {
      this.reno.acknowledged(this.#queue.mss, this.remoteWindow);
    }
    this.#unaBefore = this.una;
  }

  transmit(packer: Packer): void {
    const { sendWindow, fastResend } = this.#settings;
    let window = Math.min(sendWindow, this.remoteWindow);
    if (this.#settings.congestion !== "off") window = Math.min(window, this.reno.segments);
    while (((this.next - this.una - window) | 0) < 0) {
      const segment = this.#queue.shift();
      if (segment === undefined) break;
      segment.sn = this.next;
      segment.xmit = 0;
      segment.fastAck = 0;
      this.#sent.add(segment);
      this.count++;
      this.next = (this.next + 1) | 0;
    }
    const before = this.reno.segments;
    const resend = fastResend > 0 ? fastResend : NEVER;
    let early = false;
    let late = false;
    for (let sn = this.una; sn !== this.next; sn = (sn + 1) | 0) {
      const segment = this.#sent.get(sn);
      if (segment === undefined) continue;
      const fastResends = this.fastResends;
      const timeouts = this.timeouts;
      if (this.#isDue(segment, resend)) this.#send(segment, packer);
      early ||= this.fastResends !== fastResends;
      late ||= this.timeouts !== timeouts;
    }
    packer.end();
    const { mss } = this.#queue;
    if (early) this.reno.lost((this.next - this.una) | 0, resend, mss);
    if (late) this.reno.timedOut(before, mss);
    this.reno.open(mss);
  }

  wait(): number {
    let least = Number.POSITIVE_INFINITY;
    for (let sn = this.una; sn !== this.next; sn = (sn + 1) | 0) {
      const segment = this.#sent.get(sn);
      if (segment === undefined) continue;
      const wait = (segment.resendAt - this.#clock.tick) | 0;
      if (wait <= 0) return 0;
      if (wait < least) least = wait;
    }
    return least;
  }

  #ack(sn: number, ts: number): void {
    const rtt = (this.#clock.tick - ts) | 0;
    if (rtt >= 0) this.#roundTrip.addClassic(rtt);
    if (((sn - this.una) | 0) >= 0 && ((sn - this.next) | 0) < 0) this.#delete(sn);
    this.#skipAcknowledged();
    if (!this.#acked) {
      this.#acked = true;
      this.#newestSn = sn;
      this.#newestTs = ts;
    } else if (((sn - this.#newestSn) | 0) > 0 && ((ts - this.#newestTs) | 0) > 0) {
      this.#newestSn = sn;
      this.#newestTs = ts;
    }
  }

  /** One more acknowledgement of something later, for all that were sent no later than it. */
  #countLater(): void {
    const newest = this.#newestSn;
    if (((newest - this.una) | 0) < 0 || ((newest - this.next) | 0) >= 0) return;
    for (let sn = this.una; sn !== newest; sn = (sn + 1) | 0) {
      const segment = this.#sent.get(sn);
      if (segment !== undefined && ((this.#newestTs - segment.ts) | 0) >= 0) segment.fastAck++;
    }
  }

  /** Whether it is to be sent now; sets when it is to be sent next. */
  #isDue(segment: Segment, resend: number): boolean {
    const { noDelay } = this.#settings;
    const { tick } = this.#clock;
    const rto = Math.floor(this.#roundTrip.rto);
    if (segment.xmit === 0) {
      segment.rto = rto;
      segment.resendAt = (tick + rto + (noDelay === 0 ? rto >> 3 : 0)) | 0;
      return true;
    }
    if (((tick - segment.resendAt) | 0) >= 0) {
      this.timeouts++;
      if (noDelay === 0) segment.rto += Math.max(segment.rto, rto);
      else segment.rto += (noDelay === 1 ? segment.rto : rto) >> 1;
      segment.resendAt = (tick + segment.rto) | 0;
      return true;
    }
    if (segment.fastAck >= resend && segment.xmit <= FAST_LIMIT) {
      this.fastResends++;
      segment.fastAck = 0;
      segment.resendAt = (tick + segment.rto) | 0;
      return true;
    }
    return false;
  }

  #send(segment: Segment, packer: Packer): void {
    segment.xmit++;
    segment.ts = this.#clock.tick;
    packer.push(segment);
    if (segment.xmit >= this.#settings.deadLink) this.dead = true;
  }

  #delete(sn: number): void {
    const segment = this.#sent.get(sn);
    if (segment === undefined) return;
    this.#sent.delete(sn);
    this.count--;
    this.#pool.give(segment);
  }

  #skipAcknowledged(): void {
    while (this.una !== this.next && this.#sent.get(this.una) === undefined) {
      this.una = (this.una + 1) | 0;
    }
  }
}
