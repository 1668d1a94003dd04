/** Segment list: segments linked to one another, in and out at either end or from the middle at once. */

import { NOWHERE, type Segment, type Whereabouts } from "./segment.ts";

export class SegmentList {
  first: Segment | undefined = undefined;
  last: Segment | undefined = undefined;
  length = 0;
  readonly #name: Whereabouts;

  /** `name`: what its segments have in `where`. */
  constructor(name: Whereabouts) {
    this.#name = name;
  }

  /** Adds at the end. */
  push(segment: Segment): void {
    const last = this.last;
    segment.previous = last;
    segment.next = undefined;
    segment.where = this.#name;
    if (last === undefined) this.first = segment;
    else last.next = segment;
    this.last = segment;
    this.length++;
  }

  /** Takes out a segment that is in this list. */
  delete(segment: Segment): void {
    const { previous, next } = segment;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.last = previous;
    else next.previous = previous;
    segment.previous = undefined;
    segment.next = undefined;
    segment.where = NOWHERE;
    this.length--;
  }
}
