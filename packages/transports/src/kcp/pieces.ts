/**
 * Pieces: packets that no longer fit the path, cut up and put together again.
 *
 * A KCP segment keeps its size for life; when the path turns out narrower than it was, those already cut
 * travel in pieces: `u16 number · u8 index · u8 count · bytes`, all but the last of one length. The first byte
 * of the whole says its type. Holds a few unfinished packets, none larger than a datagram of ours may be;
 * what is crowded out is lost, and KCP sends it again.
 */

import { readU16, writeU16 } from "@testudo/core";

/** Before the bytes of a piece. */
export const PIECE_HEADER = 4;
const MOST_PIECES = 128;
const UNFINISHED = 8;

/** The pieces of `type · bytes`, each at most `room` bytes long with its own header. */
export function cut(number: number, type: number, bytes: Uint8Array, room: number): Uint8Array[] {
  const share = room - PIECE_HEADER;
  const total = bytes.length + 1;
  const count = Math.ceil(total / share);
  const whole = new Uint8Array(total);
  whole[0] = type;
  whole.set(bytes, 1);
  return Array.from({ length: count }, (_, index) => {
    const part = whole.subarray(index * share, Math.min((index + 1) * share, total));
    const piece = new Uint8Array(PIECE_HEADER + part.length);
    writeU16(piece, 0, number);
    piece[2] = index;
    piece[3] = count;
    piece.set(part, PIECE_HEADER);
    return piece;
  });
}

interface Unfinished {
  readonly number: number;
  readonly parts: (Uint8Array | undefined)[];
  missing: number;
  bytes: number;
}

export class Pieces {
  readonly #largest: number;
  readonly #unfinished: Unfinished[] = [];

  /** `largest`: bytes of a whole packet. */
  constructor(largest: number) {
    this.#largest = largest;
  }

  /** The whole that the piece completes: its type, then its bytes. Keeps a reference to `piece` until then. */
  add(piece: Uint8Array): Uint8Array | undefined {
    if (piece.length <= PIECE_HEADER) return undefined;
    const number = readU16(piece, 0);
    const index = piece[2] as number;
    const count = piece[3] as number;
    if (count < 2 || count > MOST_PIECES || index >= count) return undefined;
    const whole = this.#find(number, count);
    const part = piece.subarray(PIECE_HEADER);
    if (whole === undefined || whole.parts[index] !== undefined) return undefined;
    if (whole.bytes + part.length > this.#largest) return undefined;
    whole.parts[index] = part;
    whole.missing--;
    whole.bytes += part.length;
    return whole.missing > 0 ? undefined : this.#join(whole);
  }

  /** The one with that number, or a new one; `undefined` when it was said to have another count. */
  #find(number: number, count: number): Unfinished | undefined {
    const known = this.#unfinished.find((each) => each.number === number);
    if (known !== undefined) return known.parts.length === count ? known : undefined;
    const parts = new Array<Uint8Array | undefined>(count).fill(undefined);
    const fresh: Unfinished = { number, parts, missing: count, bytes: 0 };
    this.#unfinished.push(fresh);
    if (this.#unfinished.length > UNFINISHED) this.#unfinished.shift();
    return fresh;
  }

  #join(whole: Unfinished): Uint8Array {
    this.#unfinished.splice(this.#unfinished.indexOf(whole), 1);
    const bytes = new Uint8Array(whole.bytes);
    let at = 0;
    for (const part of whole.parts) {
      if (part === undefined) continue;
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}
