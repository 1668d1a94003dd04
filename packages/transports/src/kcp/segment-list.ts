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

  /** Puts it where its number belongs; the list is in order of numbers. Quick at either end. */
  insert(segment: Segment): void {
    const { last } = this;
    if (last === undefined || ((segment.sn - last.sn) | 0) > 0) {
      this.push(segment);
      return;
    }
    let next = this.first;
    while (next !== undefined && ((segment.sn - next.sn) | 0) > 0) next = next.next;
    if (next === undefined) {
      this.push(segment);
      return;
    }
    const { previous } = next;
    segment.previous = previous;
    segment.next = next;
    segment.where = this.#name;
    if (previous === undefined) this.first = segment;
    else previous.next = segment;
    next.previous = segment;
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
