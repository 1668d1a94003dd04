/**
 * Line: when what is sent in one direction of one connection arrives. A machine: numbers in, numbers out.
 *
 * It is reliable and keeps order, as TCP does: what was lost comes a retransmission later, and holds up what
 * was sent behind it. What is sent over two connections may overtake, since each chunk has its own jitter.
 */

import type { Random } from "./random.ts";

export interface LinkOptions {
  /** One way, in milliseconds. Default 0. */
  readonly latencyMs?: number;
  /** Added to the latency of every chunk, evenly spread from 0 to this. Default 0. */
  readonly jitterMs?: number;
  /** The part of segments (1,460 bytes) that is lost, from 0 to below 1. Default 0. */
  readonly lossRate?: number;
  /** Bytes per second in one direction. Default: no bound. */
  readonly bandwidth?: number;
}

export type LinkShape = Required<LinkOptions>;

const SEGMENT_BYTES = 1_460;

/** A chunk is not lost more often than this in a row, so that every wait has an end. */
const MAX_RETRANSMISSIONS = 10;

/** A sender notices a loss after two round trips (RFC 8985's probe), but not sooner than this. */
const SHORTEST_RETRANSMISSION_MS = 10;

/** Throws `RangeError` naming the option that makes no sense. */
export function shapeOf(options: LinkOptions): LinkShape {
  const {
    latencyMs = 0,
    jitterMs = 0,
    lossRate = 0,
    bandwidth = Number.POSITIVE_INFINITY,
  } = options;
  if (!(latencyMs >= 0 && latencyMs < Number.POSITIVE_INFINITY))
    throw wrong("latencyMs", "at least 0");
  if (!(jitterMs >= 0 && jitterMs < Number.POSITIVE_INFINITY))
    throw wrong("jitterMs", "at least 0");
  if (!(lossRate >= 0 && lossRate < 1)) throw wrong("lossRate", "from 0 to below 1");
  if (!(bandwidth > 0)) throw wrong("bandwidth", "above 0");
  return Object.freeze({ latencyMs, jitterMs, lossRate, bandwidth });
}

function wrong(name: string, range: string): Error {
  return new RangeError(`link: ${name} must be ${range}`);
}

/** The way of something small that waits for nothing before it: a greeting, or a cut. */
export function delayOf({ latencyMs, jitterMs }: LinkShape, random: Random): number {
  return latencyMs + (jitterMs === 0 ? 0 : jitterMs * random.next());
}

/** How long a sender waits before it sends again for the first time. */
export function retransmissionMs({ latencyMs, jitterMs }: LinkShape): number {
  return Math.max(4 * (latencyMs + jitterMs), SHORTEST_RETRANSMISSION_MS);
}

export class Line {
  #freeAt = 0;
  #lastArrival = 0;

  /** When a chunk handed over at `now` arrives, in the same milliseconds. Never before an earlier one. */
  arrival(shape: LinkShape, random: Random, now: number, bytes: number): number {
    this.#freeAt = Math.max(now, this.#freeAt) + (bytes / shape.bandwidth) * 1_000;
    const at = this.#freeAt + delayOf(shape, random) + lost(shape, random, bytes);
    this.#lastArrival = Math.max(this.#lastArrival, at);
    return this.#lastArrival;
  }
}

function lost(shape: LinkShape, random: Random, bytes: number): number {
  const { lossRate } = shape;
  if (lossRate === 0) return 0;
  const segments = Math.max(1, Math.ceil(bytes / SEGMENT_BYTES));
  const chance = 1 - (1 - lossRate) ** segments;
  let again = retransmissionMs(shape);
  let late = 0;
  for (let i = 0; i < MAX_RETRANSMISSIONS && random.next() < chance; i++) {
    late += again;
    again *= 2;
  }
  return late;
}
