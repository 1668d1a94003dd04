/**
 * Values: what nodes keep for others under a key.
 *
 * Two kinds. A *content* value is kept under the SHA-256 of its bytes, so nobody can put another in its
 * place. A *signed* value is kept under the SHA-256 of its owner's key and a salt; the owner alone can
 * replace it, by one with a higher number, and says until when it is worth keeping. In front of what is hashed
 * stands the kind, or an owner's key and salt, as content, would take the place of his value. The signature is over
 * `testudo/value/1`, the network id and everything else (docs/protocol.md). Whoever keeps a value is not
 * believed: readers check it themselves.
 */

import {
  concat,
  type Identity,
  networkError,
  PeerId,
  readU16,
  readU64,
  toUtf8,
  verify,
  writeU16,
  writeU64,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";

/** Bytes of a value's content at most. */
export const MAX_CONTENT_BYTES = 1_024;
export const MAX_SALT_BYTES = 64;
/** How long a value is kept at most without being put again. */
export const VALUE_LIFE_MS: number = 24 * 3_600_000;

const CONTENT = 1;
const SIGNED = 2;
const [CONTENT_KIND, SIGNED_KIND] = [Uint8Array.of(CONTENT), Uint8Array.of(SIGNED)];
const SIGNATURE_BYTES = 64;
/** kind, owner, number, expiry, length of the salt; in front of salt, content and signature. */
const SIGNED_HEADER_BYTES = 1 + 32 + 8 + 8 + 1;
/** What an encoded value takes at most. */
export const MAX_VALUE_BYTES: number =
  SIGNED_HEADER_BYTES + MAX_SALT_BYTES + 2 + MAX_CONTENT_BYTES + SIGNATURE_BYTES;
const CONTEXT: Uint8Array = /* @__PURE__ */ toUtf8("testudo/value/1");

interface CommonValue {
  /** 32 bytes: where it is kept. */
  readonly key: Uint8Array;
  readonly content: Uint8Array;
  /** As it travels. */
  readonly bytes: Uint8Array;
}

export interface ContentValue extends CommonValue {
  readonly kind: "content";
}

export interface SignedValue extends CommonValue {
  readonly kind: "signed";
  readonly owner: PeerId;
  readonly salt: Uint8Array;
  /** Grows with each version. */
  readonly seq: number;
  /** Unix ms. */
  readonly expiresAt: number;
}

export type Value = ContentValue | SignedValue;

/** The key of a content value. */
export function contentKey(content: Uint8Array): Uint8Array {
  return provider.hash("SHA256", CONTENT_KIND, content);
}

/** The key of an owner's signed value. */
export function signedKey(owner: PeerId, salt: Uint8Array): Uint8Array {
  return provider.hash("SHA256", SIGNED_KIND, owner.bytes, salt);
}

/** Throws `RangeError` for content of more than `MAX_CONTENT_BYTES`. */
export function contentValue(content: Uint8Array): ContentValue {
  checkContent(content);
  const bytes = concat(Uint8Array.of(CONTENT), content);
  return { kind: "content", key: contentKey(content), content: bytes.subarray(1), bytes };
}

/** Throws `RangeError` for content, a salt or a number that is too large. */
export function signedValue(
  identity: Identity,
  fields: {
    readonly networkId: Uint8Array;
    readonly content: Uint8Array;
    readonly salt: Uint8Array;
    readonly seq: number;
    readonly expiresAt: number;
  },
): SignedValue {
  const { networkId, content, salt, seq, expiresAt } = fields;
  checkContent(content);
  if (salt.length > MAX_SALT_BYTES) {
    throw new RangeError(`salt must be at most ${MAX_SALT_BYTES} bytes, not ${salt.length}`);
  }
  for (const [name, number] of [
    ["seq", seq],
    ["expiresAt", expiresAt],
  ] as const) {
    if (!Number.isSafeInteger(number) || number < 0) {
      throw new RangeError(`${name} must be a whole number from 0 to 2^53-1`);
    }
  }
  const header = new Uint8Array(SIGNED_HEADER_BYTES);
  header[0] = SIGNED;
  header.set(identity.publicKey, 1);
  writeU64(header, 33, seq);
  writeU64(header, 41, expiresAt);
  header[49] = salt.length;
  const length = new Uint8Array(2);
  writeU16(length, 0, content.length);
  const unsigned = concat(header, salt, length, content);
  const signature = identity.sign(concat(CONTEXT, networkId, unsigned));
  const bytes = concat(unsigned, signature);
  return {
    kind: "signed",
    key: signedKey(identity.id, salt),
    owner: identity.id,
    salt,
    seq,
    expiresAt,
    content: bytes.subarray(unsigned.length - content.length, unsigned.length),
    bytes,
  };
}

/** Reads what a peer sent, a copy. Throws `BODY_MALFORMED`; a signature that does not verify is that, too. */
export function readValue(given: Uint8Array, networkId: Uint8Array): Value {
  if (given.length > MAX_VALUE_BYTES) throw malformed(`it is larger than ${MAX_VALUE_BYTES} bytes`);
  const bytes = new Uint8Array(given);
  if (bytes[0] === CONTENT) {
    const content = bytes.subarray(1);
    if (content.length > MAX_CONTENT_BYTES) throw malformed("its content is too large");
    return { kind: "content", key: contentKey(content), content, bytes };
  }
  if (bytes[0] !== SIGNED) throw malformed("its kind is unknown");
  return readSigned(bytes, networkId);
}

function readSigned(bytes: Uint8Array, networkId: Uint8Array): SignedValue {
  if (bytes.length < SIGNED_HEADER_BYTES) throw malformed("it is too short");
  const saltLength = bytes[49] as number;
  const contentAt = SIGNED_HEADER_BYTES + saltLength + 2;
  if (saltLength > MAX_SALT_BYTES || bytes.length < contentAt) throw malformed("its salt is cut");
  const contentLength = readU16(bytes, contentAt - 2);
  const end = contentAt + contentLength;
  if (contentLength > MAX_CONTENT_BYTES || bytes.length !== end + SIGNATURE_BYTES) {
    throw malformed("its length is not what it says");
  }
  const [seq, expiresAt] = [readU64(bytes, 33), readU64(bytes, 41)];
  if (seq === undefined || expiresAt === undefined) throw malformed("a number exceeds 2^53-1");
  const owner = PeerId.from(bytes.subarray(1, 33));
  if (!verify(owner, concat(CONTEXT, networkId, bytes.subarray(0, end)), bytes.subarray(end))) {
    throw malformed("its signature does not verify");
  }
  const salt = bytes.subarray(SIGNED_HEADER_BYTES, contentAt - 2);
  return {
    kind: "signed",
    key: signedKey(owner, salt),
    owner,
    salt,
    seq,
    expiresAt,
    content: bytes.subarray(contentAt, end),
    bytes,
  };
}

function checkContent(content: Uint8Array): void {
  if (!(content instanceof Uint8Array)) throw new TypeError("content must be a Uint8Array");
  if (content.length > MAX_CONTENT_BYTES) {
    throw new RangeError(
      `content must be at most ${MAX_CONTENT_BYTES} bytes, not ${content.length}; keep larger things elsewhere and put their hash`,
    );
  }
}

function malformed(why: string): Error {
  return networkError("BODY_MALFORMED", `a value cannot be read: ${why}`);
}
