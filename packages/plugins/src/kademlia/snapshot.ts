/**
 * Snapshot: what a node of the overlay keeps over restarts, as bytes.
 *
 * Its own record's number, the records of nodes that answered, nearest to us first, and its anchors: nodes
 * it had lasting streams to. Records keep their signatures, so whoever writes to the file can take nodes
 * away, but not invent addresses for them.
 */

import { concat, networkError, readU16, readU64, toUtf8, writeU16, writeU64 } from "@testudo/core";
import { MAX_RECORD_BYTES } from "../record/record.ts";

/** Nodes kept at most. */
export const MAX_KEPT_RECORDS = 512;
/** Bitcoin Core keeps two; a tree wants more. */
export const MAX_ANCHORS = 8;
const MAGIC: Uint8Array = /* @__PURE__ */ toUtf8("testudo/table/1\n");

export interface Snapshot {
  /** The number of our own last record. */
  readonly seq: number;
  readonly records: readonly Uint8Array[];
  /** Records of nodes to dial first. */
  readonly anchors: readonly Uint8Array[];
}

export function encodeSnapshot({ seq, records, anchors }: Snapshot): Uint8Array {
  const header = new Uint8Array(12);
  writeU64(header, 0, seq);
  writeU16(header, 8, Math.min(records.length, MAX_KEPT_RECORDS));
  writeU16(header, 10, Math.min(anchors.length, MAX_ANCHORS));
  const pieces = [MAGIC, header];
  for (const record of [...records.slice(0, MAX_KEPT_RECORDS), ...anchors.slice(0, MAX_ANCHORS)]) {
    const length = new Uint8Array(2);
    writeU16(length, 0, record.length);
    pieces.push(length, record);
  }
  return concat(...pieces);
}

/** Throws `BODY_MALFORMED`. The records are not checked here. */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const start = MAGIC.length + 12;
  if (bytes.length < start || !MAGIC.every((byte, at) => byte === bytes[at])) {
    throw malformed("it does not begin as one");
  }
  const seq = readU64(bytes, MAGIC.length);
  const [kept, anchored] = [readU16(bytes, MAGIC.length + 8), readU16(bytes, MAGIC.length + 10)];
  if (seq === undefined || kept > MAX_KEPT_RECORDS || anchored > MAX_ANCHORS) {
    throw malformed("a number in it is too large");
  }
  const records: Uint8Array[] = [];
  let at = start;
  for (let i = 0; i < kept + anchored; i++) {
    if (at + 2 > bytes.length) throw malformed("it is cut off");
    const length = readU16(bytes, at);
    if (length > MAX_RECORD_BYTES || at + 2 + length > bytes.length) {
      throw malformed("a record in it is cut off");
    }
    records.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  if (at !== bytes.length) throw malformed("bytes are left over");
  return { seq, records: records.slice(0, kept), anchors: records.slice(kept) };
}

function malformed(why: string): Error {
  return networkError("BODY_MALFORMED", `the kept table cannot be read: ${why}; it is left out`);
}
