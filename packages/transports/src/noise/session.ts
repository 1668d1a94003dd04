/**
 * The noise session: boxes after the handshake (Noise revision 34, §5.1, §11.3, §13, §14).
 *
 * A box is a 2-byte little-endian length and that many bytes: ciphertext, then a tag of 16. An empty
 * plaintext is the goodbye. Each direction has its own key, counting nonce and rekey. Synchronous, no
 * socket, no clock. It never releases a byte before its box's tag was verified, and never keeps more memory
 * for an unfinished box than twice its 64 KiB, whatever the pieces it arrives in.
 */

import {
  concat,
  EMPTY,
  networkError,
  readU16,
  type Session,
  toUtf8,
  writeU16,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { type CipherState, KEY_BYTES, TAG_BYTES } from "./cipher.ts";
import type { SplitKeys } from "./handshake.ts";

const HEADER_BYTES = 2;
const MAX_BOX_BYTES = 65_535;
/** Plaintext of a full box. */
export const BOX_PLAIN_BYTES: number = MAX_BOX_BYTES - TAG_BYTES;

/** Up to here one copy is cheaper than handing the socket header, ciphertext and tag one by one (measured). */
const JOIN_BYTES = 4 * 1024;
/** Joined boxes share allocations of this size, since a small one of its own costs more than its copy. */
const SLAB_BYTES = 32 * 1024;
/** Plaintext pieces below this are joined before the cipher: a copy costs less than a native call. */
const SMALL_PIECE_BYTES = 2 * 1024;
/** Pieces of a partial box below this are copied together, so that a dripping sender costs no array a byte. */
const GATHER_BYTES = 4 * 1024;

/** After so many boxes or bytes a direction changes its key, whichever comes first. */
export interface RekeyLimits {
  readonly boxes: number;
  readonly bytes: number;
}

const REKEY: RekeyLimits = { boxes: 2 ** 20, bytes: 64 * 2 ** 30 };

export interface NoiseSessionParameters {
  readonly keys: SplitKeys;
  /** The hash of the whole handshake. */
  readonly handshakeHash: Uint8Array;
  /** The Ed25519 key the other side proved. */
  readonly remoteKey: Uint8Array;
  readonly offer: Uint8Array;
  /** Default 2^20 boxes or 64 GiB; both ends must have the same. Only tests choose it. */
  readonly rekey?: RekeyLimits;
}

/** One direction: its cipher, and how much went through it since its last key. */
class Direction {
  readonly #cipher: CipherState;
  readonly #limits: RekeyLimits;
  #boxes = 0;
  #bytes = 0;

  constructor(cipher: CipherState, limits: RekeyLimits) {
    this.#cipher = cipher;
    this.#limits = limits;
  }

  seal(plain: readonly Uint8Array[], bytes: number): Uint8Array[] {
    const sealed = this.#cipher.seal(EMPTY, plain);
    this.#passed(bytes);
    return sealed;
  }

  open(sealed: readonly Uint8Array[], bytes: number): Uint8Array[] | undefined {
    const plain = this.#cipher.open(EMPTY, sealed);
    if (plain !== undefined) this.#passed(bytes);
    return plain;
  }

  #passed(bytes: number): void {
    this.#boxes++;
    this.#bytes += bytes;
    if (this.#boxes < this.#limits.boxes && this.#bytes < this.#limits.bytes) return;
    this.#boxes = 0;
    this.#bytes = 0;
    this.#cipher.rekey();
  }
}

export class NoiseSession implements Session {
  readonly remoteKey: Uint8Array;
  readonly boxBytes: number = BOX_PLAIN_BYTES;
  /** What the other side put into the offer field of its handshake; may be empty. */
  readonly offer: Uint8Array;
  readonly #sealing: Direction;
  readonly #opening: Direction;
  /** The exporter's secret, then the handshake's hash. */
  readonly #exporter: Uint8Array;
  readonly #partial = new PartialBox();
  #goodbyeSent = false;
  #goodbyeSeen = false;
  #failure: Error | undefined;

  constructor(parameters: NoiseSessionParameters) {
    const { keys, rekey = REKEY } = parameters;
    this.remoteKey = parameters.remoteKey;
    this.offer = parameters.offer;
    this.#sealing = new Direction(keys.seal, rekey);
    this.#opening = new Direction(keys.open, rekey);
    this.#exporter = concat(keys.exporter, parameters.handshakeHash);
  }

  get ended(): boolean {
    return this.#goodbyeSeen;
  }

  /** As `Session.seal`; nothing at all for an empty run, since an empty box is the goodbye. Throws `STREAM_CLOSED` after `end`. */
  seal(plain: readonly Uint8Array[]): Uint8Array[] {
    if (this.#goodbyeSent) {
      throw networkError("STREAM_CLOSED", "noise: the goodbye is sealed, nothing may follow it");
    }
    let total = 0;
    for (const piece of plain) total += piece.length;
    if (total === 0) return [];
    const boxes: Uint8Array[] = [];
    if (total <= BOX_PLAIN_BYTES) {
      this.#sealBox(plain, total, boxes);
      return boxes;
    }
    let run: Uint8Array[] = [];
    let room = BOX_PLAIN_BYTES;
    for (const piece of plain) {
      let rest = piece;
      while (rest.length >= room) {
        run.push(rest.subarray(0, room));
        rest = rest.subarray(room);
        this.#sealBox(run, BOX_PLAIN_BYTES, boxes);
        run = [];
        room = BOX_PLAIN_BYTES;
      }
      if (rest.length > 0) run.push(rest);
      room -= rest.length;
    }
    if (run.length > 0) this.#sealBox(run, BOX_PLAIN_BYTES - room, boxes);
    return boxes;
  }

  /**
   * As `Session.open`; `chunk` must not change afterwards. Throws `ProtocolError` `FRAME_MALFORMED` for a
   * box that fails its tag, is shorter than a tag, or follows the goodbye, and again at every later call.
   */
  open(chunk: Uint8Array): Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    const plain: Uint8Array[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#goodbyeSeen) throw this.#fail("bytes follow the other side's goodbye");
      const whole = wholeBox(rest);
      if (whole > 0 && this.#partial.empty) {
        this.#openBox([rest.subarray(HEADER_BYTES, whole)], whole - HEADER_BYTES, plain);
        rest = rest.subarray(whole);
        continue;
      }
      rest = this.#partial.push(rest);
      const { length } = this.#partial;
      if (length !== undefined && length < TAG_BYTES) throw this.#fail("a box is too short");
      const box = this.#partial.take();
      if (box !== undefined) this.#openBox(box, length as number, plain);
    }
    return plain;
  }

  /** The empty box. Sealed once; a second call gives nothing to write. */
  end(): Uint8Array {
    if (this.#goodbyeSent) return EMPTY;
    const goodbye: Uint8Array[] = [];
    this.#sealBox([], 0, goodbye);
    this.#goodbyeSent = true;
    return goodbye[0] as Uint8Array;
  }

  /** The same 32 bytes on both ends for the same label, unrelated to the keys of the boxes and to other labels. */
  exportKey(label: string): Uint8Array {
    return provider.hkdf(
      "SHA256",
      this.#exporter.subarray(0, KEY_BYTES),
      this.#exporter.subarray(KEY_BYTES),
      toUtf8(`testudo/noise/1/export/${label}`),
      KEY_BYTES,
    );
  }

  #sealBox(pieces: readonly Uint8Array[], length: number, boxes: Uint8Array[]): void {
    const sealed = this.#sealing.seal(pieces.length === 1 ? pieces : joinSmall(pieces), length);
    const boxBytes = length + TAG_BYTES;
    if (boxBytes > JOIN_BYTES) {
      const header = new Uint8Array(HEADER_BYTES);
      writeU16(header, 0, boxBytes);
      boxes.push(header, ...sealed);
      return;
    }
    const box = allocate(HEADER_BYTES + boxBytes);
    writeU16(box, 0, boxBytes);
    let at = HEADER_BYTES;
    for (const piece of sealed) {
      box.set(piece, at);
      at += piece.length;
    }
    boxes.push(box);
  }

  #openBox(sealed: readonly Uint8Array[], length: number, plain: Uint8Array[]): void {
    if (length < TAG_BYTES) throw this.#fail("a box is too short");
    const pieces = this.#opening.open(sealed, length - TAG_BYTES);
    if (pieces === undefined) {
      throw this.#fail("authentication failed: a box was forged, replayed, reordered or altered");
    }
    if (length === TAG_BYTES) this.#goodbyeSeen = true;
    for (const piece of pieces) if (piece.length > 0) plain.push(piece);
  }

  #fail(why: string): Error {
    this.#failure = networkError("FRAME_MALFORMED", `noise: ${why}`);
    return this.#failure;
  }
}

/** The length of the box at the start of `bytes` with its header, or 0 when it is not all there. */
function wholeBox(bytes: Uint8Array): number {
  if (bytes.length < HEADER_BYTES) return 0;
  const length = HEADER_BYTES + readU16(bytes, 0);
  return length <= bytes.length ? length : 0;
}

/** Collects one box that arrives in several chunks, and no byte beyond it. */
class PartialBox {
  #header = 0;
  #headerBytes = 0;
  #missing = 0;
  #pieces: Uint8Array[] = [];
  #gather: Uint8Array | undefined;
  #gathered = 0;

  get empty(): boolean {
    return this.#headerBytes === 0;
  }

  /** The box's length, once its header is here. */
  get length(): number | undefined {
    return this.#headerBytes < HEADER_BYTES ? undefined : this.#header;
  }

  /** Takes what belongs to this box; gives back the rest. */
  push(bytes: Uint8Array): Uint8Array {
    let at = 0;
    while (this.#headerBytes < HEADER_BYTES && at < bytes.length) {
      this.#header |= (bytes[at++] as number) << (8 * this.#headerBytes++);
      if (this.#headerBytes === HEADER_BYTES) this.#missing = this.#header;
    }
    const ours = bytes.subarray(at, at + this.#missing);
    this.#missing -= ours.length;
    this.#keep(ours);
    return bytes.subarray(at + ours.length);
  }

  /** The finished box in pieces, or `undefined` while bytes are missing. */
  take(): Uint8Array[] | undefined {
    if (this.#headerBytes < HEADER_BYTES || this.#missing > 0) return undefined;
    this.#closeGather();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#header = 0;
    this.#headerBytes = 0;
    return pieces;
  }

  /**
   * Keeps a piece as it is only where it is big and most of the memory behind it: a view of a large
   * chunk would keep all of the chunk. The end of a box needs no copy, since it is opened at once.
   */
  #keep(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0) {
      const large = rest.length >= GATHER_BYTES && 2 * rest.length >= rest.buffer.byteLength;
      if (this.#missing === 0 || (large && this.#gather === undefined)) {
        this.#closeGather();
        this.#pieces.push(rest);
        return;
      }
      this.#gather ??= new Uint8Array(Math.min(GATHER_BYTES, rest.length + this.#missing));
      const part = rest.subarray(0, this.#gather.length - this.#gathered);
      this.#gather.set(part, this.#gathered);
      this.#gathered += part.length;
      rest = rest.subarray(part.length);
      if (this.#gathered === this.#gather.length) this.#closeGather();
    }
  }

  #closeGather(): void {
    if (this.#gather === undefined) return;
    this.#pieces.push(this.#gather.subarray(0, this.#gathered));
    this.#gather = undefined;
    this.#gathered = 0;
  }
}

let slab: Uint8Array = EMPTY;
let slabUsed = 0;

/** Fresh memory for a small box. A slab lives until the last of its boxes was written. */
function allocate(length: number): Uint8Array {
  if (slabUsed + length > slab.length) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  slabUsed += length;
  return slab.subarray(slabUsed - length, slabUsed);
}

let scratch: Uint8Array | undefined;

/**
 * The same run with its small pieces joined. They share one scratch of a box's size for the whole process:
 * the cipher is done with it before anything else can run, and returns bytes of its own.
 */
function joinSmall(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  if (pieces.length === 0) return pieces;
  scratch ??= new Uint8Array(BOX_PLAIN_BYTES);
  const joined: Uint8Array[] = [];
  let start = 0;
  let at = 0;
  for (const piece of pieces) {
    if (piece.length < SMALL_PIECE_BYTES) {
      scratch.set(piece, at);
      at += piece.length;
      continue;
    }
    if (at > start) joined.push(scratch.subarray(start, at));
    start = at;
    joined.push(piece);
  }
  if (at > start) joined.push(scratch.subarray(start, at));
  return joined;
}
