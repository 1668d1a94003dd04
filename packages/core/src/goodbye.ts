/**
 * Goodbye: the close code and text that end a stream (carrier's opcode 14).
 *
 * Body: `u16 code · UTF-8 text`. Numbers are fixed for ever; an unknown one reads as `STREAM_CLOSED`, so
 * that newer nodes may say more than older ones understand.
 */

import { concat, fromUtf8, readU16, toUtf8, writeU16 } from "./bytes.ts";
import {
  type ErrorCode,
  type ErrorDetails,
  type NetworkError,
  networkError,
  quietError,
} from "./errors.ts";

const NUMBERS: Readonly<Partial<Record<ErrorCode, number>>> = {
  STREAM_CLOSED: 0,
  NETWORK_CLOSED: 1,
  PEER_REFUSED: 2,
  TOO_MANY_PEERS: 3,
  PEER_UNEXPECTED: 4,
  FRAME_TOO_LARGE: 5,
  FRAME_MALFORMED: 6,
  CHECKSUM_MISMATCH: 7,
  BODY_MALFORMED: 8,
  TRUNCATED: 9,
  STREAM_IDLE: 10,
  SEND_BUFFER_FULL: 11,
  SELF_DIAL: 12,
  HANDSHAKE_TIMEOUT: 13,
  HANDSHAKE_FAILED: 14,
};

/** Longest text sent, in bytes; a longer one is cut, a longer one received is malformed. */
export const MAX_GOODBYE_TEXT = 256;

export interface Goodbye {
  readonly code: ErrorCode;
  readonly text: string;
}

export function encodeGoodbye({ code, text }: Goodbye): Uint8Array {
  const number = new Uint8Array(2);
  writeU16(number, 0, NUMBERS[code] ?? 0);
  let bytes = toUtf8(text);
  for (let end = MAX_GOODBYE_TEXT; bytes.length > MAX_GOODBYE_TEXT; end--) {
    const cut = bytes.subarray(0, end);
    if (fromUtf8(cut) !== undefined) bytes = cut;
  }
  return concat(number, bytes);
}

/** Throws `BODY_MALFORMED`. */
export function decodeGoodbye(body: Uint8Array): Goodbye {
  const text = body.length < 2 ? undefined : fromUtf8(body.subarray(2));
  if (text === undefined || body.length > 2 + MAX_GOODBYE_TEXT) {
    throw networkError("BODY_MALFORMED", "a goodbye cannot be read");
  }
  const number = readU16(body, 0);
  const known = Object.entries(NUMBERS).find(([, value]) => value === number);
  return { code: (known?.[0] as ErrorCode | undefined) ?? "STREAM_CLOSED", text };
}

/** The other side's goodbye as the reason of an end. */
export function saidByPeer({ code, text }: Goodbye): NetworkError {
  return quietError(code, `closed by the peer: ${text === "" ? "no reason given" : text}`);
}

/** Our own goodbye as the reason of an end. */
export function saidByUs({ code, text }: Goodbye, details: ErrorDetails = {}): NetworkError {
  return quietError(code, `closed by this node: ${text}`, details);
}
