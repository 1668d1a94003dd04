/**
 * Farewell: how a side that is done makes sure that the other one knows. A machine.
 *
 * Says its last word, and again a few times with growing pauses, until it is answered or has said it often
 * enough: whoever has not heard it by then finds out by the idle timeout.
 */

const TRIES = 5;
const FIRST_WAIT_MS = 80;

export class Farewell {
  /** The last word; `true` for the form that asks for no answer. */
  readonly packet: (answer: boolean) => Uint8Array;
  #tries = 0;
  #nextAt: number = Number.NEGATIVE_INFINITY;

  constructor(packet: (answer: boolean) => Uint8Array) {
    this.packet = packet;
  }

  get due(): number {
    return this.#nextAt;
  }

  /** What to say now, if anything. */
  poll(now: number): Uint8Array | undefined {
    if (now < this.#nextAt || this.#tries === TRIES) return undefined;
    this.#nextAt = now + FIRST_WAIT_MS * 2 ** this.#tries;
    this.#tries++;
    return this.packet(false);
  }

  /** Whether it was said often enough and nobody answered. */
  over(now: number): boolean {
    return this.#tries === TRIES && now >= this.#nextAt;
  }
}
