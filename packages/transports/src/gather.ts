/**
 * Bytes of a length that is known beforehand, out of chunks that are cut anywhere.
 *
 * They are copied only when they come in more than one chunk, into a buffer of exactly their length, so that
 * somebody who trickles costs neither memory nor time. It says nothing of what the bytes mean.
 */

export class Gather {
  readonly #length: number;
  #buffer: Uint8Array | undefined;
  #filled = 0;

  constructor(length: number) {
    this.#length = length;
  }

  get missing(): number {
    return this.#length - this.#filled;
  }

  /** Takes a part, of `missing` bytes at most. All of them once it was the last: `part` itself when it was the only one. */
  take(part: Uint8Array): Uint8Array | undefined {
    if (part.length === this.#length) return part;
    this.#buffer ??= new Uint8Array(this.#length);
    this.#buffer.set(part, this.#filled);
    this.#filled += part.length;
    return this.#filled === this.#length ? this.#buffer : undefined;
  }
}
