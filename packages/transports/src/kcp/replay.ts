/**
 * Replay window: which of the last 1,024 numbers were seen. For datagrams, which come in any order.
 *
 * Ask first, mark only what has proved to be genuine: a forged number must not push the window on.
 */

export const REPLAY_WINDOW = 1_024;
const WORDS: number = REPLAY_WINDOW / 32;

export class ReplayWindow {
  /** One above the highest number seen. */
  #next = 0;
  readonly #bits: Uint32Array = new Uint32Array(WORDS);

  /** Whether the number is new and not too old. */
  accepts(number: number): boolean {
    if (number >= this.#next) return true;
    if (number < this.#next - REPLAY_WINDOW) return false;
    return ((this.#bits[this.#word(number)] as number) & (1 << (number % 32))) === 0;
  }

  mark(number: number): void {
    if (number >= this.#next) {
      this.#clear(number);
      this.#next = number + 1;
    }
    const word = this.#word(number);
    this.#bits[word] = (this.#bits[word] as number) | (1 << (number % 32));
  }

  #word(number: number): number {
    return Math.floor(number / 32) % WORDS;
  }

  /** Forgets what falls out when `number` becomes the highest. */
  #clear(number: number): void {
    if (number - this.#next >= REPLAY_WINDOW) {
      this.#bits.fill(0);
      return;
    }
    for (let each = this.#next; each <= number; each++) {
      const word = this.#word(each);
      this.#bits[word] = (this.#bits[word] as number) & ~(1 << (each % 32));
    }
  }
}
