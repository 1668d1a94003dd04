/**
 * Messages: what nodes of the overlay say to each other, byte by byte (docs/protocol.md).
 *
 * Carrier's opcodes 12 and 13 look nodes up; the block from 160 carries what carrier has no number for:
 * contact records, values kept and values found. Elements are counted before they are read. Records and
 * values are handed on as bytes: whoever uses them checks their signatures.
 */

import {
  type Codec,
  concat,
  defineMessage,
  type MessageType,
  OPCODE_BLOCKS,
  OPCODES,
  readU16,
  readU32,
  writeU16,
  writeU32,
} from "@testudo/core";
import { MAX_RECORD_BYTES } from "../record/record.ts";
import { STORED, type Stored } from "./store.ts";
import { MAX_VALUE_BYTES } from "./value.ts";

/** Records in one answer at most. */
export const MAX_RECORDS = 32;
const TARGET_BYTES = 32;

/** Asks for the records of the nodes nearest to a target. */
export interface LookupRequest {
  /** 32 bytes: a node id or a key. */
  readonly target: Uint8Array;
  /** How many records are wanted, 1 to `MAX_RECORDS`. */
  readonly count: number;
}

export interface LookupResponse {
  /** The target is among the siblings of the node that answers: these are its nearest nodes. */
  readonly terminal: boolean;
  /** Encoded contact records. */
  readonly records: readonly Uint8Array[];
  /** An encoded value; only where one was asked for. */
  readonly value: Uint8Array | undefined;
}

/** Somebody's value, to be kept. */
export interface StoreRequest {
  /** Encoded. */
  readonly value: Uint8Array;
  /** For how long. On the wire in whole seconds. */
  readonly lifeMs: number;
}

const TERMINAL = 1;
const WITH_VALUE = 2;

const lookupRequest: Codec<LookupRequest> = {
  encode: ({ target, count }) => concat(target, Uint8Array.of(count)),
  decode(body) {
    if (body.length !== TARGET_BYTES + 1) throw new Error("its length is wrong");
    const count = body[TARGET_BYTES] as number;
    if (count < 1 || count > MAX_RECORDS) throw new Error(`it asks for ${count} records`);
    return { target: new Uint8Array(body.subarray(0, TARGET_BYTES)), count };
  },
};

const lookupResponse: Codec<LookupResponse> = {
  encode({ terminal, records, value }) {
    const flags = (terminal ? TERMINAL : 0) | (value === undefined ? 0 : WITH_VALUE);
    const pieces: Uint8Array[] = [Uint8Array.of(flags, records.length)];
    for (const piece of value === undefined ? records : [...records, value]) {
      const length = new Uint8Array(2);
      writeU16(length, 0, piece.length);
      pieces.push(length, piece);
    }
    return concat(...pieces);
  },
  decode(body) {
    if (body.length < 2) throw new Error("it is too short");
    const [flags, count] = [body[0] as number, body[1] as number];
    if (flags > (TERMINAL | WITH_VALUE)) throw new Error("its flags are unknown");
    if (count > MAX_RECORDS) throw new Error(`it has ${count} records`);
    const withValue = (flags & WITH_VALUE) !== 0;
    const pieces: Uint8Array[] = [];
    let at = 2;
    for (let i = 0; i < count + (withValue ? 1 : 0); i++) {
      if (at + 2 > body.length) throw new Error("it is cut off");
      const length = readU16(body, at);
      const most = i < count ? MAX_RECORD_BYTES : MAX_VALUE_BYTES;
      if (length > most || at + 2 + length > body.length) throw new Error("a length is wrong");
      pieces.push(body.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    if (at !== body.length) throw new Error("bytes are left over");
    const value = withValue ? pieces.pop() : undefined;
    return { terminal: (flags & TERMINAL) !== 0, records: pieces, value };
  },
};

/** Of whoever says it; a view. */
const record: Codec<Uint8Array> = {
  encode: (bytes) => bytes,
  decode(body) {
    if (body.length > MAX_RECORD_BYTES) throw new Error("it is too large");
    return body;
  },
};

const LIFE_BYTES = 4;

const storeRequest: Codec<StoreRequest> = {
  encode({ value, lifeMs }) {
    const life = new Uint8Array(LIFE_BYTES);
    writeU32(life, 0, Math.floor(lifeMs / 1_000));
    return concat(life, value);
  },
  decode(body) {
    if (body.length <= LIFE_BYTES || body.length > LIFE_BYTES + MAX_VALUE_BYTES) {
      throw new Error("its length is wrong");
    }
    return { value: body.subarray(LIFE_BYTES), lifeMs: 1_000 * readU32(body, 0) };
  },
};

const stored: Codec<Stored> = {
  encode: (outcome) => Uint8Array.of(outcome),
  decode(body) {
    const outcome = Object.values(STORED).find((known) => known === body[0]);
    if (body.length !== 1 || outcome === undefined) throw new Error("its answer is unknown");
    return outcome;
  },
};

const BLOCK = OPCODE_BLOCKS.kademlia;

export const LookupRequest: MessageType<LookupRequest> = defineMessage({
  name: "lookup node request",
  opcode: OPCODES.lookupNodeRequest,
  codec: lookupRequest,
  reserved: true,
});
export const LookupResponse: MessageType<LookupResponse> = defineMessage({
  name: "lookup node response",
  opcode: OPCODES.lookupNodeResponse,
  codec: lookupResponse,
  reserved: true,
});
/** Our own record, unasked: to a new peer, and when it changed. */
export const RecordNews: MessageType<Uint8Array> = defineMessage({
  name: "contact record",
  opcode: BLOCK,
  codec: record,
  reserved: true,
});
/** Asks for the value under a key; answered as a lookup is. */
export const FindValue: MessageType<LookupRequest> = defineMessage({
  name: "find value",
  opcode: BLOCK + 1,
  codec: lookupRequest,
  reserved: true,
});
export const StoreRequest: MessageType<StoreRequest> = defineMessage({
  name: "store value",
  opcode: BLOCK + 2,
  codec: storeRequest,
  reserved: true,
});
export const StoreResponse: MessageType<Stored> = defineMessage({
  name: "value stored",
  opcode: BLOCK + 3,
  codec: stored,
  reserved: true,
});
