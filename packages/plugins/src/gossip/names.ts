/**
 * Names: a bounded set of nodes' names, drawn from by chance. The views of HyParView are made of it.
 */

export class Names {
  readonly #names = new Set<string>();
  readonly #most: number;
  readonly #random: (bound: number) => number;

  /** At most `most` names; `random(bound)` gives a whole number in [0, bound). */
  constructor(most: number, random: (bound: number) => number) {
    this.#most = most;
    this.#random = random;
  }

  get all(): ReadonlySet<string> {
    return this.#names;
  }

  get size(): number {
    return this.#names.size;
  }

  get isFull(): boolean {
    return this.#names.size >= this.#most;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** When it is full, one by chance makes room. */
  add(name: string): void {
    if (this.#names.has(name)) return;
    while (this.isFull) this.#names.delete(this.any() ?? "");
    this.#names.add(name);
  }

  delete(name: string): boolean {
    return this.#names.delete(name);
  }

  clear(): void {
    this.#names.clear();
  }

  any(except?: string, alsoExcept?: string): string | undefined {
    let choices = this.#names.size;
    if (except !== undefined && this.#names.has(except)) choices--;
    if (alsoExcept !== undefined && alsoExcept !== except && this.#names.has(alsoExcept)) choices--;
    if (choices <= 0) return undefined;
    let at = this.#below(choices);
    for (const name of this.#names) {
      if (name === except || name === alsoExcept) continue;
      if (at-- === 0) return name;
    }
    return undefined;
  }

  /** One of those that `fits`. */
  anyThat(fits: (name: string) => boolean): string | undefined {
    let found: string | undefined;
    let seen = 0;
    for (const name of this.#names) {
      if (!fits(name)) continue;
      seen++;
      if (this.#below(seen) === 0) found = name;
    }
    return found;
  }

  /** Up to `count` different ones. */
  sample(count: number, except?: string): string[] {
    const pool = [...this.#names];
    const at = except === undefined ? -1 : pool.indexOf(except);
    if (at !== -1) pool.splice(at, 1);
    const taken = Math.min(count, pool.length);
    for (let i = 0; i < taken; i++) {
      const from = i + this.#below(pool.length - i);
      const held = pool[i] ?? "";
      pool[i] = pool[from] ?? "";
      pool[from] = held;
    }
    pool.length = taken;
    return pool;
  }

  #below(bound: number): number {
    return bound <= 1 ? 0 : this.#random(bound);
  }
}
