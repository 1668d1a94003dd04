/**
 * Histogram: percentiles of any number of values in a fixed space, exact to one percent.
 *
 * A bucket is one percent wide, so histograms of several processes add up. A machine: values in, figures out.
 */

/** The upper end of bucket 0. */
const FINEST = 0.001;
const GROWTH = Math.log(1.01);

export class Histogram {
  readonly #buckets = new Map<number, number>();
  #count = 0;

  /** From what `toJSON` gave. Throws `TypeError` for anything else. */
  static from(buckets: unknown): Histogram {
    const histogram = new Histogram();
    if (!Array.isArray(buckets)) throw new TypeError("buckets must be an array");
    for (const bucket of buckets as unknown[]) {
      const [index, count] = Array.isArray(bucket) ? (bucket as unknown[]) : [];
      if (typeof index !== "number" || typeof count !== "number") {
        throw new TypeError("a bucket must be two numbers");
      }
      histogram.#put(index, count);
    }
    return histogram;
  }

  get count(): number {
    return this.#count;
  }

  /** Values below 0.001 count as that. */
  add(value: number): void {
    this.#put(value <= FINEST ? 0 : Math.ceil(Math.log(value / FINEST) / GROWTH), 1);
  }

  /** Takes in all values of another. */
  merge(other: Histogram): void {
    for (const [index, count] of other.#buckets) this.#put(index, count);
  }

  /** The smallest value that `part` (0 to 1) of all values do not exceed; `undefined` without values. */
  percentile(part: number): number | undefined {
    let left = Math.max(1, Math.ceil(part * this.#count));
    for (const index of [...this.#buckets.keys()].sort((a, b) => a - b)) {
      left -= this.#buckets.get(index) ?? 0;
      if (left <= 0) return FINEST * Math.exp(GROWTH * index);
    }
    return undefined;
  }

  toJSON(): [index: number, count: number][] {
    return [...this.#buckets];
  }

  #put(index: number, count: number): void {
    this.#buckets.set(index, (this.#buckets.get(index) ?? 0) + count);
    this.#count += count;
  }
}
