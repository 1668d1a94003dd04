/**
 * Rings: segments found by their number, and segments in a row.
 *
 * `SegmentRing` answers "the segment numbered sn" for a stretch of numbers no longer than the ring; it
 * does not know where that stretch begins. `SegmentQueue` is a first-in, first-out row that grows by
 * doubling. Neither allocates while in use, neither frees a segment.
 */

import type { Segment } from "./segment.ts";

/** Segments by number. Two numbers that differ by a multiple of the capacity share a place. */
export class SegmentRing {
  readonly #slots: (Segment | undefined)[];
  readonly #mask: number;
  #count = 0;

  /** Holds any stretch of `window` numbers. */
  constructor(window: number) {
    const capacity = powerOfTwo(window);
    this.#slots = new Array<Segment | undefined>(capacity).fill(undefined);
    this.#mask = capacity - 1;
  }

  /** Segments held. */
  get count(): number {
    return this.#count;
  }

  get(sn: number): Segment | undefined {
    return this.#slots[sn & this.#mask];
  }

  /** Puts the segment in its place, which is free. */
  add(segment: Segment): void {
    this.#slots[segment.sn & this.#mask] = segment;
    this.#count++;
  }

  /** Empties a place that is taken. */
  delete(sn: number): void {
    this.#slots[sn & this.#mask] = undefined;
    this.#count--;
  }
}

/** Segments in the order they came. */
export class SegmentQueue {
  #slots: (Segment | undefined)[] = new Array<Segment | undefined>(16).fill(undefined);
  #mask = 15;
  #head = 0;
  #count = 0;

  get length(): number {
    return this.#count;
  }

  /** The segment at `index` from the front. */
  at(index: number): Segment | undefined {
    return index < this.#count ? this.#slots[(this.#head + index) & this.#mask] : undefined;
  }

  push(segment: Segment): void {
    if (this.#count > this.#mask) this.#grow();
    this.#slots[(this.#head + this.#count) & this.#mask] = segment;
    this.#count++;
  }

  shift(): Segment | undefined {
    if (this.#count === 0) return undefined;
    const segment = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & this.#mask;
    this.#count--;
    return segment;
  }

  #grow(): void {
    const slots = new Array<Segment | undefined>(2 * (this.#mask + 1)).fill(undefined);
    for (let i = 0; i < this.#count; i++) slots[i] = this.at(i);
    this.#slots = slots;
    this.#mask = slots.length - 1;
    this.#head = 0;
  }
}

function powerOfTwo(least: number): number {
  let size = 1;
  while (size < least) size *= 2;
  return size;
}
