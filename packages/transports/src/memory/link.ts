/**
 * Link: when what is sent over an imagined line arrives. A machine: numbers in, numbers out.
 *
 * A line has a delay, a spread of delays, a width, and chunks that get lost. Like TCP it is reliable and
 * keeps order: what was lost comes a retransmission later, and holds up what was sent behind it.
 */

export interface LinkOptions {
  /** One way, in milliseconds. Default 0. */
  latencyMs?: number;
  /** Added to the latency of every chunk, evenly spread from 0 to this. Default 0. */
  jitterMs?: number;
  /** The part of chunks that has to be sent again, from 0 to below 1. Default 0. */
  lossRate?: number;
  /** Bytes per second in one direction. Default: no bound. */
  bandwidth?: number;
}

/** A chunk is not lost more often than this in a row, so that every wait has an end. */
const MAX_RETRANSMISSIONS = 10;

/** A sender does not notice a loss sooner than this, however near the other end is. */
const SHORTEST_RETRANSMISSION_MS = 5;

/** Throws `RangeError` naming the option that makes no sense. */
export function checkLinkOptions(options: LinkOptions): Required<LinkOptions> {
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
  return { latencyMs, jitterMs, lossRate, bandwidth };
}

function wrong(name: string, range: string): Error {
  return new RangeError(`${name} must be ${range}`);
}

/** One direction of one connection. */
export class Link {
  readonly #options: Required<LinkOptions>;
  readonly #random: () => number;
  #freeAt = 0;
  #lastArrival = 0;

  /** `random` gives numbers from 0 to below 1. */
  constructor(options: Required<LinkOptions>, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  /** Whether everything arrives at once, so that no timer is needed. */
  get instant(): boolean {
    const { latencyMs, jitterMs, lossRate, bandwidth } = this.#options;
    return latencyMs + jitterMs + lossRate === 0 && bandwidth === Number.POSITIVE_INFINITY;
  }

  /** When a chunk handed over at `now` arrives, in the same milliseconds. Never before an earlier one. */
  arrival(now: number, bytes: number): number {
    this.#freeAt = Math.max(now, this.#freeAt) + (bytes / this.#options.bandwidth) * 1_000;
    this.#lastArrival = Math.max(this.#lastArrival, this.#freeAt + this.delay() + this.#lost());
    return this.#lastArrival;
  }

  /** The way of something small that waits for nothing before it: a greeting, or a cut. */
  delay(): number {
    const { latencyMs, jitterMs } = this.#options;
    return latencyMs + (jitterMs === 0 ? 0 : jitterMs * this.#random());
  }

  #lost(): number {
    const { latencyMs, jitterMs, lossRate } = this.#options;
    if (lossRate === 0) return 0;
    const again = Math.max(2 * (latencyMs + jitterMs), SHORTEST_RETRANSMISSION_MS);
    let late = 0;
    for (let i = 0; i < MAX_RETRANSMISSIONS && this.#random() < lossRate; i++) late += again;
    return late;
  }
}

/** mulberry32: 32 bits of state, good enough for weather, good for nothing secret. The same seed gives the same numbers. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
