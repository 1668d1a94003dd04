/**
 * Clock: what the caller says the time is, in the two forms that the machine needs.
 *
 * Callers give milliseconds that may have fractions, may start anywhere, and may wrap at 2^32. Never
 * reads a clock itself.
 */

const WRAP = 4_294_967_296;

export class Clock {
  /** Whole milliseconds, as the wire has them: 32 bits, signed. */
  tick = 0;
  /** Milliseconds since the first call, with fractions. Never goes back, never wraps. */
  time = 0;
  #last: number = Number.NaN;

  /** Takes over the caller's time. A step back stands still. */
  set(now: number): void {
    this.tick = Math.floor(now) | 0;
    const step = now - this.#last;
    this.#last = now;
    if (step > 0) this.time += step;
    else if (step < -WRAP / 2) this.time += step + WRAP;
  }
}
