/**
 * Passive view: a node's address book of those that are no neighbours.
 */

import { Names } from "./names.ts";

export class PassiveView extends Names {
  readonly #fits: (name: unknown) => name is string;

  /** `fits`: whether it is a name at all, and nobody's who is a neighbour. */
  constructor(
    most: number,
    random: (bound: number) => number,
    fits: (name: unknown) => name is string,
  ) {
    super(most, random);
    this.#fits = fits;
  }

  keep(name: string): void {
    if (this.#fits(name)) this.add(name);
  }

  /** Keeps `names`; those in `given` make room first, for another node holds them now. */
  learn(names: readonly string[], given: readonly string[]): void {
    let at = 0;
    for (const name of names) {
      if (!this.#fits(name) || this.has(name)) continue;
      while (this.isFull && at < given.length) this.delete(given[at++] ?? "");
      this.add(name);
    }
  }
}
