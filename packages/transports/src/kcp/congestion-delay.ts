/**
 * Delay control: keeps a few segments in the bottleneck's queue, and takes the round trip, not loss, for
 * the sign of what is there. The default.
 *
 * Once per round trip the window becomes what it would be if the queue were empty, plus a few segments:
 *
 *     window = window * least / standing + share          (half of the way there at a time)
 *
 * `least` is the round trip of the empty path, `standing` the shortest of this round, so jitter that does
 * not last a whole round counts for nothing. In balance every sender has `share` segments in the queue, and
 * senders with equal shares get equal rates: that is FAST TCP's law (Wei, Jin, Low, Hegde 2006). `share`
 * grows with the square root of what the path holds: the queue stays a small part of it, and rates that
 * differ still draw together, which they would not if it grew in proportion.
 *
 * Around that: a doubling start that ends when a queue appears or the delivery rate stops growing; a brief
 * half-empty window every few seconds, since who came later has never seen the path empty; a bound by the
 * measured delivery rate; and a step back, no further than that rate, when a large part is lost, since a
 * buffer shorter than the share shows no delay. Loss alone never takes more than this.
 */

import type { AckSample, CongestionControl, CongestionSettings } from "./congestion.ts";

const FIRST_WINDOW = 16;
const LEAST_WINDOW = 4;
/** Milliseconds of delay that are no queue: timers, batches, busy processes. */
const SLACK_MS = 2;
const JITTER_SAMPLES = 32;
/** Round trips that show a queue while the window doubles. */
const FEW = 8;
/** Segments in the queue, by the square root of the segments that the path holds. */
const SHARE = 1.5;
const LEAST_SHARE = 3;
/** Rounds over which the highest delivery rate counts. */
const RATE_ROUNDS = 10;
/** The window is at most this much more than the rate fills. */
const RATE_GAIN = 1.25;
/** The least round trip is looked for anew when it was not seen for so long. */
const DRAIN_AFTER_MS = 5_000;
/** And for the first time, since a newcomer may never have seen it, so long after the start. */
const FIRST_DRAIN_AFTER_MS = 1_000;
/** What is under way while it is looked for: one in so many of what the path holds. */
const DRAIN_PART = 3;
/** The start ends when the rate grew by less than this in as many rounds. */
const GROWING = 1.25;
const PLATEAU_ROUNDS = 3;
/** A larger part lost, of at least so many segments, may be a short buffer. */
const HEAVY_LOSS = 0.05;
const LOSS_SPAN = 100;
/** For how many rounds not to step back again if it did not help. */
const DEAF_ROUNDS = 32;
/** By how much the window may grow in a round after a step back that helped. */
const CEILING_GROWTH: number = 1 + 1 / 64;
/** How much faster than window / round trip segments leave, so that the window decides. */
const PACE_GAIN = 1.25;
const START_PACE_GAIN = 2;

type Phase = "start" | "steady" | "drain";

export class DelayControl implements CongestionControl {
  readonly name: string = "delay";
  window: number = FIRST_WINDOW;
  pace: number = Number.POSITIVE_INFINITY;
  readonly #settings: CongestionSettings;
  #phase: Phase = "start";
  /** The shortest round trip of this span and of the one before. */
  #least: number = Number.POSITIVE_INFINITY;
  #leastBefore: number = Number.POSITIVE_INFINITY;
  /** When a round trip close to the least was last seen. */
  #leastAt = 0;
  /** The highest delivery rate of each of the last rounds. */
  readonly #rates: number[] = new Array<number>(RATE_ROUNDS).fill(0);
  #rateRound = 0;
  #round = 0;
  /** The round is over when a segment sent after this many were delivered is acknowledged. */
  #roundMark = 0;
  #roundFrom = 0;
  #roundLeast: number = Number.POSITIVE_INFINITY;
  #roundHeldBack = false;
  #roundLost = 0;
  /** Round trips told in this round, their sum, the last of them, and the least of the last few. */
  #samples = 0;
  #lastRtt = 0;
  #fewLeast: number = Number.POSITIVE_INFINITY;
  #roundSum = 0;
  /** Milliseconds by which round trips are longer than the least of their round, on average. */
  #excess = 0;
  /** Milliseconds between one round trip and the next, on average over so many. */
  #jitter = 0;
  #jitterWeight = 0;
  #bestRate = 0;
  #plateau = 0;
  /** When anything was last acknowledged, and the window last halved for want of it. */
  #heardAt = 0;
  #halvedAt: number = Number.NEGATIVE_INFINITY;
  /** No more than this for now, since the buffer seems to be short. */
  #ceiling: number = Number.POSITIVE_INFINITY;
  /** What was lost and delivered since loss was last looked at. */
  #spanLost = 0;
  #spanDelivered = 0;
  /** The loss before the last step back, whether that is to be judged, and rounds of no more steps. */
  #lossBefore = 0;
  #judging: "no" | "next" | "now" = "no";
  #deafFor = 0;
  /** The window to return to after a drain, and the round in which the drain is done. */
  #windowBefore = 0;
  #drainedBy = 0;

  constructor(settings: CongestionSettings) {
    this.#settings = settings;
  }

  onAck(sample: AckSample): void {
    const { rtt, rate } = sample;
    this.#heardAt = sample.now;
    if (rtt < this.#roundLeast) this.#roundLeast = rtt;
    if (rtt < this.#least) this.#least = rtt;
    const slot = this.#rateRound % RATE_ROUNDS;
    if (rate > (this.#rates[slot] as number) && (!sample.appLimited || rate > this.#rate)) {
      this.#rates[slot] = rate;
    }
    if (sample.heldBack) {
      this.#roundHeldBack = true;
      if (this.#phase === "start") this.#setWindow(this.window + sample.acked);
    }
    if (rtt >= 0) this.#watch(rtt, sample.now);
    if (sample.priorDelivered >= this.#roundMark) this.#endRound(sample);
  }

  onLoss(lost: number): void {
    this.#roundLost += lost;
  }

  onTimeout(lost: number, _inFlight: number, now: number): void {
    this.#roundLost += lost;
    // No word for longer than it ever takes: the path may be gone. What is sent into it is sent again.
    const patience = 2 * this.#lastRtt + SLACK_MS;
    if (now - this.#heardAt < patience || now - this.#halvedAt < patience) return;
    this.#halvedAt = now;
    this.#setWindow(this.window / 2);
  }

  get #leastRtt(): number {
    return Math.min(this.#least, this.#leastBefore);
  }

  get #rate(): number {
    return Math.max(...this.#rates);
  }

  #endRound(sample: AckSample): void {
    const standing = this.#roundLeast;
    const lost = this.#roundLost;
    const delivered = sample.delivered - this.#roundFrom;
    this.#spanLost += lost;
    this.#spanDelivered += delivered;
    const heldBack = this.#roundHeldBack;
    if (standing < Number.POSITIVE_INFINITY) {
      this.#excess += (this.#roundSum / this.#samples - standing - this.#excess) / 4;
      if (this.#phase === "start") this.#start(heldBack, lost / (lost + delivered));
      else if (this.#phase === "drain") this.#drain(sample);
      else this.#steady(standing, heldBack, sample.now);
      this.#setPace(standing);
    }
    this.#round++;
    // A round in which the user had little to send says nothing of the path, and does not age what is known.
    if (heldBack) this.#rates[++this.#rateRound % RATE_ROUNDS] = 0;
    this.#roundMark = sample.delivered;
    this.#roundFrom = sample.delivered;
    this.#roundLeast = Number.POSITIVE_INFINITY;
    this.#roundHeldBack = false;
    this.#roundLost = 0;
    this.#samples = 0;
    this.#roundSum = 0;
  }

  /** Looks at each round trip: how uneven they are, how close to the least, and whether the start is over. */
  #watch(rtt: number, now: number): void {
    const least = this.#leastRtt;
    if (rtt <= least * 1.02) this.#leastAt = now;
    if (this.#lastRtt > 0) {
      this.#jitterWeight = Math.min(this.#jitterWeight + 1, JITTER_SAMPLES);
      this.#jitter += (Math.abs(rtt - this.#lastRtt) - this.#jitter) / this.#jitterWeight;
    }
    this.#lastRtt = rtt;
    this.#samples++;
    this.#roundSum += rtt;
    if (this.#phase !== "start") return;
    if (rtt < this.#fewLeast) this.#fewLeast = rtt;
    if (this.#samples % FEW !== 0) return;
    if (this.#fewLeast - least > Math.max(this.#slack, least / 8)) this.#endStart();
    this.#fewLeast = Number.POSITIVE_INFINITY;
  }

  #start(heldBack: boolean, loss: number): void {
    if (!heldBack) return;
    const rate = this.#rate;
    const growing = rate >= this.#bestRate * GROWING;
    if (growing) {
      this.#bestRate = rate;
      this.#plateau = 0;
    } else this.#plateau++;
    if (this.#plateau >= PLATEAU_ROUNDS || (!growing && loss > HEAVY_LOSS)) this.#endStart();
  }

  #endStart(): void {
    this.#phase = "steady";
    this.#leastAt = this.#heardAt + FIRST_DRAIN_AFTER_MS - DRAIN_AFTER_MS;
    this.#setWindow(this.#rate * (this.#leastRtt + this.#excess) + this.#share);
    this.#setPace(this.#leastRtt);
  }

  /** Milliseconds of delay that are no queue. The least of many samples shows less of the jitter. */
  get #slack(): number {
    return SLACK_MS + this.#jitter * Math.min(4 / Math.sqrt(this.#samples), 1);
  }

  /** Segments to keep in the queue. */
  get #share(): number {
    return Math.max(SHARE * Math.sqrt(this.#rate * (this.#leastRtt + SLACK_MS)), LEAST_SHARE);
  }

  #steady(standing: number, heldBack: boolean, now: number): void {
    const least = this.#leastRtt;
    const rate = this.#rate;
    const held = rate * (least + this.#excess);
    if (heldBack && now - this.#leastAt > DRAIN_AFTER_MS) {
      this.#phase = "drain";
      this.#windowBefore = this.window;
      this.#drainedBy = this.#round + 2;
      this.#leastBefore = this.#least;
      this.#least = Number.POSITIVE_INFINITY;
      this.#setWindow(held / DRAIN_PART);
      return;
    }
    this.#lookAtLoss(held);
    if (!heldBack) return;
    const share = this.#share;
    const allowed = least + this.#slack;
    const goal = (this.window + this.window * Math.min(allowed / standing, 1) + share) / 2;
    const most = RATE_GAIN * rate * (allowed + this.#excess) + share;
    // After a cut, what the path is known to carry is not approached, but taken.
    const known = this.window < held / 2 ? 2 * this.window : 0;
    this.#setWindow(Math.min(Math.max(Math.min(goal, most), known), this.#ceiling));
  }

  /** Steps back to what the path holds when much is lost, and stays there only if that helps. */
  #lookAtLoss(held: number): void {
    this.#ceiling *= CEILING_GROWTH;
    if (this.#deafFor > 0) this.#deafFor--;
    const sent = this.#spanLost + this.#spanDelivered;
    const settling = this.#judging === "next";
    if (sent < LOSS_SPAN && !settling) return;
    const loss = this.#spanLost / sent;
    this.#spanLost = 0;
    this.#spanDelivered = 0;
    if (settling) this.#judging = "now";
    else if (this.#judging === "now") {
      this.#judging = "no";
      // If it did not help, the path loses by itself, whatever is sent.
      if (loss < this.#lossBefore / 2) return;
      this.#ceiling = Number.POSITIVE_INFINITY;
      this.#deafFor = DEAF_ROUNDS;
    } else if (loss > HEAVY_LOSS && this.window > held && this.#deafFor === 0) {
      this.#ceiling = held;
      this.#lossBefore = loss;
      this.#judging = "next";
    }
  }

  #drain(sample: AckSample): void {
    if (sample.inFlight > this.window) this.#drainedBy = this.#round + 2;
    if (this.#round < this.#drainedBy) return;
    this.#phase = "steady";
    this.#leastAt = sample.now;
    this.#setWindow(this.#windowBefore);
  }

  #setWindow(window: number): void {
    this.window = Math.min(Math.max(window, LEAST_WINDOW), this.#settings.maxWindow);
  }

  #setPace(standing: number): void {
    const gain = this.#phase === "start" ? START_PACE_GAIN : PACE_GAIN;
    this.pace = standing > 0 ? (gain * this.window) / standing : Number.POSITIVE_INFINITY;
  }
}
