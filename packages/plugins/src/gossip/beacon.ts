/**
 * Beacon: makes sure that the root by which links are pruned (pruning.ts) speaks while others do. A machine.
 *
 * While messages travel, the node with the least key says an empty one every second: links that are too many go
 * by it, however seldom it speaks by itself. Who is the least is not agreed upon: whoever has heard of nobody less
 * waits the longer the greater its key is, and gives up when somebody less is heard.
 */

import { ROOT_MS } from "./pruning.ts";

const EVERY_MS = 1_000;
/** What the greatest key waits. */
const MOST_WAIT_MS = 2_000;

export class Beacon {
  readonly #own: string;
  readonly #waitMs: number;
  #ledUntil = Number.NEGATIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;
  /** When `poll` has something to do, in ms. */
  deadline: number | undefined;

  /** `own`: this node's key, one character a byte. */
  constructor(own: string) {
    this.#own = own;
    this.#waitMs = (MOST_WAIT_MS * (own.charCodeAt(0) * 256 + own.charCodeAt(1))) / 65_536;
  }

  /** A message came, or was said. */
  heard(origin: string, now: number): void {
    if (origin < this.#own) {
      this.#ledUntil = now + ROOT_MS;
      this.deadline = undefined;
    } else if (now >= this.#ledUntil) {
      this.deadline ??= Math.max(now + this.#waitMs, this.#last + EVERY_MS);
    }
  }

  /** Whether to say one now. */
  poll(now: number): boolean {
    if (this.deadline === undefined || now < this.deadline) return false;
    this.deadline = undefined;
    this.#last = now;
    return true;
  }
}
