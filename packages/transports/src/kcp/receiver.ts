/**
 * Receiver: puts what arrives in order and gives out whole messages.
 *
 * Never holds more than twice the receive window, each segment no longer than a datagram of ours may be:
 * the rest is dropped unacknowledged, and its sender sends it again. Believes nothing that a peer says of
 * how much is to follow.
 */

import { AckList } from "./ack-list.ts";
import { SegmentQueue, SegmentRing } from "./ring.ts";
import { SEGMENT_HEADER, type Segment, type SegmentPool } from "./segment.ts";

/** Below this part of the window the peer counts as held up, and is told when half is free again. */
const NARROW = 4;
const LEAST_ACKS = 256;

export class Receiver {
  /** The number that comes next, as a signed integer. */
  next: number;
  /** Whether the peer is to be told that the window has opened. */
  tell = false;
  /** What has arrived and is not yet acknowledged. */
  readonly acks: AckList;
  readonly window: number;
  readonly #pool: SegmentPool;
  readonly #classic: boolean;
  readonly #largest: number;
  readonly #ahead: SegmentRing;
  readonly #ready: SegmentQueue = new SegmentQueue();
  #told: number;

  /** `largest`: payload bytes above which a segment is dropped. */
  constructor(
    pool: SegmentPool,
    window: number,
    largest: number,
    initialSn: number,
    classic: boolean,
  ) {
    this.#pool = pool;
    this.#classic = classic;
    this.window = window;
    this.#largest = largest;
    this.next = initialSn | 0;
    this.#ahead = new SegmentRing(window);
    this.acks = new AckList(Math.max(window, LEAST_ACKS));
    this.#told = window;
  }

  /** Segments in order and not yet taken. */
  get ready(): number {
    return this.#ready.length;
  }

  /** Segments that wait for an earlier one. */
  get ahead(): number {
    return this.#ahead.count;
  }

  /** The free part of the window, for the next headers. */
  announce(): number {
    this.#told = Math.max(this.window - this.#ready.length, 0);
    return this.#told;
  }

  /** A segment with data, whose payload lies in `datagram` from `at`. Copies what it keeps. */
  push(
    sn: number,
    ts: number,
    frg: number,
    datagram: Uint8Array,
    at: number,
    length: number,
  ): void {
    const distance = (sn - this.next) | 0;
    if (distance >= this.window || frg >= this.window || length > this.#largest) return;
    this.acks.add(sn, ts);
    if (distance < 0 || this.#ahead.get(sn) !== undefined) return;
    const segment = this.#pool.take(length);
    if (datagram.length === SEGMENT_HEADER + length) segment.bytes.set(datagram);
    else segment.bytes.set(datagram.subarray(at, at + length), SEGMENT_HEADER);
    segment.length = length;
    segment.sn = sn;
    segment.frg = frg;
    if (distance === 0 && this.#ready.length < this.window) {
      this.#ready.push(segment);
      this.next = (sn + 1) | 0;
    } else this.#ahead.add(segment);
    if (this.#ahead.count > 0) this.#moveReady();
  }

  /** Bytes of the next message; -1 when there is none or it is not whole. */
  get peekSize(): number {
    const head = this.#ready.at(0);
    if (head === undefined || this.#ready.length < head.frg + 1) return -1;
    let size = 0;
    for (let i = 0; ; i++) {
      const segment = this.#ready.at(i);
      if (segment === undefined) return size;
      size += segment.length;
      if (segment.frg === 0) return size;
    }
  }

  /** The next message, copied into `into` or into memory of its own; `undefined` when there is none or it does not fit. */
  recv(into: Uint8Array | undefined): Uint8Array | undefined {
    const size = this.peekSize;
    if (size < 0 || (into !== undefined && size > into.length)) return undefined;
    const bytes = into ?? new Uint8Array(size);
    const full = this.#ready.length >= this.window;
    this.#take(bytes, 0);
    this.#taken(full);
    return bytes.length === size ? bytes : bytes.subarray(0, size);
  }

  /** As many whole messages as fit, one behind the other. Returns the bytes written. */
  drain(into: Uint8Array): number {
    const full = this.#ready.length >= this.window;
    let used = 0;
    for (;;) {
      const size = this.peekSize;
      if (size < 0 || used + size > into.length) break;
      this.#take(into, used);
      used += size;
    }
    this.#taken(full);
    return used;
  }

  #take(into: Uint8Array, from: number): void {
    let at = from;
    for (;;) {
      const segment = this.#ready.shift();
      if (segment === undefined) return;
      into.set(segment.payload, at);
      at += segment.length;
      const last = segment.frg === 0;
      this.#pool.give(segment);
      if (last) return;
    }
  }

  /** After something was taken: what waited outside comes in, and a peer that was held up is told. */
  #taken(wasFull: boolean): void {
    if (this.#ahead.count > 0) this.#moveReady();
    const free = this.window - this.#ready.length;
    if (this.#classic) {
      if (wasFull && free > 0) this.tell = true;
    } else if (this.#told * NARROW <= this.window && free * 2 >= this.window) {
      this.tell = true;
      this.#told = free;
    }
  }

  #moveReady(): void {
    for (;;) {
      if (this.#ready.length >= this.window) return;
      const segment: Segment | undefined = this.#ahead.get(this.next);
      if (segment === undefined) return;
      this.#ahead.delete(this.next);
      this.#ready.push(segment);
      this.next = (this.next + 1) | 0;
    }
  }
}
