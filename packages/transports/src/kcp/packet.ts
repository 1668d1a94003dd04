/**
 * Packets: what the transport `kcp` puts into a UDP datagram, little endian (docs/kcp.md has the table).
 *
 * Every packet is `u8 type · u64 id · …`, where the id is the receiver's own; only an open, whose receiver has
 * none yet, has the protocol's name in its place. Decoders are pure and strict: `undefined` for anything that
 * is not exactly what we would have sent. What follows the nine bytes of data packets is read elsewhere.
 */

import { EMPTY, equal, isZero, readU16, readU32, toUtf8, writeU16 } from "@testudo/core";

export const TYPES = {
  open: 1,
  retry: 2,
  accept: 3,
  /** KCP segments. */
  data: 4,
  /** KCP segments under forward error correction, or its parity. */
  coded: 5,
  /** A part of a `data` or `coded` packet that has become too large for the path. */
  piece: 6,
  ping: 7,
  pong: 8,
  done: 9,
  reset: 10,
  datagram: 11,
} as const;

export const HEADER_BYTES = 9;
const ID_BYTES = 8;
export const COOKIE_BYTES = 24;
export const NONCE_BYTES = 8;

/** Longer than every answer to it, so that nobody is sent more than came in their name. */
export const OPEN_BYTES = 64;
const RETRY_BYTES: number = HEADER_BYTES + COOKIE_BYTES;
const ACCEPT_BYTES: number = HEADER_BYTES + ID_BYTES + 4;
const PONG_BYTES: number = HEADER_BYTES + NONCE_BYTES;
const DONE_BYTES: number = HEADER_BYTES + 1;
const RESET_BYTES: number = HEADER_BYTES + 2;

/** In the place of an id. A later version has another name. */
const PROTOCOL: Uint8Array = /* @__PURE__ */ toUtf8("testudo1");

/** A connection's name at one of its ends: 64 random bits, not 0. */
export interface ConnectionId {
  readonly bytes: Uint8Array;
  readonly low: number;
  readonly high: number;
}

/** What a side offers, or what was agreed. */
export interface Terms {
  /** The largest UDP payload it takes. */
  readonly mtu: number;
  /** Packets of data and of parity in a group; both 0 for no correction. */
  readonly fecData: number;
  readonly fecParity: number;
}

export interface Open extends Terms {
  readonly id: ConnectionId;
  readonly cookie: Uint8Array | undefined;
}

export interface Accept extends Terms {
  /** The listener's. */
  readonly id: ConnectionId;
}

/** Why a connection is reset: cut by its owner, nobody listens, or no room. */
export type ResetReason = "cut" | "refused" | "full";
const REASONS: readonly ResetReason[] = ["cut", "refused", "full"];

export function readId(packet: Uint8Array, at: number): ConnectionId {
  const bytes = packet.slice(at, at + ID_BYTES);
  return { bytes, low: readU32(bytes, 0), high: readU32(bytes, 4) };
}

/** `u8 type · u64 id`. */
export function header(type: number, id: ConnectionId, length: number = HEADER_BYTES): Uint8Array {
  const packet = new Uint8Array(length);
  packet[0] = type;
  packet.set(id.bytes, 1);
  return packet;
}

export function encodeOpen(open: Open): Uint8Array {
  const packet = new Uint8Array(OPEN_BYTES);
  packet[0] = TYPES.open;
  packet.set(PROTOCOL, 1);
  packet.set(open.id.bytes, 9);
  writeTerms(packet, 17, open);
  const cookie = open.cookie ?? EMPTY;
  packet[21] = cookie.length;
  packet.set(cookie, 22);
  return packet;
}

export function decodeOpen(packet: Uint8Array): Open | undefined {
  if (packet.length !== OPEN_BYTES || packet[0] !== TYPES.open) return undefined;
  if (!equal(packet.subarray(1, 9), PROTOCOL)) return undefined;
  const id = readId(packet, 9);
  const terms = readTerms(packet, 17);
  const length = packet[21] as number;
  if (terms === undefined || (length !== 0 && length !== COOKIE_BYTES)) return undefined;
  const end = 22 + length;
  if (isZero(id.bytes) || !isZero(packet.subarray(end))) return undefined;
  return { ...terms, id, cookie: length === 0 ? undefined : packet.slice(22, end) };
}

export function encodeRetry(id: ConnectionId, cookie: Uint8Array): Uint8Array {
  const packet = header(TYPES.retry, id, RETRY_BYTES);
  packet.set(cookie, HEADER_BYTES);
  return packet;
}

export function decodeRetry(packet: Uint8Array): Uint8Array | undefined {
  if (packet.length !== RETRY_BYTES || packet[0] !== TYPES.retry) return undefined;
  return packet.slice(HEADER_BYTES);
}

export function encodeAccept(to: ConnectionId, accept: Accept): Uint8Array {
  const packet = header(TYPES.accept, to, ACCEPT_BYTES);
  packet.set(accept.id.bytes, HEADER_BYTES);
  writeTerms(packet, HEADER_BYTES + ID_BYTES, accept);
  return packet;
}

export function decodeAccept(packet: Uint8Array): Accept | undefined {
  if (packet.length !== ACCEPT_BYTES || packet[0] !== TYPES.accept) return undefined;
  const id = readId(packet, HEADER_BYTES);
  const terms = readTerms(packet, HEADER_BYTES + ID_BYTES);
  return terms === undefined || isZero(id.bytes) ? undefined : { ...terms, id };
}

/** `length` pads it with zeros: a pong has no padding, so a long ping asks whether such datagrams get through. */
export function encodePing(id: ConnectionId, nonce: Uint8Array, length: number = 0): Uint8Array {
  const packet = header(TYPES.ping, id, Math.max(length, PONG_BYTES));
  packet.set(nonce, HEADER_BYTES);
  return packet;
}

/** The nonce, which the pong repeats. */
export function decodePing(packet: Uint8Array): Uint8Array | undefined {
  if (packet.length < PONG_BYTES || packet[0] !== TYPES.ping) return undefined;
  return packet.slice(HEADER_BYTES, PONG_BYTES);
}

export function encodePong(id: ConnectionId, nonce: Uint8Array): Uint8Array {
  const packet = header(TYPES.pong, id, PONG_BYTES);
  packet.set(nonce, HEADER_BYTES);
  return packet;
}

export function decodePong(packet: Uint8Array): Uint8Array | undefined {
  if (packet.length !== PONG_BYTES || packet[0] !== TYPES.pong) return undefined;
  return packet.slice(HEADER_BYTES);
}

/** All of both directions has arrived. `answer`: to one that said so before, and is not to be answered. */
export function encodeDone(id: ConnectionId, answer: boolean): Uint8Array {
  const packet = header(TYPES.done, id, DONE_BYTES);
  packet[HEADER_BYTES] = answer ? 1 : 0;
  return packet;
}

export function decodeDone(packet: Uint8Array): { readonly answer: boolean } | undefined {
  if (packet.length !== DONE_BYTES || packet[0] !== TYPES.done) return undefined;
  return readAnswer(packet);
}

export function encodeReset(id: ConnectionId, reason: ResetReason, answer: boolean): Uint8Array {
  const packet = header(TYPES.reset, id, RESET_BYTES);
  packet[HEADER_BYTES] = answer ? 1 : 0;
  packet[HEADER_BYTES + 1] = REASONS.indexOf(reason);
  return packet;
}

export function decodeReset(
  packet: Uint8Array,
): { readonly answer: boolean; readonly reason: ResetReason } | undefined {
  if (packet.length !== RESET_BYTES || packet[0] !== TYPES.reset) return undefined;
  const reason = REASONS[packet[HEADER_BYTES + 1] as number];
  const answer = readAnswer(packet);
  return reason === undefined || answer === undefined ? undefined : { ...answer, reason };
}

function readAnswer(packet: Uint8Array): { readonly answer: boolean } | undefined {
  const flag = packet[HEADER_BYTES] as number;
  return flag > 1 ? undefined : { answer: flag === 1 };
}

function writeTerms(packet: Uint8Array, at: number, terms: Terms): void {
  writeU16(packet, at, terms.mtu);
  packet[at + 2] = terms.fecData;
  packet[at + 3] = terms.fecParity;
}

/** The smallest datagram every path carries is this long; terms below it are no terms. */
export const LEAST_MTU = 548;
/** Packets in a group of forward error correction at most. */
export const MOST_FEC_GROUP = 64;

function readTerms(packet: Uint8Array, at: number): Terms | undefined {
  const mtu = readU16(packet, at);
  const fecData = packet[at + 2] as number;
  const fecParity = packet[at + 3] as number;
  if (mtu < LEAST_MTU || fecData + fecParity > MOST_FEC_GROUP) return undefined;
  if ((fecData === 0) !== (fecParity === 0)) return undefined;
  return { mtu, fecData, fecParity };
}
