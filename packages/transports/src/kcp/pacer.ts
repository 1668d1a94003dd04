/** Pacer: spreads segments over time at the rate that congestion control gives. */

/** Segments that may leave at once after a pause. */
const LEAST_BURST = 10;
/** Milliseconds of sending that a late caller may make up for. */
const BURST_MS = 4;
/** And no more than this, however fast: the usual socket buffer holds some ninety datagrams. */
const MOST_BURST = 32;
/** Shorter waits are not worth a timer. */
const LEAST_WAIT_MS = 1;

export class Pacer {
  #tokens: number = LEAST_BURST;
  #at = 0;
  #pace: number = Number.POSITIVE_INFINITY;

  /** Counts what has become free since the last call. `pace`: segments per millisecond, or `Infinity`. */
  refill(now: number, pace: number): void {
    this.#pace = pace;
    if (pace === Number.POSITIVE_INFINITY) {
      this.#tokens = pace;
    } else {
      const most = Math.min(Math.max(LEAST_BURST, pace * BURST_MS), MOST_BURST);
      const tokens = this.#tokens === Number.POSITIVE_INFINITY ? most : this.#tokens;
      this.#tokens = Math.min(tokens + (now - this.#at) * pace, most);
    }
    this.#at = now;
  }

  get open(): boolean {
    return this.#tokens >= 1;
  }

  /** One segment leaves. */
  spend(): void {
    this.#tokens--;
  }

  /** Milliseconds after the last `refill` until a segment may leave. */
  get wait(): number {
    return this.#tokens >= 1 ? 0 : Math.max((1 - this.#tokens) / this.#pace, LEAST_WAIT_MS);
  }
}
