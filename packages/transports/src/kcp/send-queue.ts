/**
 * Send queue: cuts what the user sends into segments, and holds those that have no number yet.
 *
 * In message mode a message becomes one or more segments that count down to 0; in stream mode the bytes
 * of several calls share segments. Bounded in modern machines. Never numbers or sends a segment.
 */

import { SegmentQueue } from "./ring.ts";
import { SEGMENT_HEADER, type Segment, type SegmentPool } from "./segment.ts";

/** No message is cut into as many pieces as this: the smallest receive window is no larger. */
const TOO_MANY_FRAGMENTS = 128;

/** What `send` returns instead of a count. */
const SEND_TOO_LARGE = -2;
const SEND_FULL = -3;

export class SendQueue {
  /** Payload of a full segment. */
  mss: number;
  readonly #pool: SegmentPool;
  readonly #stream: boolean;
  readonly #limit: number;
  readonly #segments: SegmentQueue = new SegmentQueue();

  /** `limit`: how many segments may wait here; `Infinity` for no bound. */
  constructor(pool: SegmentPool, mtu: number, stream: boolean, limit: number) {
    this.#pool = pool;
    this.mss = mtu - SEGMENT_HEADER;
    this.#stream = stream;
    this.#limit = limit;
  }

  /** Segments waiting. */
  get length(): number {
    return this.#segments.length;
  }

  shift(): Segment | undefined {
    return this.#segments.shift();
  }

  /** The first in the queue, left there. */
  first(): Segment | undefined {
    return this.#segments.at(0);
  }

  /** Copies the bytes. Returns how many were taken, or one of the two codes when none was. */
  send(bytes: Uint8Array): number {
    return this.#stream ? this.#sendStream(bytes) : this.#sendMessage(bytes);
  }

  #sendMessage(bytes: Uint8Array): number {
    const { mss } = this;
    const { length } = bytes;
    const count = length <= mss ? 1 : Math.ceil(length / mss);
    if (count >= TOO_MANY_FRAGMENTS) return SEND_TOO_LARGE;
    if (this.#segments.length + count > this.#limit) return SEND_FULL;
    if (count === 1) this.#push(bytes, 0);
    else {
      for (let i = 0; i < count; i++) {
        this.#push(bytes.subarray(i * mss, Math.min((i + 1) * mss, length)), count - 1 - i);
      }
    }
    return length;
  }

  #sendStream(bytes: Uint8Array): number {
    const { mss } = this;
    const { length } = bytes;
    let taken = this.#fillLast(bytes);
    if (taken === length) return taken;
    const bounded = this.#limit !== Number.POSITIVE_INFINITY;
    if (!bounded && Math.ceil((length - taken) / mss) >= TOO_MANY_FRAGMENTS) {
      return taken > 0 ? taken : SEND_TOO_LARGE;
    }
    while (taken < length) {
      if (this.#segments.length >= this.#limit) return taken > 0 ? taken : SEND_FULL;
      const end = Math.min(taken + mss, length);
      this.#push(taken === 0 && end === length ? bytes : bytes.subarray(taken, end), 0);
      taken = end;
    }
    return taken;
  }

  /** Adds to the last segment what it has room for. */
  #fillLast(bytes: Uint8Array): number {
    const last = this.#segments.at(this.#segments.length - 1);
    if (last === undefined) return 0;
    const room = Math.min(this.mss, last.room) - last.length;
    if (room <= 0) return 0;
    const taken = Math.min(room, bytes.length);
    const piece = taken === bytes.length ? bytes : bytes.subarray(0, taken);
    last.bytes.set(piece, SEGMENT_HEADER + last.length);
    last.length += taken;
    last.frg = 0;
    return taken;
  }

  #push(piece: Uint8Array, frg: number): void {
    const segment = this.#pool.take(piece.length);
    segment.bytes.set(piece, SEGMENT_HEADER);
    segment.length = piece.length;
    segment.frg = frg;
    this.#segments.push(segment);
  }
}
