/**
 * Contact record: where a node can be reached, in its own words and signed by it.
 *
 * Whoever passes a record on can leave it out, but neither invent nor change an address, and of two records
 * of one node the one with the higher number is the newer, whoever brings which. The signature is over
 * `testudo/record/1`, the network id and everything else (docs/protocol.md).
 *
 * Upgrading a protocol means publishing a new record: this is where the others look up what a node speaks.
 */

import {
  concat,
  equal,
  fromUtf8,
  type Identity,
  NetworkError,
  networkError,
  PeerId,
  parseAddress,
  type Route,
  readU16,
  readU64,
  type Scope,
  type Section,
  sectionKey,
  toUtf8,
  verify,
  writeU16,
  writeU64,
} from "@testudo/core";
import { scopeOfAddress } from "./host.ts";

export const MAX_RECORD_BYTES = 2_048;
export const MAX_ADDRESSES = 8;
/** How long a record is good for at most, from its signing. */
export const RECORD_LIFE_MS: number = 24 * 3_600_000;
/**
 * How far two nodes' clocks may be apart before the one takes the other's records for stale: both may be a day wrong, in
 * either direction, and an hour more.
 */
export const CLOCK_SKEW_MS: number = 49 * 3_600_000;
/** Bytes of a dynamic puzzle's solution (kademlia/puzzle.ts). */
export const PUZZLE_BYTES = 8;

const CONTEXT: Uint8Array = /* @__PURE__ */ toUtf8("testudo/record/1");
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** Key, number, expiry, length of the solution. */
const HEADER_BYTES = KEY_BYTES + 8 + 8 + 1;

export interface ContactRecord {
  readonly id: PeerId;
  /** Grows with each version: max(the last one + 1, unix ms). */
  readonly seq: number;
  /** One route each, all of which promise this very key. */
  readonly addresses: readonly string[];
  /** The solution of the dynamic puzzle, where the network asks for one. Not checked here. */
  readonly puzzle: Uint8Array | undefined;
  /** Unix ms, by its owner's clock. */
  readonly expiresAt: number;
  /** As signed, for passing on. */
  readonly bytes: Uint8Array;
}

export interface RecordFields {
  readonly networkId: Uint8Array;
  readonly seq: number;
  /** Alternatives that do not promise the signer's key are left out, and so is what exceeds the bounds. */
  readonly addresses: readonly string[];
  readonly puzzle?: Uint8Array | undefined;
  readonly expiresAt: number;
}

/** Throws `RangeError` or `AddressError` for fields that make no sense. */
export function signRecord(identity: Identity, fields: RecordFields): ContactRecord {
  const { networkId, seq, puzzle, expiresAt } = fields;
  for (const [name, number] of [
    ["seq", seq],
    ["expiresAt", expiresAt],
  ] as const) {
    if (!Number.isSafeInteger(number) || number < 0) {
      throw new RangeError(`${name} must be a whole number from 0 to 2^53-1`);
    }
  }
  if (puzzle !== undefined && puzzle.length !== PUZZLE_BYTES) {
    throw new RangeError(`puzzle must be ${PUZZLE_BYTES} bytes`);
  }
  const header = new Uint8Array(HEADER_BYTES);
  header.set(identity.publicKey);
  writeU64(header, 32, seq);
  writeU64(header, 40, expiresAt);
  header[48] = puzzle?.length ?? 0;
  const pieces: Uint8Array[] = [];
  const addresses: string[] = [];
  let left = MAX_RECORD_BYTES - HEADER_BYTES - (puzzle?.length ?? 0) - 1 - SIGNATURE_BYTES;
  for (const { text } of fields.addresses.flatMap((address) => ownRoutes(address, identity.id))) {
    const written = toUtf8(text);
    if (addresses.length === MAX_ADDRESSES || written.length + 2 > left) continue;
    const length = new Uint8Array(2);
    writeU16(length, 0, written.length);
    pieces.push(length, written);
    addresses.push(text);
    left -= written.length + 2;
  }
  const count = Uint8Array.of(addresses.length);
  const unsigned = concat(header, ...(puzzle === undefined ? [] : [puzzle]), count, ...pieces);
  const bytes = concat(unsigned, identity.sign(concat(CONTEXT, networkId, unsigned)));
  return { id: identity.id, seq, addresses, puzzle, expiresAt, bytes };
}

/**
 * Reads a record that somebody brought; `now` in unix ms. Throws `BODY_MALFORMED` for what is none, for a
 * signature that does not verify, and for one that is past or says it lasts too long.
 */
export function readRecord(
  given: Uint8Array,
  { networkId, now }: { readonly networkId: Uint8Array; readonly now: number },
): ContactRecord {
  if (given.length > MAX_RECORD_BYTES) throw malformed(`it exceeds ${MAX_RECORD_BYTES} bytes`);
  if (given.length < HEADER_BYTES + 1 + SIGNATURE_BYTES) throw malformed("it is too short");
  const bytes = new Uint8Array(given);
  const end = bytes.length - SIGNATURE_BYTES;
  const puzzleBytes = bytes[48] as number;
  if (puzzleBytes !== 0 && puzzleBytes !== PUZZLE_BYTES) throw malformed("its puzzle is odd");
  const [seq, expiresAt] = [readU64(bytes, 32), readU64(bytes, 40)];
  if (seq === undefined || expiresAt === undefined) throw malformed("a number exceeds 2^53-1");
  const texts = readTexts(bytes, HEADER_BYTES + puzzleBytes, end);
  if (isExpired(expiresAt, now)) throw malformed("it is past its date");
  if (expiresAt > now + RECORD_LIFE_MS + CLOCK_SKEW_MS) throw malformed("it lasts too long");
  const id = PeerId.from(bytes.subarray(0, KEY_BYTES));
  if (!verify(id, concat(CONTEXT, networkId, bytes.subarray(0, end)), bytes.subarray(end))) {
    throw malformed("its signature does not verify");
  }
  // One text may hold several alternatives; the bound is on those.
  const addresses = texts.flatMap((text) => believedRoutes(text, id)).slice(0, MAX_ADDRESSES);
  const puzzle =
    puzzleBytes === 0 ? undefined : bytes.subarray(HEADER_BYTES, HEADER_BYTES + puzzleBytes);
  return { id, seq, addresses, puzzle, expiresAt, bytes };
}

/** Whether it is past, also for somebody whose clock is fast by as much as clocks may differ. */
export function isExpired(expiresAt: number, now: number): boolean {
  return expiresAt + CLOCK_SKEW_MS <= now;
}

/**
 * The addresses that somebody in this scope can know: loopback from this machine only, private ones from this
 * machine or a private network, public ones from everywhere.
 */
export function addressesFor(record: ContactRecord, scope: Scope): readonly string[] {
  return record.addresses.filter((address) => {
    const needed = scopeOfAddress(address);
    if (needed === "public" || scope === "device") return true;
    return needed === "private" && scope !== "public";
  });
}

function readTexts(bytes: Uint8Array, from: number, end: number): string[] {
  if (from >= end) throw malformed("it is cut off");
  const count = bytes[from] as number;
  if (count > MAX_ADDRESSES) throw malformed(`it has ${count} addresses`);
  const texts: string[] = [];
  let at = from + 1;
  for (let i = 0; i < count; i++) {
    const start = at + 2;
    if (start > end) throw malformed("it is cut off");
    at = start + readU16(bytes, at);
    const text = at > end ? undefined : fromUtf8(bytes.subarray(start, at));
    if (text === undefined) throw malformed("an address is no text, or cut off");
    texts.push(text);
  }
  if (at !== end) throw malformed("bytes are left over");
  return texts;
}

/** The routes that promise this key. Throws `AddressError`. */
function ownRoutes(address: string, id: PeerId): Route[] {
  return parseAddress(address).routes.filter(({ sections }) => {
    const keys = sections.slice(1).flatMap((section) => keyIn(section) ?? []);
    return keys.length > 0 && keys.every((key) => equal(key, id.bytes));
  });
}

/** The key that a transform's section names; `noise:KEY~gzip` has one in front of one without. */
function keyIn(section: Section): Uint8Array | undefined {
  try {
    return sectionKey(section);
  } catch (error) {
    if (error instanceof NetworkError) return undefined;
    throw error;
  }
}

/** Of what another says: an alternative that cannot be read is left out, as one without the key is. */
function believedRoutes(text: string, id: PeerId): string[] {
  try {
    return ownRoutes(text, id).map((route) => route.text);
  } catch (error) {
    if (error instanceof NetworkError) return [];
    throw error;
  }
}

function malformed(why: string): NetworkError {
  return networkError("BODY_MALFORMED", `a contact record cannot be read: ${why}`);
}
