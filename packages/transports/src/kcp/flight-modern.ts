/**
 * Modern flight: sends and resends as soon as there is reason to.
 *
 * After kcp-go: every acknowledgement counts towards a fast resend, a segment at the end of what there is
 * to send is resent at the first sign, and arriving acknowledgements let new segments out at once. Beyond
 * it: what is under way is counted segment by segment, loss is found without a look at each, the
 * congestion window and the pace are asked before a segment is touched, and nothing that a peer claims is
 * believed of segments never sent. Work per acknowledgement does not grow with the window.
 */

import type { Clock } from "./clock.ts";
import type { AckSample, CongestionControl } from "./congestion.ts";
import type { Flight } from "./flight.ts";
import { LossDetector } from "./loss-detector.ts";
import type { Settings } from "./options.ts";
import { Pacer } from "./pacer.ts";
import type { Packer } from "./packer.ts";
import { SegmentRing } from "./ring.ts";
import type { RoundTrip } from "./rtt.ts";
import { LOST, SEGMENT_HEADER, type Segment, type SegmentPool, UNDER_WAY } from "./segment.ts";
import { SegmentList } from "./segment-list.ts";
import type { SendQueue } from "./send-queue.ts";

/** The smallest window of any peer, until it says more. */
const FIRST_REMOTE_WINDOW = 32;
/** A longer round trip is not believed. */
const LONGEST_RTT_MS = 60_000;
/** Few segments under way, copies carried with each new one, bytes of a datagram that may carry, deliveries after a loss. */
const THIN = 16;
const CARRIED = 3;
const CARRY_BYTES = 512;
const CARRY_FOR = 1_024;
/** If none came behind them, the last are sent again after this part of the waiting time, so often. */
const TAIL_PART = 1 / 4;
const TAIL_REPEATS = 2;

export class ModernFlight implements Flight {
  una: number;
  next: number;
  remoteWindow: number = FIRST_REMOTE_WINDOW;
  dead = false;
  timeouts = 0;
  fastResends = 0;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #roundTrip: RoundTrip;
  readonly #queue: SendQueue;
  readonly #pool: SegmentPool;
  readonly #control: CongestionControl;
  readonly #sent: SegmentRing;
  readonly #underWay: SegmentList = new SegmentList(UNDER_WAY);
  readonly #lost: SegmentList = new SegmentList(LOST);
  readonly #losses: LossDetector;
  readonly #pacer: Pacer = new Pacer();
  readonly #sample: AckSample = {
    now: Number.NaN,
    acked: 0,
    delivered: 0,
    priorDelivered: 0,
    rtt: Number.NaN,
    rate: Number.NaN,
    appLimited: false,
    inFlight: 0,
    heldBack: false,
  };
  /** The una of the newest header believed. */
  #toldUna: number;
  /** Transmissions so far. */
  #order = 0;
  /** No segment is to be resent by time before this. */
  #resendAt: number = Number.POSITIVE_INFINITY;
  /** When an overtaken segment has had its time. */
  #lossAt: number = Number.POSITIVE_INFINITY;
  #delivered = 0;
  #deliveredAt = 0;
  /** When the newest segment delivered was sent. */
  #flightFrom = 0;
  /** Until this many are delivered, rates say what the user sent. */
  #appLimitedUntil = 0;
  /** Datagrams carry copies until this many are delivered. */
  #carryUntil: number;
  /** When the last ones go out again if no new one has left by then, and how often they still do. */
  #tailAt: number = Number.POSITIVE_INFINITY;
  #tailRepeats = 0;
  #leastRtt: number = Number.POSITIVE_INFINITY;
  /** The longest round trip of this datagram, and the newest segment it acknowledged. */
  #longest = -1;
  #newestOrder = 0;
  #sendElapsed = 0;
  #priorAt = 0;

  constructor(
    settings: Settings,
    clock: Clock,
    roundTrip: RoundTrip,
    queue: SendQueue,
    pool: SegmentPool,
    control: CongestionControl,
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#roundTrip = roundTrip;
    this.#queue = queue;
    this.#pool = pool;
    this.#control = control;
    this.#losses = new LossDetector(settings.fastResend);
    this.#sent = new SegmentRing(settings.sendWindow);
    this.una = settings.initialSn | 0;
    this.next = this.una;
    this.#toldUna = this.una;
    // A path is taken for lossy until it has shown itself clean.
    this.#carryUntil = settings.noDelay > 0 ? CARRY_FOR : 0;
  }

  get count(): number {
    return this.#sent.count;
  }

  get congestionWindow(): number {
    return this.#control.window;
  }

  header(ack: boolean, wnd: number, una: number, sn: number, ts: number): boolean {
    if (((una - this.next) | 0) > 0) return false;
    // The acknowledgement before una, which often covers it: it alone says which transmission arrived.
    if (ack && ((sn - this.una) | 0) >= 0 && ((sn - this.next) | 0) < 0) {
      const segment = this.#sent.get(sn);
      if (segment !== undefined) this.#acknowledge(segment, ts);
    }
    while (((una - this.una) | 0) > 0) {
      const segment = this.#sent.get(this.una);
      if (segment !== undefined) this.#passed(segment);
      this.una = (this.una + 1) | 0;
    }
    // An old datagram that comes late must not shut the window.
    if (((una - this.#toldUna) | 0) >= 0) {
      this.#toldUna = una;
      this.remoteWindow = wnd;
    }
    return true;
  }

  endInput(): void {
    const sample = this.#sample;
    if (sample.acked === 0) return;
    while (this.una !== this.next && this.#sent.get(this.una) === undefined) {
      this.una = (this.una + 1) | 0;
    }
    if (this.#longest >= 0) this.#roundTrip.add(this.#longest);
    const now = this.#clock.time;
    this.#detect();
    sample.now = now;
    sample.delivered = this.#delivered;
    sample.inFlight = this.#underWay.length;
    const elapsed = Math.max(this.#sendElapsed, now - this.#priorAt);
    sample.rate =
      elapsed > 0 && elapsed >= this.#leastRtt * 0.9
        ? (this.#delivered - sample.priorDelivered) / elapsed
        : Number.NaN;
    this.#control.onAck(sample);
    sample.acked = 0;
    sample.rtt = Number.NaN;
    sample.heldBack = false;
    this.#longest = -1;
    this.#newestOrder = 0;
  }

  transmit(packer: Packer): void {
    const { time } = this.#clock;
    if (time >= this.#resendAt) this.#expire();
    this.#detect();
    this.#pacer.refill(time, this.#control.pace);
    const { last } = this.#underWay;
    let stopped = false;
    for (;;) {
      const segment = this.#lost.first;
      if (segment === undefined) break;
      if (!this.#mayLeave()) {
        stopped = true;
        break;
      }
      this.#lost.delete(segment);
      if (segment.early) this.fastResends++;
      else this.timeouts++;
      if (this.#settings.noDelay > 0) this.#carryUntil = this.#delivered + CARRY_FOR;
      this.#send(segment, packer);
    }
    while (!stopped && this.#hasNew()) {
      if (!this.#mayLeave()) {
        stopped = true;
        break;
      }
      const segment = this.#queue.shift();
      if (segment === undefined) break;
      segment.sn = this.next;
      segment.xmit = 0;
      this.next = (this.next + 1) | 0;
      this.#sent.add(segment);
      this.#send(segment, packer);
    }
    if (last !== this.#underWay.last) {
      this.#carry(last, packer);
      this.#tailRepeats = this.#underWay.last?.xmit === 1 ? TAIL_REPEATS : 0;
      this.#awaitTail();
    } else if (time >= this.#tailAt) this.#repeat(packer);
    packer.end();
    if (stopped || this.#queue.length > 0) this.#sample.heldBack = true;
    else this.#appLimitedUntil = this.#delivered + this.#underWay.length;
  }

  wait(): number {
    const { time } = this.#clock;
    if (this.#underWay.length === 0) {
      this.#resendAt = Number.POSITIVE_INFINITY;
      this.#tailAt = Number.POSITIVE_INFINITY;
    }
    const timer = Math.max(Math.min(this.#resendAt, this.#lossAt, this.#tailAt) - time, 0);
    if (this.#lost.length === 0 && !this.#hasNew()) return timer;
    if (this.#underWay.length >= this.#control.window) return timer;
    this.#pacer.refill(time, this.#control.pace);
    return Math.min(timer, this.#pacer.wait);
  }

  /** Whether a new segment waits that both windows allow. */
  #hasNew(): boolean {
    if (this.#queue.length === 0) return false;
    const window = Math.min(this.#settings.sendWindow, this.remoteWindow);
    return ((this.next - this.una) | 0) < window;
  }

  #mayLeave(): boolean {
    return this.#underWay.length < this.#control.window && this.#pacer.open;
  }

  #send(segment: Segment, packer: Packer): void {
    const { tick, time } = this.#clock;
    const { rto } = this.#roundTrip;
    this.#pacer.spend();
    if (this.#underWay.length === 0) {
      this.#deliveredAt = time;
      this.#flightFrom = time;
    }
    segment.xmit++;
    segment.ts = tick;
    segment.sentAt = time;
    segment.order = ++this.#order;
    if (segment.xmit === 1) {
      segment.firstTs = tick;
      segment.firstOrder = segment.order;
      segment.rto = rto;
    } else if (segment.early) segment.rto = rto;
    else segment.rto += this.#settings.noDelay === 0 ? rto : rto / 2;
    segment.resendAt = time + segment.rto;
    if (segment.resendAt < this.#resendAt) this.#resendAt = segment.resendAt;
    segment.delivered = this.#delivered;
    segment.deliveredAt = this.#deliveredAt;
    segment.flightFrom = this.#flightFrom;
    segment.appLimited = this.#delivered < this.#appLimitedUntil;
    this.#underWay.push(segment);
    packer.push(segment);
    if (segment.xmit >= this.#settings.deadLink) this.dead = true;
  }

  /**
   * Where segments are few and small and the path may lose some, a datagram with a new one also carries
   * those before it: a loss then costs no round trip, and the copies cost less than a datagram.
   */
  #carry(last: Segment | undefined, packer: Packer): void {
    if (!this.#thin) return;
    let segment = last;
    for (let i = 0; i < CARRIED && segment !== undefined; i++) {
      if (!packer.again(segment, CARRY_BYTES)) return;
      segment = segment.previous;
    }
  }

  get #thin(): boolean {
    return this.#delivered < this.#carryUntil && this.#underWay.length <= THIN;
  }

  #awaitTail(): void {
    const again = this.#thin && this.#tailRepeats > 0;
    const wait = this.#roundTrip.rto * TAIL_PART;
    this.#tailAt = again ? this.#clock.time + wait : Number.POSITIVE_INFINITY;
  }

  /** Nothing came behind the last segment that could have carried it: a datagram of its own does. */
  #repeat(packer: Packer): void {
    this.#tailRepeats--;
    this.#awaitTail();
    const { last } = this.#underWay;
    if (last === undefined || !this.#pacer.open) return;
    if (SEGMENT_HEADER + last.length > CARRY_BYTES) return;
    this.#pacer.spend();
    packer.push(last);
    this.#carry(last.previous, packer);
  }

  /** Moves what has waited too long to the lost, and finds when the next will have. */
  #expire(): void {
    const { time } = this.#clock;
    const { rto, srtt } = this.#roundTrip;
    // While acknowledgements come in, one that is late is behind them in a queue: a loss would be overtaken.
    const quietAt = this.#deliveredAt + rto - srtt;
    if (this.#settings.fastResend > 0 && time < quietAt) {
      this.#resendAt = quietAt;
      return;
    }
    const before = this.#lost.length;
    let nearest = Number.POSITIVE_INFINITY;
    for (let segment = this.#underWay.first; segment !== undefined; ) {
      const { next } = segment;
      if (segment.resendAt <= time) {
        this.#underWay.delete(segment);
        segment.early = false;
        this.#lost.insert(segment);
      } else if (segment.resendAt < nearest) nearest = segment.resendAt;
      segment = next;
    }
    this.#resendAt = nearest;
    const lost = this.#lost.length - before;
    if (lost > 0) this.#control.onTimeout(lost, this.#underWay.length, time);
  }

  /** Moves what later acknowledgements have shown lost to the lost. */
  #detect(): void {
    const { time } = this.#clock;
    const early = this.#queue.length === 0;
    const before = this.#lost.length;
    this.#lossAt = Number.POSITIVE_INFINITY;
    for (;;) {
      const segment = this.#underWay.first;
      if (segment === undefined || !this.#losses.overtaken(segment, early)) break;
      const lostAt = this.#losses.lostAt(segment);
      if (lostAt > time) {
        this.#lossAt = lostAt;
        break;
      }
      this.#underWay.delete(segment);
      segment.early = true;
      this.#lost.insert(segment);
    }
    const lost = this.#lost.length - before;
    if (lost > 0) this.#control.onLoss(lost, this.#underWay.length, time);
  }

  /** An acknowledgement of its own: `ts` says of which transmission. */
  #acknowledge(segment: Segment, ts: number): void {
    const again = segment.xmit > 1;
    if (ts === segment.ts) {
      const rtt = this.#clock.time - segment.sentAt;
      this.#addRtt(rtt);
      this.#losses.acknowledged(segment.order, rtt);
      if (again && segment.early) this.#losses.confirmed();
    } else if (again && ts === segment.firstTs) {
      const rtt = (this.#clock.tick - ts) | 0;
      this.#addRtt(rtt);
      this.#losses.acknowledged(segment.firstOrder, Number.NaN);
      if (segment.early) {
        const late = segment.where === LOST ? 0 : this.#clock.time - segment.sentAt;
        this.#losses.mistaken(late, this.#roundTrip.srtt);
      }
    }
    this.#deliver(segment);
  }

  /** It lies before una, so it has arrived; which transmission of it is only certain if there was one. */
  #passed(segment: Segment): void {
    this.#losses.acknowledged(segment.firstOrder, Number.NaN);
    this.#deliver(segment);
  }

  #addRtt(rtt: number): void {
    if (rtt < 0 || rtt > LONGEST_RTT_MS) return;
    if (rtt > this.#longest) this.#longest = rtt;
    if (rtt < this.#leastRtt) this.#leastRtt = rtt;
    const { rtt: least } = this.#sample;
    if (!(least <= rtt)) this.#sample.rtt = rtt;
  }

  #deliver(segment: Segment): void {
    const sample = this.#sample;
    sample.acked++;
    this.#delivered++;
    this.#deliveredAt = this.#clock.time;
    if (segment.order > this.#newestOrder) {
      this.#newestOrder = segment.order;
      sample.priorDelivered = segment.delivered;
      sample.appLimited = segment.appLimited;
      this.#priorAt = segment.deliveredAt;
      this.#sendElapsed = segment.sentAt - segment.flightFrom;
      this.#flightFrom = segment.sentAt;
    }
    if (segment.where === LOST) this.#lost.delete(segment);
    else this.#underWay.delete(segment);
    this.#sent.delete(segment.sn);
    this.#pool.give(segment);
  }
}
