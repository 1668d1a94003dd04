/**
 * Window probe: when to ask a peer whose window is shut whether it has opened.
 *
 * The peer tells when it opens, but that can be lost. Asks first after a while, then ever more rarely.
 */

const FIRST_MS = 500;
const MOST_MS = 10_000;
const CLASSIC_FIRST_MS = 5_000;
const CLASSIC_MOST_MS = 120_000;

export class WindowProbe {
  /** Milliseconds between the last two questions; 0 while the window is open. */
  wait = 0;
  /** When to ask next: wrapped milliseconds, as a signed integer. */
  at = 0;
  readonly #first: number;
  readonly #most: number;

  constructor(classic: boolean) {
    this.#first = classic ? CLASSIC_FIRST_MS : FIRST_MS;
    this.#most = classic ? CLASSIC_MOST_MS : MOST_MS;
  }

  /** Whether to ask now. Called at every flush. */
  due(remoteWindow: number, tick: number): boolean {
    if (remoteWindow !== 0) {
      this.wait = 0;
      this.at = 0;
      return false;
    }
    if (this.wait === 0) {
      this.wait = this.#first;
      this.at = (tick + this.wait) | 0;
      return false;
    }
    if (((tick - this.at) | 0) < 0) return false;
    const longer = Math.max(this.wait, this.#first);
    this.wait = Math.min(longer + (longer >> 1), this.#most);
    this.at = (tick + this.wait) | 0;
    return true;
  }

  /** Milliseconds until `due` has something to do; `Infinity` while the window is open. */
  left(remoteWindow: number, tick: number): number {
    if (remoteWindow !== 0) return Number.POSITIVE_INFINITY;
    if (this.wait === 0) return 0;
    return Math.max((this.at - tick) | 0, 0);
  }
}
