/**
 * Messages over bytes for the peers that have none: a little-endian length and the body. As little as a
 * message can cost, so that it never decides a comparison.
 */

const HEADER = 4;

/** @param {Uint8Array} body */
export function frame(body) {
  const out = Buffer.allocUnsafe(HEADER + body.length);
  out.writeUInt32LE(body.length, 0);
  out.set(body, HEADER);
  return out;
}

/** @param {number} length */
export function frameHeader(length) {
  const out = Buffer.allocUnsafe(HEADER);
  out.writeUInt32LE(length, 0);
  return out;
}

/** Cuts chunks back into messages; bodies are views where a message came in one chunk. */
export class Deframer {
  /** @type {(body: Uint8Array) => void} */
  #onMessage;
  /** @type {Uint8Array[]} */
  #parts = [];
  #have = 0;
  /** Bytes wanted before anything can be said: a header, then header and body. */
  #want = HEADER;

  /** @param {(body: Uint8Array) => void} onMessage */
  constructor(onMessage) {
    this.#onMessage = onMessage;
  }

  /** @param {Uint8Array} chunk */
  push(chunk) {
    if (this.#have > 0) {
      this.#parts.push(chunk);
      this.#have += chunk.length;
      if (this.#have < this.#want) return;
      chunk = Buffer.concat(this.#parts);
      this.#parts = [];
      this.#have = 0;
      this.#want = HEADER;
    }
    let at = 0;
    while (chunk.length - at >= HEADER) {
      const length =
        (chunk[at] ?? 0) |
        ((chunk[at + 1] ?? 0) << 8) |
        ((chunk[at + 2] ?? 0) << 16) |
        ((chunk[at + 3] ?? 0) << 24);
      const end = at + HEADER + length;
      if (end > chunk.length) {
        this.#want = HEADER + length;
        break;
      }
      this.#onMessage(chunk.subarray(at + HEADER, end));
      at = end;
    }
    if (at < chunk.length) {
      this.#parts.push(at === 0 ? chunk : chunk.subarray(at));
      this.#have = chunk.length - at;
    }
  }
}
