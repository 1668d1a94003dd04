/**
 * The boxes of `gzip`: plaintext in runs, each deflated on what went before it, or stored.
 *
 *     box      u32 header, little endian: length of the payload (lower 24 bits) | kind << 24 · payload
 *     kind 0   stored: the payload is the run, 1 to 65,536 bytes
 *     kind 1   deflated: one complete DEFLATE stream (RFC 1951, the one inside gzip) whose dictionary is the
 *              last 32,768 bytes of plaintext in this direction, then zeros so that the run is at most 64
 *              times the payload; the run has 1 to 65,536 bytes, the payload less
 *     kind 2   the goodbye, without a payload
 *
 * There is no header and no checksum of gzip's own: a box may then go on where the one before it stopped,
 * which makes a message of 300 bytes six times smaller than a gzip member does, and sealing never waits for more.
 * The bound of 64 is what a receiver can rely on before it knows who is there. This file never inflates
 * beyond it, and keeps one box and two windows at most.
 */

import { deflateRawSync, inflateRawSync, type ZlibOptions } from "node:zlib";
import {
  asError,
  concat,
  EMPTY,
  isZero,
  type NetworkError,
  networkError,
  readU32,
  type Session,
  writeU32,
} from "@testudo/core";
import { Gather } from "../gather.ts";

export const BOX_BYTES = 65_536;
export const MAX_EXPANSION = 64;
const HEADER_BYTES = 4;
const WINDOW_BYTES = 32_768;
const KINDS = { stored: 0, deflated: 1, goodbye: 2 } as const;
/** The shortest match is three bytes, and a stream of its own costs two. */
const MIN_DEFLATED_BYTES = 8;
/** Runs this long are worth sparing: after one that got no smaller, 1, 2, 4 … of them are stored unseen. */
const LONG_BYTES = 4_096;
const MOST_SKIPPED = 32;
/** What zlib may fill before it needs more room; much more than the result would be kept with it. */
const LEAST_CHUNK_BYTES = 64;

/** A box of which the header is known. */
interface Box {
  readonly kind: number;
  readonly payload: Gather;
}

/** The end of what was said in one direction. Made when first needed. */
class Window {
  #buffer: Uint8Array = EMPTY;
  #length = 0;

  add(plain: Uint8Array): void {
    if (this.#buffer.length === 0) this.#buffer = new Uint8Array(2 * WINDOW_BYTES);
    const tail = plain.subarray(Math.max(0, plain.length - WINDOW_BYTES));
    if (this.#length + tail.length > this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#length - WINDOW_BYTES, this.#length);
      this.#length = WINDOW_BYTES;
    }
    this.#buffer.set(tail, this.#length);
    this.#length += tail.length;
  }

  /** Options with the window as the dictionary, if there is anything in it. */
  with(options: ZlibOptions): ZlibOptions {
    if (this.#length === 0) return options;
    const from = Math.max(0, this.#length - WINDOW_BYTES);
    return { ...options, dictionary: this.#buffer.subarray(from, this.#length) };
  }
}

export class GzipSession implements Session {
  readonly remoteKey: undefined;
  readonly boxBytes: number = BOX_BYTES;
  readonly #level: number;
  readonly #maxOutputBytes: number;
  readonly #said = new Window();
  readonly #heard = new Window();
  readonly #header: Uint8Array = new Uint8Array(HEADER_BYTES);
  #headerFilled = 0;
  #box: Box | undefined;
  #skip = 0;
  #nextSkip = 1;
  #goodbyeSaid = false;
  #ended = false;
  #broken: NetworkError | undefined;

  constructor(level: number, maxOutputBytes: number) {
    this.#level = level;
    this.#maxOutputBytes = maxOutputBytes;
  }

  /** Throws `TypeError` after `end()`. An empty run gives no box. */
  seal(plain: readonly Uint8Array[]): Uint8Array[] {
    if (this.#goodbyeSaid) throw new TypeError("nothing may be sealed after the goodbye");
    const whole = concat(...plain);
    const sealed: Uint8Array[] = [];
    for (let at = 0; at < whole.length; at += BOX_BYTES) {
      const run = whole.subarray(at, at + BOX_BYTES);
      const deflated = this.#deflate(run);
      this.#said.add(run);
      if (deflated === undefined) sealed.push(header(KINDS.stored, run.length), run);
      else sealed.push(header(KINDS.deflated, deflated.length), deflated);
    }
    return sealed;
  }

  /**
   * Throws `ProtocolError`, and from then on always the same one: `FRAME_MALFORMED`, or `FRAME_TOO_LARGE` for
   * what opens into more than it may. Bytes after the goodbye are ignored.
   */
  open(chunk: Uint8Array): Uint8Array[] {
    if (this.#broken !== undefined) throw this.#broken;
    const opened: Uint8Array[] = [];
    let room = this.#maxOutputBytes;
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      const box = this.#box;
      if (box === undefined) {
        const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerFilled);
        at += part.length;
        this.#header.set(part, this.#headerFilled);
        this.#headerFilled += part.length;
        if (this.#headerFilled === HEADER_BYTES) this.#begin();
        continue;
      }
      const part = chunk.subarray(at, at + box.payload.missing);
      at += part.length;
      const payload = box.payload.take(part);
      if (payload === undefined) continue;
      this.#box = undefined;
      const plain = box.kind === KINDS.stored ? payload : this.#inflate(payload, room);
      room -= plain.length;
      if (room < 0) throw this.#fail(tooLarge());
      this.#heard.add(plain);
      opened.push(plain);
    }
    return opened;
  }

  /** Four bytes the first time, none when the goodbye was already made. */
  end(): Uint8Array {
    if (this.#goodbyeSaid) return EMPTY;
    this.#goodbyeSaid = true;
    return header(KINDS.goodbye, 0);
  }

  get ended(): boolean {
    return this.#ended;
  }

  #begin(): void {
    const word = readU32(this.#header, 0);
    const [kind, length] = [word >>> 24, word & 0xff_ffff];
    this.#headerFilled = 0;
    if (kind === KINDS.goodbye && length === 0) {
      this.#ended = true;
    } else if (kind > KINDS.deflated || length === 0 || length > BOX_BYTES) {
      throw this.#fail(malformed());
    } else {
      this.#box = { kind, payload: new Gather(length) };
    }
  }

  /** The payload of a deflated box, or `undefined` where storing is no longer. */
  #deflate(run: Uint8Array): Uint8Array | undefined {
    const long = run.length >= LONG_BYTES;
    if (run.length < MIN_DEFLATED_BYTES || (long && this.#skip > 0)) {
      if (long) this.#skip--;
      return undefined;
    }
    const chunkSize = Math.min(run.length, LONG_BYTES) + LEAST_CHUNK_BYTES;
    const deflated = deflateRawSync(run, this.#said.with({ level: this.#level, chunkSize }));
    const length = Math.max(deflated.length, leastPayload(run.length));
    if (long) {
      this.#skip = length < run.length ? 0 : this.#nextSkip;
      this.#nextSkip = length < run.length ? 1 : Math.min(2 * this.#nextSkip, MOST_SKIPPED);
    }
    if (length >= run.length) return undefined;
    if (length === deflated.length) return deflated;
    const padded = new Uint8Array(length);
    padded.set(deflated);
    return padded;
  }

  #inflate(payload: Uint8Array, room: number): Uint8Array {
    const most = Math.min(BOX_BYTES, MAX_EXPANSION * payload.length, room);
    if (most === 0) throw this.#fail(tooLarge());
    const chunkSize = Math.min(4 * payload.length, BOX_BYTES) + LEAST_CHUNK_BYTES;
    let plain: Uint8Array;
    let read: number;
    try {
      const inflated = inflateRawSync(
        payload,
        this.#heard.with({ maxOutputLength: most, chunkSize, info: true }),
      );
      ({
        buffer: plain,
        engine: { bytesWritten: read },
      } = inflated as unknown as { buffer: Uint8Array; engine: { bytesWritten: number } });
    } catch (cause) {
      const { code } = asError(cause) as { code?: unknown };
      throw this.#fail(code === "ERR_BUFFER_TOO_LARGE" ? tooLarge(cause) : malformed(cause));
    }
    // One plaintext has one form, as far as can be told: nothing hides in a box.
    const length = Math.max(read, leastPayload(plain.length));
    if (payload.length !== length || length >= plain.length || !isZero(payload.subarray(read))) {
      throw this.#fail(malformed());
    }
    return plain;
  }

  #fail(error: NetworkError): NetworkError {
    this.#broken = error;
    this.#box = undefined;
    return error;
  }
}

function header(kind: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  writeU32(bytes, 0, ((kind << 24) | length) >>> 0);
  return bytes;
}

function leastPayload(plainBytes: number): number {
  return Math.ceil(plainBytes / MAX_EXPANSION);
}

function malformed(cause?: unknown): NetworkError {
  return networkError("FRAME_MALFORMED", "a gzip box cannot be read", { cause });
}

function tooLarge(cause?: unknown): NetworkError {
  return networkError("FRAME_TOO_LARGE", "a gzip box opens into more than it may", { cause });
}
