/**
 * Loss detector: says which segments later acknowledgements have shown to be lost.
 *
 * Transmissions are counted. A segment is lost when as many transmissions after its own have been
 * acknowledged as the options say: kcp-go's count for every acknowledgement, but also over segments sent
 * again, and without a look at every segment: it is enough to know the few newest acknowledged
 * transmissions. Where the path mixes datagrams up, segments believed lost arrive after all; each such
 * mistake makes it wait a little longer, each true loss a little less.
 */

import type { Segment } from "./segment.ts";

/** Part of the time that was missing, added to the patience at a mistake. */
const LEARN = 1 / 4;
/** Part of the patience given up at a true loss. */
const FORGET = 1 / 64;
/** Below this much patience, in milliseconds, there is none. */
const NEGLIGIBLE_MS = 0.25;

export class LossDetector {
  /** Milliseconds to wait for a segment that others have overtaken. */
  patience = 0;
  /** The newest acknowledged transmissions, newest first. */
  readonly #newest: number[];
  /** The round trip of the newest of them. */
  #rtt = 0;

  /** `threshold`: how many later acknowledgements mean a loss; 0 for never. */
  constructor(threshold: number) {
    this.#newest = new Array<number>(threshold).fill(0);
  }

  /** A transmission was acknowledged; `rtt` is NaN when it cannot be told. */
  acknowledged(order: number, rtt: number): void {
    const newest = this.#newest;
    let at = newest.length - 1;
    if (at < 0 || order <= (newest[at] as number)) return;
    for (; at > 0 && (newest[at - 1] as number) < order; at--) {
      newest[at] = newest[at - 1] as number;
    }
    newest[at] = order;
    if (at === 0 && !Number.isNaN(rtt)) this.#rtt = rtt;
  }

  /** Whether enough transmissions after this one were acknowledged; one is enough when `early`. */
  overtaken(segment: Segment, early: boolean): boolean {
    const newest = this.#newest;
    if (newest.length === 0) return false;
    return segment.order < (newest[early ? 0 : newest.length - 1] as number);
  }

  /** When an overtaken segment counts as lost; 0 for at once. */
  lostAt(segment: Segment): number {
    return this.patience < NEGLIGIBLE_MS ? 0 : segment.sentAt + this.#rtt + this.patience;
  }

  /** A segment arrived after all, so long after it was sent again. */
  mistaken(lateMs: number, mostMs: number): void {
    this.patience = Math.min(this.patience + lateMs * LEARN, mostMs);
  }

  /** What was sent again was needed. */
  confirmed(): void {
    this.patience -= this.patience * FORGET;
  }
}
