/**
 * Words: single KCP segments that carry no data, read and written by themselves, and what must be known of a
 * datagram before or beside the machine that takes it in.
 *
 * WASK and WINS have a sequence number and a timestamp that every receiver ignores. A dial uses them: it greets with a
 * WASK, in which `ts` is a nonce; our listener answers with a WINS that bears a cookie in the two, or a refusal; the
 * dial brings the cookie back in a second WASK. kcp-go takes the greeting for what it says, and answers with its window.
 */

import { readU32, writeU32 } from "@testudo/core";
import {
  ACK,
  ASK_WINDOW,
  PUSH,
  readInt,
  SEGMENT_HEADER,
  TELL_WINDOW,
  writeHeader,
} from "../kcp/segment.ts";

/** The `sn` of a WINS that says: nobody listens here, or there is no room. Even, and so no cookie's. */
const REFUSED = 0xffff_fffe;
const COMMAND_AT = 4;
const WND_AT = 6;
const TS_AT = 8;
const SN_AT = 12;
const UNA_AT = 16;
const LENGTH_AT = 20;

/** Numbers are unsigned. */
export interface Word {
  readonly conv: number;
  readonly command: number;
  readonly wnd: number;
  readonly ts: number;
  readonly sn: number;
  readonly una: number;
}

/** Two numbers of 32 bits that fit into a word. */
export interface Mark {
  readonly sn: number;
  readonly ts: number;
}

/** The header of the segment that begins at `at`, which the caller has seen to be there whole. */
export function readWord(packet: Uint8Array, at: number): Word {
  return {
    conv: readInt(packet, at) >>> 0,
    command: packet[at + COMMAND_AT] as number,
    wnd: (packet[at + WND_AT] as number) | ((packet[at + WND_AT + 1] as number) << 8),
    ts: readInt(packet, at + TS_AT) >>> 0,
    sn: readInt(packet, at + SN_AT) >>> 0,
    una: readInt(packet, at + UNA_AT) >>> 0,
  };
}

function word(
  conv: number,
  command: number,
  wnd: number,
  { sn, ts }: Mark,
  una: number,
): Uint8Array {
  const segment = new Uint8Array(SEGMENT_HEADER);
  writeHeader(segment, 0, conv, command, 0, wnd, ts, sn, una, 0);
  return segment;
}

/** Is anybody there? `mark` is a cookie, or the nonce as `ts` with an `sn` of 0. */
export function greeting(conv: number, wnd: number, mark: Mark): Uint8Array {
  return word(conv, ASK_WINDOW, wnd, mark, 0);
}

/** A live session's question whether the other side is there. What it says of our window must be true. */
export function question(conv: number, wnd: number, una: number): Uint8Array {
  return word(conv, ASK_WINDOW, wnd, { sn: 0, ts: 0 }, una);
}

/** A listener's answer to a greeting, as long as the greeting. */
export function answer(conv: number, wnd: number, mark: Mark): Uint8Array {
  return word(conv, TELL_WINDOW, wnd, mark, 0);
}

/** The mark of an answer that refuses the greeting with this nonce. */
export function refusal(nonce: number): Mark {
  return { sn: REFUSED, ts: nonce };
}

export function isGreeting({ command, una }: Word): boolean {
  return command === ASK_WINDOW && una === 0;
}

export function isRefusal({ command, sn, ts }: Word, nonce: number): boolean {
  return command === TELL_WINDOW && sn === REFUSED && ts === nonce;
}

/** A conversation as bytes, for its cookie. */
export function convBytes(conv: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, conv);
  return bytes;
}

/** 63 bits of a cookie. Odd, so that it is neither what a live session says nor a refusal. */
export function cookieMark(cookie: Uint8Array): Mark {
  return { sn: (readU32(cookie, 0) | 1) >>> 0, ts: readU32(cookie, 4) };
}

/** In constant time. */
export function sameMark(a: Mark, b: Mark): boolean {
  return ((a.sn ^ b.sn) | (a.ts ^ b.ts)) === 0;
}

/** The cookie in an answer; a live session's word on its window has none. */
export function cookieIn({ command, sn, ts }: Word): Mark | undefined {
  return command === TELL_WINDOW && sn % 2 === 1 ? { sn, ts } : undefined;
}

/** Calls back with where each segment of a datagram begins, as far as it can be read. */
function eachSegment(datagram: Uint8Array, visit: (at: number) => void): void {
  for (let at = 0; datagram.length - at >= SEGMENT_HEADER; ) {
    const size = readInt(datagram, at + LENGTH_AT);
    if (size < 0 || size > datagram.length - at - SEGMENT_HEADER) return;
    visit(at);
    at += SEGMENT_HEADER + size;
  }
}

export function carriesData(datagram: Uint8Array): boolean {
  let found = false;
  eachSegment(datagram, (at) => {
    found ||= datagram[at + COMMAND_AT] === PUSH;
  });
  return found;
}

/** Whether it acknowledges a segment that was sent between `from` and `until`, both clocks as on the wire. */
export function acknowledges(datagram: Uint8Array, from: number, until: number): boolean {
  let found = false;
  eachSegment(datagram, (at) => {
    if (datagram[at + COMMAND_AT] !== ACK) return;
    const ts = readInt(datagram, at + TS_AT);
    found ||= ((ts - from) | 0) >= 0 && ((until - ts) | 0) >= 0;
  });
  return found;
}

/**
 * Takes out of a rebuilt datagram, in place, what its lateness makes untrue: the window, in place of which stands the one
 * that is known, and the timestamps of acknowledgements, which would tell a round trip.
 */
export function withoutTimes(datagram: Uint8Array, knownWindow: number): void {
  eachSegment(datagram, (at) => {
    datagram[at + WND_AT] = knownWindow;
    datagram[at + WND_AT + 1] = knownWindow >> 8;
    if (datagram[at + COMMAND_AT] !== ACK) return;
    writeU32(datagram, at + TS_AT, readU32(datagram, at + TS_AT) ^ 0x8000_0000);
  });
}
