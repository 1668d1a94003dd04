/**
 * Waits: promises that somebody holds and that must come to an end, well or not. What is left has a name.
 */

export class Waits {
  readonly #open = new Map<Promise<unknown>, string>();

  add(what: string, promise: Promise<unknown>): void {
    this.#open.set(promise, what);
    const done = (): void => void this.#open.delete(promise);
    promise.then(done, done);
  }

  get open(): string {
    return [...this.#open.values()].join(", ");
  }
}
