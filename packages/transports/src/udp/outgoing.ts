/**
 * Outgoing: bytes that were written and not yet cut into segments. Cut late, so that small writes share
 * segments and a path that changes its size is met with segments of the new one. Keeps what it is given
 * by reference.
 */

import { Fifo } from "@testudo/core";

/** Bytes written and not yet cut before writers are asked to wait, and when they may go on. */
const HIGH_WATER_BYTES: number = 256 * 1024;
const LOW_WATER_BYTES: number = HIGH_WATER_BYTES / 2;

export class Outgoing {
  readonly #chunks = new Fifo<Uint8Array>();
  #at = 0;
  #bytes = 0;
  #full = false;

  get bytes(): number {
    return this.#bytes;
  }

  /** Writers wait until `relieved` says so. */
  get full(): boolean {
    return this.#full;
  }

  /** Whether there is room again, once for each time it was full. */
  relieved(): boolean {
    if (!this.#full || this.#bytes > LOW_WATER_BYTES) return false;
    this.#full = false;
    return true;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#full ||= this.#bytes >= HIGH_WATER_BYTES;
  }

  /** The next bytes, at most as many as fit into `scratch`: a view of a chunk, or of `scratch`. */
  take(scratch: Uint8Array): Uint8Array {
    const first = this.#chunks.peek();
    if (first === undefined) return scratch.subarray(0, 0);
    const left = first.length - this.#at;
    if (left >= scratch.length || this.#chunks.size === 1) {
      const view = first.subarray(this.#at, this.#at + Math.min(left, scratch.length));
      this.#advance(first, view.length);
      return view;
    }
    let used = 0;
    for (let chunk = this.#chunks.peek(); chunk !== undefined; chunk = this.#chunks.peek()) {
      const part = chunk.subarray(this.#at, this.#at + scratch.length - used);
      scratch.set(part, used);
      used += part.length;
      this.#advance(chunk, part.length);
      if (used === scratch.length) break;
    }
    return scratch.subarray(0, used);
  }

  clear(): void {
    this.#chunks.clear();
    this.#at = 0;
    this.#bytes = 0;
  }

  #advance(chunk: Uint8Array, by: number): void {
    this.#bytes -= by;
    this.#at += by;
    if (this.#at < chunk.length) return;
    this.#chunks.shift();
    this.#at = 0;
  }
}
