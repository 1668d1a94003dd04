/**
 * FEC: the packets of forward error correction, as kcp-go lays them out, and how their sequence numbers run.
 *
 * `u32 seqid · u16 type`, then for data and out-of-band packets `u16 size · datagram`, where size counts itself; for parity a shard
 * of parity over everything from `size` on. Little endian. The type lies where a plain KCP segment has its command, so the two can
 * be told apart. This file has no state: fec-encoder.ts and fec-decoder.ts have.
 */

import { readU16, readU32, writeU16, writeU32 } from "@testudo/core";

/** In front of a datagram. */
export const FEC_HEADER_BYTES = 8;
/** seqid and type, which a shard does not cover. */
export const FEC_PREFIX_BYTES = 6;
/** The size field, with which a shard begins. */
export const SIZE_BYTES: number = FEC_HEADER_BYTES - FEC_PREFIX_BYTES;
/** The longest shard, in bytes, unless an option says otherwise: no datagram of kcp-go is longer. */
export const MAX_SHARD_BYTES = 1500;

const TYPE_AT = 4;
const DATA = 0xf1;
const PARITY = 0xf2;
const OOB = 0xf3;
const OOB_SEQID = 0xffff_ffff;

/** `oob`: out of band, that is neither protected nor numbered. */
export type FecKind = "data" | "parity" | "oob";

/** What the type field says; `undefined` for any other packet and for one too short to be any. */
export function fecKind(packet: Uint8Array): FecKind | undefined {
  if (packet.length < FEC_HEADER_BYTES) return undefined;
  switch (readU16(packet, TYPE_AT)) {
    case DATA:
      return "data";
    case PARITY:
      return "parity";
    case OOB:
      return "oob";
    default:
      return undefined;
  }
}

/** What a data or out-of-band packet carries, as a view; `undefined` when its size field is not true. */
export function fecBody(packet: Uint8Array): Uint8Array | undefined {
  if (readU16(packet, FEC_PREFIX_BYTES) !== packet.length - FEC_PREFIX_BYTES) return undefined;
  return packet.subarray(FEC_HEADER_BYTES);
}

/** Writes the header at `at` of a packet that ends at `end`. */
export function writeDataHeader(packet: Uint8Array, at: number, end: number, seqid: number): void {
  writeU32(packet, at, seqid);
  writeU16(packet, at + TYPE_AT, DATA);
  writeU16(packet, at + FEC_PREFIX_BYTES, end - at - FEC_PREFIX_BYTES);
}

/** A parity packet has no size field: its shard begins where that would be. */
export function writeParityHeader(packet: Uint8Array, at: number, seqid: number): void {
  writeU32(packet, at, seqid);
  writeU16(packet, at + TYPE_AT, PARITY);
}

/** Writes the header at `at` of a packet that ends at `end`. */
export function writeOobHeader(packet: Uint8Array, at: number, end: number): void {
  writeU32(packet, at, OOB_SEQID);
  writeU16(packet, at + TYPE_AT, OOB);
  writeU16(packet, at + FEC_PREFIX_BYTES, end - at - FEC_PREFIX_BYTES);
}

export function readSeqid(packet: Uint8Array): number {
  return readU32(packet, 0);
}

/** How many groups there are before the numbers start again at 0. `paws`, the first seqid that is never used, is this times the group's size. */
export function groupCount(groupSize: number): number {
  return Math.floor(0xffff_ffff / groupSize);
}
