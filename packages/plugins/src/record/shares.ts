/**
 * Shares: names by the source that brought them, so that whoever brings most is who makes room. A machine.
 */

export class Shares {
  /** Of each source, the longest not brought first. */
  readonly #names = new Map<string, Set<string>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How many are of that source. */
  of(source: string): number {
    return this.#names.get(source)?.size ?? 0;
  }

  /** A name that is not there yet. */
  add(source: string, name: string): void {
    const names = this.#names.get(source);
    if (names === undefined) this.#names.set(source, new Set([name]));
    else names.add(name);
    this.#size++;
  }

  /** False when it is not there. */
  delete(source: string, name: string): boolean {
    const names = this.#names.get(source);
    if (names?.delete(name) !== true) return false;
    if (names.size === 0) this.#names.delete(source);
    this.#size--;
    return true;
  }

  /** Of the source that has most, the name longest not brought. */
  next(): string | undefined {
    let most: ReadonlySet<string> | undefined;
    for (const names of this.#names.values()) {
      if (most === undefined || names.size > most.size) most = names;
    }
    return most?.values().next().value;
  }
}
