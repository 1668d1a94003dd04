/**
 * Budget: how many of something each peer may have in a second. A machine: tokens that come back with time.
 *
 * Never holds more than `maxPeers` peers: the one that was met longest ago starts afresh first.
 */

interface Tokens {
  left: number;
  at: number;
}

export class Budget {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxPeers: number;
  readonly #tokens = new Map<string, Tokens>();

  /** `burst`: how many may come at once; default twice `perSecond`. */
  constructor(perSecond: number, burst: number = 2 * perSecond, maxPeers = 1024) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#maxPeers = maxPeers;
  }

  /** Whether `peer` may have `count` more; what it may not have costs it nothing. */
  take(peer: string, now: number, count = 1): boolean {
    let tokens = this.#tokens.get(peer);
    if (tokens === undefined) {
      if (this.#tokens.size >= this.#maxPeers) {
        for (const oldest of this.#tokens.keys()) {
          this.#tokens.delete(oldest);
          break;
        }
      }
      tokens = { left: this.#burst, at: now };
      this.#tokens.set(peer, tokens);
    } else if (now > tokens.at) {
      tokens.left = Math.min(this.#burst, tokens.left + (now - tokens.at) * this.#perMs);
      tokens.at = now;
    }
    if (tokens.left < count) return false;
    tokens.left -= count;
    return true;
  }

  delete(peer: string): void {
    this.#tokens.delete(peer);
  }
}
