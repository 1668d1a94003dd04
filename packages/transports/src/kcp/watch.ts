/**
 * Watch: whether the other side is still there, and whether what is sent gets through. A machine; it counts time
 * and never sends anything.
 */

/** Once a ping was not answered, they come more often. */
const HURRY = 4;
/** No progress for so many waiting times, and at least so long, means that the path has become narrower. */
const STUCK_ROUNDS = 4;
const STUCK_MS = 1_500;

export interface Progress {
  /** The oldest segment without an acknowledgement. */
  readonly sendUna: number;
  readonly inFlight: number;
  readonly rto: number;
}

export class Watch {
  readonly #keepaliveMs: number;
  readonly #idleTimeoutMs: number;
  #heardAt: number;
  #pingedAt: number;
  #una = -1;
  #progressAt: number;

  constructor(keepaliveMs: number, idleTimeoutMs: number, now: number) {
    this.#keepaliveMs = keepaliveMs;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#heardAt = now;
    this.#pingedAt = now;
    this.#progressAt = now;
  }

  /** When `lost` or `mustPing` may say yes. */
  get due(): number {
    return Math.min(this.#heardAt + this.#idleTimeoutMs, this.#pingAt);
  }

  /** A packet came. */
  heard(now: number): void {
    this.#heardAt = now;
  }

  /** Nothing came for too long. */
  lost(now: number): boolean {
    return now - this.#heardAt >= this.#idleTimeoutMs;
  }

  /** Whether to ask now if anybody is there; then it counts as asked. */
  mustPing(now: number): boolean {
    if (now < this.#pingAt) return false;
    this.#pingedAt = now;
    return true;
  }

  /** Whether what is under way has been stuck for so long that it may be too large; then the count begins anew. */
  stuck({ sendUna, inFlight, rto }: Progress, now: number): boolean {
    if (sendUna !== this.#una || inFlight === 0) {
      this.#una = sendUna;
      this.#progressAt = now;
      return false;
    }
    if (now - this.#progressAt < Math.max(STUCK_ROUNDS * rto, STUCK_MS)) return false;
    this.#progressAt = now;
    return true;
  }

  get #pingAt(): number {
    const unanswered = this.#pingedAt > this.#heardAt;
    return unanswered
      ? this.#pingedAt + this.#keepaliveMs / HURRY
      : this.#heardAt + this.#keepaliveMs;
  }
}
