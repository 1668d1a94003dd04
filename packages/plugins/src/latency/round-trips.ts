/**
 * Round trips: the last ones of one peer, and what they come to. A machine: milliseconds in, figures out.
 */

/** In milliseconds. */
export interface LatencyFigures {
  /** How many round trips the figures are made of. */
  readonly count: number;
  /** Pings that got no answer since the peer came; not among the figures. */
  readonly lost: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export class RoundTrips {
  lost = 0;
  readonly #keep: number;
  readonly #kept: number[] = [];
  #next = 0;

  /** Keeps the last `keep`. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  add(roundTripMs: number): void {
    this.#kept[this.#next] = roundTripMs;
    this.#next = (this.#next + 1) % this.#keep;
  }

  /** `undefined` before the first round trip. */
  get figures(): LatencyFigures | undefined {
    const sorted = [...this.#kept].sort((a, b) => a - b);
    const [min] = sorted;
    if (min === undefined) return undefined;
    // Nearest rank: the smallest value that this part of all values does not exceed.
    const at = (part: number): number => sorted[Math.ceil(part * sorted.length) - 1] ?? min;
    return {
      count: sorted.length,
      lost: this.lost,
      min,
      p50: at(0.5),
      p90: at(0.9),
      p99: at(0.99),
      max: at(1),
    };
  }
}
