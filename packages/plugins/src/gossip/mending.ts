/**
 * Mending: what HyParView leaves to chance, and when to do something about it.
 *
 * A neighbour that was lost is tried again, one in a shuffle: after a partition nobody else would have a
 * reason to link the halves. And whoever knows few nodes for long may be on an island whose places are all
 * taken: it should ask somebody to make room, ever more rarely, for the whole network may be small. And who
 * joined knows nobody but those around its contact: three times in its youth it swaps a neighbour for one from
 * its address book, by then of everywhere, or circles of those that joined together stay long ways off.
 */

const MAX_LOST = 16;
const LOST_KEPT_MS = 3_600_000;
/** Shuffles in a row with a half empty address book before something is done about it. */
const PATIENCE = 3;
const MAX_PATIENCE = 192;
/** Shuffles between two swaps, and the one after which there are no more. */
const RESTLESS_EVERY = 4;
const SETTLED_AFTER = 12;

export class Mending {
  readonly #lostAt = new Map<string, number>();
  #shuffles = 0;
  #poorShuffles = 0;
  #patience = PATIENCE;

  lost(peer: string, now: number): void {
    if (this.#lostAt.size < MAX_LOST) this.#lostAt.set(peer, now);
  }

  found(peer: string): void {
    this.#lostAt.delete(peer);
  }

  clear(): void {
    this.#lostAt.clear();
  }

  /** One after the other, as long as the loss is not too old. */
  next(now: number): string | undefined {
    for (const [name, since] of this.#lostAt) {
      this.#lostAt.delete(name);
      if (now - since > LOST_KEPT_MS) continue;
      this.#lostAt.set(name, since);
      return name;
    }
    return undefined;
  }

  /** Asked at every shuffle: whether to swap a neighbour. */
  isRestless(): boolean {
    if (this.#shuffles >= SETTLED_AFTER) return false;
    this.#shuffles++;
    return this.#shuffles % RESTLESS_EVERY === 0;
  }

  /** Told at every shuffle whether few nodes are known; returns whether that has lasted. */
  isIsland(poor: boolean): boolean {
    if (!poor) {
      this.#poorShuffles = 0;
      this.#patience = PATIENCE;
      return false;
    }
    this.#poorShuffles++;
    if (this.#poorShuffles < this.#patience) return false;
    this.#poorShuffles = 0;
    this.#patience = Math.min(2 * this.#patience, MAX_PATIENCE);
    return true;
  }
}
