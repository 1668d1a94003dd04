/**
 * Pruning: which duplicates show that a link is one too many. A machine.
 *
 * A link is too many for one message if it came over another one first. When many messages are under way at once, each
 * has its own first ways, and links that are too many for one are the only ones for another: pruned for all of them,
 * a tree falls into pieces. So one root decides, and everywhere the same: of those who spoke in the last seconds the
 * least. The ways of its messages are nearly the same each time, so that nodes which judge by different ones still
 * keep one tree. One message is judged at a time: its duplicates are collected for a span, then their links go.
 */

const MAX_LINKS = 256;
/** So long after its last message the root is still the root. */
export const ROOT_MS = 10_000;

export class Pruning {
  readonly #spanMs: number;
  readonly #links = new Set<string>();
  #root: string | undefined;
  #rootUntil = 0;
  #id: string | undefined;
  #due = 0;

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  /** When `take` has something to give, in ms. */
  get deadline(): number | undefined {
    return this.#id === undefined ? undefined : this.#due;
  }

  /** A message of `root` came for the first time. */
  first(id: string, root: string, now: number): void {
    if (this.#root === undefined || root < this.#root || now >= this.#rootUntil) {
      if (this.#root !== root) {
        this.#links.clear();
        this.#id = undefined;
      }
      this.#root = root;
    }
    if (root !== this.#root) return;
    this.#rootUntil = now + ROOT_MS;
    if (this.#id !== undefined) return;
    this.#id = id;
    this.#due = now + this.#spanMs;
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
