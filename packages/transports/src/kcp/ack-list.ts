/**
 * Ack list: what has arrived and is not yet acknowledged, in order of arrival. Bounded: what comes when
 * it is full is left out, and its sender sends it again. Takes no memory per entry.
 */

export class AckList {
  readonly #sn: Int32Array;
  readonly #ts: Int32Array;
  #count = 0;

  constructor(capacity: number) {
    this.#sn = new Int32Array(capacity);
    this.#ts = new Int32Array(capacity);
  }

  get length(): number {
    return this.#count;
  }

  add(sn: number, ts: number): void {
    if (this.#count === this.#sn.length) return;
    this.#sn[this.#count] = sn;
    this.#ts[this.#count] = ts;
    this.#count++;
  }

  sn(index: number): number {
    return this.#sn[index] as number;
  }

  ts(index: number): number {
    return this.#ts[index] as number;
  }

  clear(): void {
    this.#count = 0;
  }
}
