/**
 * Budget: so many a second, and a second's worth at once. What exceeds it is dropped, not delayed.
 */

export class Budget {
  readonly #perSecond: number;
  #left: number;
  #at: number;

  /** `now` in monotonic milliseconds. */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#at = now;
  }

  take(now: number): boolean {
    this.#left = Math.min(
      this.#perSecond,
      this.#left + ((now - this.#at) * this.#perSecond) / 1_000,
    );
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
