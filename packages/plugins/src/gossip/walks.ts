/**
 * Walks: the way back of random walks that came by, one for each origin.
 *
 * A walk that comes by twice goes back by its first way, which cannot be a circle. Bounded; the oldest go
 * first.
 */

const MAX_WALKS = 256;

interface Walk {
  readonly from: string;
  readonly to: string;
  readonly expires: number;
}

export class Walks {
  readonly #timeoutMs: number;
  readonly #walks = new Map<string, Walk>();

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#walks.size;
  }

  /** A walk of `origin` went on from `from` to `to`. */
  mark(origin: string, from: string, to: string, now: number): void {
    const known = this.#walks.get(origin);
    if (known !== undefined && known.expires > now) {
      this.#walks.set(origin, { from: known.from, to, expires: known.expires });
      return;
    }
    this.#walks.delete(origin);
    if (this.#walks.size >= MAX_WALKS) {
      for (const oldest of this.#walks.keys()) {
        this.#walks.delete(oldest);
        break;
      }
    }
    this.#walks.set(origin, { from, to, expires: now + this.#timeoutMs });
  }

  /** Where the answer to `origin` that `to` gave goes next; a way is used once. */
  back(origin: string, to: string, now: number): string | undefined {
    const walk = this.#walks.get(origin);
    if (walk === undefined || walk.to !== to) return undefined;
    this.#walks.delete(origin);
    return walk.expires > now ? walk.from : undefined;
  }
}
