/**
 * Channel frames: the body of opcode `bytes`, little endian (docs/protocol.md).
 *
 * `u8 kind · u32 channel`, then by kind: open `u32 credit · name`, accept `u32 credit`, data `bytes`,
 * credit `u32 bytes`, end nothing, reset `u16 code · reason`. Texts are UTF-8. Nothing here keeps state.
 */

import { fromUtf8, readU16, readU32, toUtf8, writeU16, writeU32 } from "./bytes.ts";
import { type NetworkError, networkError } from "./errors.ts";

export const KINDS = { open: 0, accept: 1, data: 2, credit: 3, end: 4, reset: 5 } as const;

/** Why a channel was reset. An unknown code means the same as `aborted`. */
export const RESETS = {
  /** Cut by its user: what was under way in either direction is void. */
  aborted: 0,
  /** The open was refused. */
  refused: 1,
  /** The sender ended, waited for our end, and now leaves; what it sent stands. */
  closed: 2,
} as const;

export const HEADER_BYTES = 5;
/** Payload of one data frame as we send it; a larger one is accepted when credit covers it. */
export const MAX_DATA_BYTES: number = 32 * 1024;
const MAX_NAME_BYTES = 256;
const MAX_REASON_BYTES = 256;
export const MAX_U32 = 0xffff_ffff;

type Kind = (typeof KINDS)[keyof typeof KINDS];

export function malformed(what: string): NetworkError {
  return networkError("FRAME_MALFORMED", `a channel frame ${what}`);
}

/** The header alone: a whole `end` frame, or the first piece of a `data` frame. */
export function encodeHeader(kind: Kind, id: number, bodyBytes = 0): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + bodyBytes);
  frame[0] = kind;
  writeU32(frame, 1, id);
  return frame;
}

/** An `accept` or a `credit`: how many bytes the other side may send (more). */
export function encodeCredit(kind: 1 | 3, id: number, credit: number): Uint8Array {
  const frame = encodeHeader(kind, id, 4);
  writeU32(frame, HEADER_BYTES, credit);
  return frame;
}

export function encodeOpen(id: number, credit: number, name: Uint8Array): Uint8Array {
  const frame = encodeHeader(KINDS.open, id, 4 + name.length);
  writeU32(frame, HEADER_BYTES, credit);
  frame.set(name, HEADER_BYTES + 4);
  return frame;
}

/** The reason is cut, between two characters, to what fits. */
export function encodeReset(id: number, code: number, reason: string): Uint8Array {
  const text = toUtf8(reason);
  let length = Math.min(text.length, MAX_REASON_BYTES);
  if (length < text.length) while (((text[length] as number) & 0xc0) === 0x80) length--;
  const frame = encodeHeader(KINDS.reset, id, 2 + length);
  writeU16(frame, HEADER_BYTES, code);
  frame.set(text.subarray(0, length), HEADER_BYTES + 2);
  return frame;
}

/** Throws `TypeError` unless the name is 1-256 bytes of UTF-8 that survive the journey unchanged. */
export function encodeName(name: string): Uint8Array {
  if (typeof name !== "string") throw new TypeError("name must be a string");
  const bytes = toUtf8(name);
  if (bytes.length < 1 || bytes.length > MAX_NAME_BYTES) {
    throw new TypeError(`name must be 1 to ${MAX_NAME_BYTES} bytes of UTF-8, not ${bytes.length}`);
  }
  if (fromUtf8(bytes) !== name) throw new TypeError("name must be well-formed Unicode");
  return bytes;
}

/** Throws `FRAME_MALFORMED`, as all decoders here do. */
export function decodeOpen(body: Uint8Array): { credit: number; name: string } {
  const at = HEADER_BYTES + 4;
  if (body.length <= at || body.length > at + MAX_NAME_BYTES) {
    throw malformed("opens a channel with a name of a wrong length");
  }
  const name = fromUtf8(body.subarray(at));
  if (name === undefined) throw malformed("opens a channel with an unreadable name");
  return { credit: readU32(body, HEADER_BYTES), name };
}

export function decodeCredit(body: Uint8Array): number {
  if (body.length !== HEADER_BYTES + 4) throw malformed("grants credit in a wrong length");
  return readU32(body, HEADER_BYTES);
}

export function decodeReset(body: Uint8Array): { code: number; reason: string } {
  const at = HEADER_BYTES + 2;
  if (body.length < at || body.length > at + MAX_REASON_BYTES) {
    throw malformed("resets a channel with a reason of a wrong length");
  }
  const reason = fromUtf8(body.subarray(at));
  if (reason === undefined) throw malformed("resets a channel with an unreadable reason");
  return { code: readU16(body, HEADER_BYTES), reason };
}
