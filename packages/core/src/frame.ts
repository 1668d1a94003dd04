/**
 * Frames: a run of bytes cut into length-prefixed frames, and the header every frame carries.
 *
 * A machine: bytes in, frames out, no socket and no clock. Layout (docs/protocol.md), little endian:
 * `u32 length · u32 opcode · u32 nonce · u8 flags · u32 checksum · payload`, where `length` counts what
 * follows it and the checksum is CRC-32 over the payload, then the 13 bytes before it. It guards against
 * accidents; forgery is the transform's business.
 */

import { readU32, writeU32 } from "./bytes.ts";
import { provider } from "./crypto/index.ts";
import { networkError } from "./errors.ts";

export const HEADER_BYTES = 17;
const LENGTH_BYTES = 4;
const CHECKSUM_AT = 13;
/** What a frame that is not whole yet gets at first, at most: a length alone must cost its sender nothing like memory. */
const FIRST_BYTES = 128 * 1024;

export const FLAGS: { readonly reply: 1; readonly signed: 2 } = { reply: 1, signed: 2 };
const KNOWN_FLAGS = FLAGS.reply | FLAGS.signed;

/** One frame, taken apart and checked. `payload` is a view. */
export interface Frame {
  readonly opcode: number;
  readonly nonce: number;
  readonly flags: number;
  readonly checksum: number;
  readonly payload: Uint8Array;
}

/** Scratch of the two functions below, which never yield between filling and using it. */
const header = new Uint8Array(HEADER_BYTES);
const checked = header.subarray(0, CHECKSUM_AT);

/**
 * The 17 header bytes of a frame whose payload is the pieces joined. The array is shared: copy or send
 * it before the next call.
 */
export function encodeHeader(
  opcode: number,
  nonce: number,
  flags: number,
  payload: readonly Uint8Array[],
): Uint8Array {
  let length = 0;
  let checksum = 0;
  for (const piece of payload) {
    length += piece.length;
    checksum = provider.crc32(piece, checksum);
  }
  writeU32(header, 0, HEADER_BYTES - LENGTH_BYTES + length);
  writeU32(header, 4, opcode);
  writeU32(header, 8, nonce);
  header[12] = flags;
  writeU32(header, CHECKSUM_AT, provider.crc32(checked, checksum));
  return header;
}

/**
 * Reads the frame that lies in `buffer` from `start` to `end`, length prefix included. Throws
 * `FRAME_MALFORMED` for opcode 0 or unknown flags, `CHECKSUM_MISMATCH` when a byte changed on the way.
 */
export function decodeFrame(buffer: Uint8Array, start: number, end: number): Frame {
  const payload = buffer.subarray(start + HEADER_BYTES, end);
  const checksum = readU32(buffer, start + CHECKSUM_AT);
  for (let i = 0; i < CHECKSUM_AT; i++) checked[i] = buffer[start + i] as number;
  if (provider.crc32(checked, provider.crc32(payload)) !== checksum) {
    throw networkError("CHECKSUM_MISMATCH", "a frame's checksum does not fit its bytes");
  }
  const opcode = readU32(buffer, start + 4);
  const flags = buffer[start + 12] as number;
  if (opcode === 0) throw networkError("FRAME_MALFORMED", "a frame has opcode 0");
  if ((flags & ~KNOWN_FLAGS) !== 0) {
    throw networkError("FRAME_MALFORMED", `a frame has unknown flags ${flags}`);
  }
  return { opcode, nonce: readU32(buffer, start + 8), flags, checksum, payload };
}

/** Called with where a whole frame lies. Returning `false` stops the decoder behind it. */
export type OnFrame = (buffer: Uint8Array, start: number, end: number) => boolean;

/** Cuts chunks into frames; keeps at most one partial frame. */
export class FrameDecoder {
  readonly #maxLength: number;
  /** The bytes of a length prefix that came in parts, and how many. */
  #prefix = 0;
  #prefixFilled = 0;
  /** Room for the frame's bytes, or for the first of them. */
  #partial: Uint8Array | undefined;
  #filled = 0;
  #wholeBytes = 0;

  /** `maxPayload` bounds what follows the header. */
  constructor(maxPayload: number) {
    this.#maxLength = HEADER_BYTES - LENGTH_BYTES + maxPayload;
  }

  /** Whether a frame has begun and not ended: an end of the stream here is a truncation. */
  get partial(): boolean {
    return this.#prefixFilled > 0 || this.#partial !== undefined;
  }

  /**
   * Takes `chunk` from `at`; returns where it stopped: the end, or behind the frame for which `onFrame`
   * gave `false`. Throws `FRAME_TOO_LARGE` or `FRAME_MALFORMED` before anything is allocated.
   */
  push(chunk: Uint8Array, at: number, onFrame: OnFrame): number {
    let position = at;
    if (this.partial) {
      position = this.#complete(chunk, position);
      const whole = this.#takeWhole();
      if (whole === undefined) return position;
      if (!onFrame(whole, 0, whole.length)) return position;
    }
    const end = chunk.length;
    while (position + LENGTH_BYTES <= end) {
      const next = position + LENGTH_BYTES + this.#checked(readU32(chunk, position));
      if (next > end) break;
      const start = position;
      position = next;
      if (!onFrame(chunk, start, next)) return position;
    }
    return position < end ? this.#complete(chunk, position) : position;
  }

  #checked(length: number): number {
    if (length > this.#maxLength) {
      throw networkError(
        "FRAME_TOO_LARGE",
        `a frame of ${length} bytes; ${this.#maxLength} are allowed`,
      );
    }
    if (length < HEADER_BYTES - LENGTH_BYTES) {
      throw networkError(
        "FRAME_MALFORMED",
        `a frame of ${length} bytes is shorter than its header`,
      );
    }
    return length;
  }

  /** Moves bytes into the partial frame; returns the position behind them. */
  #complete(chunk: Uint8Array, at: number): number {
    let position = at;
    while (this.#partial === undefined && position < chunk.length) {
      this.#prefix |= (chunk[position++] as number) << (8 * this.#prefixFilled++);
      if (this.#prefixFilled === LENGTH_BYTES) {
        const length = this.#checked(this.#prefix >>> 0);
        this.#wholeBytes = LENGTH_BYTES + length;
        this.#partial = new Uint8Array(Math.min(this.#wholeBytes, FIRST_BYTES));
        writeU32(this.#partial, 0, length);
        this.#filled = LENGTH_BYTES;
        this.#prefix = 0;
        this.#prefixFilled = 0;
      }
    }
    if (this.#partial !== undefined) {
      const taken = Math.min(this.#wholeBytes - this.#filled, chunk.length - position);
      this.#room(this.#partial, this.#filled + taken).set(
        chunk.subarray(position, position + taken),
        this.#filled,
      );
      this.#filled += taken;
      position += taken;
    }
    return position;
  }

  /** The partial frame, grown to hold `bytes`: at least doubled, so that copying stays cheap. */
  #room(partial: Uint8Array, bytes: number): Uint8Array {
    if (bytes <= partial.length) return partial;
    const grown = Math.max(bytes, 2 * partial.length);
    const larger = new Uint8Array(Math.min(grown, this.#wholeBytes));
    larger.set(partial);
    this.#partial = larger;
    return larger;
  }

  #takeWhole(): Uint8Array | undefined {
    if (this.#partial === undefined || this.#filled < this.#wholeBytes) return undefined;
    const whole = this.#partial;
    this.#partial = undefined;
    this.#filled = 0;
    return whole;
  }
}
