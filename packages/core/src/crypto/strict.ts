/**
 * Strictness: what both providers refuse before any arithmetic, so that they give the same answers.
 *
 * Native and pure libraries differ on odd Ed25519 input. These rules (RFC 8032 with the additions of
 * "Taming the many EdDSAs", Chalkias et al.) leave only points on which they agree: canonical, and not of
 * small order. The check reads public bytes only; nothing here needs constant time.
 */

import { fromHex } from "../bytes.ts";

export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
const SIGNATURE_BYTES = 64;

/** p = 2^255 - 19, little endian. */
const FIELD = /* @__PURE__ */ littleEndian(`ed${"ff".repeat(30)}7f`);
/** L, the order of the base point, little endian. */
const ORDER = /* @__PURE__ */ littleEndian(
  "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
);
/** The y of the eight points whose order divides 8; a point and its negative share one. */
const SMALL_ORDER_Y: readonly Uint8Array[] = /* @__PURE__ */ [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  `ec${"ff".repeat(30)}7f`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
].map(littleEndian);

/** Whether key and signature have the right lengths, S is below L, and both points are canonical and of large order. */
export function isStrict(publicKey: Uint8Array, signature: Uint8Array): boolean {
  return (
    publicKey.length === KEY_BYTES &&
    signature.length === SIGNATURE_BYTES &&
    isLargePoint(publicKey) &&
    isLargePoint(signature.subarray(0, 32)) &&
    isBelow(signature.subarray(32), ORDER, 0xff)
  );
}

function isLargePoint(point: Uint8Array): boolean {
  return isBelow(point, FIELD, 0x7f) && !SMALL_ORDER_Y.some((y) => hasY(point, y));
}

/** Compares little-endian numbers; `topMask` takes the sign bit out of the last byte. */
function isBelow(number: Uint8Array, bound: Uint8Array, topMask: number): boolean {
  for (let i = 31; i >= 0; i--) {
    const digit = (number[i] as number) & (i === 31 ? topMask : 0xff);
    const limit = bound[i] as number;
    if (digit !== limit) return digit < limit;
  }
  return false;
}

function hasY(point: Uint8Array, y: Uint8Array): boolean {
  for (let i = 0; i < 31; i++) if (point[i] !== y[i]) return false;
  return ((point[31] as number) & 0x7f) === y[31];
}

function littleEndian(hex: string): Uint8Array {
  return fromHex(hex) as Uint8Array;
}

/** Throws `TypeError` naming the argument unless it is a byte array of that length. */
export function checkLength(bytes: Uint8Array, length: number, argument: string): void {
  if (!(bytes instanceof Uint8Array) || bytes.length !== length) {
    throw new TypeError(`${argument} must be a Uint8Array of ${length} bytes`);
  }
}

/** Throws `RangeError` unless HKDF can give that many bytes: at most 255 hashes (RFC 5869 §2.3). */
export function checkHkdfLength(length: number, hashBytes: number): void {
  if (!Number.isInteger(length) || length < 0 || length > 255 * hashBytes) {
    throw new RangeError(`length must be a whole number from 0 to ${255 * hashBytes}`);
  }
}
