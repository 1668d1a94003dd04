/**
 * Pruning: which duplicates show that a link is one too many. A machine.
 *
 * A link is too many for one message if it came over another one first. When many messages are under way at once, each
 * has its own first ways, and links that are too many for one are the only ones for another: pruned for all of them,
 * a tree falls into pieces. So one message decides at a time, and everywhere the same: of those that came in one span
 * the one with the least id. Its duplicates are collected for one span more, then their links go.
 */

const MAX_LINKS = 256;

export class Pruning {
  readonly #spanMs: number;
  readonly #links = new Set<string>();
  #id: string | undefined;
  #closed = 0;
  #due = 0;

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  /** When `take` has something to give, in ms. */
  get deadline(): number | undefined {
    return this.#id === undefined ? undefined : this.#due;
  }

  /** A message came for the first time. */
  first(id: string, now: number): void {
    if (this.#id === undefined) {
      this.#id = id;
      this.#closed = now + this.#spanMs;
      this.#due = this.#closed + this.#spanMs;
    } else if (id < this.#id && now < this.#closed) {
      this.#id = id;
      this.#links.clear();
    }
  }

  /** It came again. */
  again(id: string, from: string): void {
    if (id === this.#id && this.#links.size < MAX_LINKS) this.#links.add(from);
  }

  /** The links to prune, once. */
  take(now: number): string[] {
    if (this.#id === undefined || now < this.#due) return [];
    const links = [...this.#links];
    this.#links.clear();
    this.#id = undefined;
    return links;
  }
}
