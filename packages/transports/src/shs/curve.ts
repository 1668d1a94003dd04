/**
 * Long-term Ed25519 keys in their X25519 form, which secret-handshake needs for three of its agreements.
 *
 * Spec: RFC 7748 section 4.1 (the map between the two curves), RFC 8032 section 5.1.5 (the secret
 * half). It never converts a key it cannot vouch for: encodings above the prime, points beside the
 * curve and points of small order give nothing. Public keys only go through the arithmetic here, so it
 * need not take constant time.
 */

import { equal } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";

const P = (1n << 255n) - 19n;
/** Curve25519: v² = u³ + A u² + u. */
const A = 486_662n;
const SIGN_BIT = 1n << 255n;

/** The X25519 pair of an Ed25519 seed (32 bytes). */
export function curveAgreement(seed: Uint8Array): KeyAgreement {
  const digest = provider.hash("SHA512", seed);
  const secret = digest.subarray(0, 32);
  secret[0] = (secret[0] as number) & 248;
  secret[31] = ((secret[31] as number) & 127) | 64;
  const agreement = provider.keyAgreement(secret);
  digest.fill(0);
  return agreement;
}

/** The last one asked for: a dial asks when it checks its address, and again when it shakes hands. */
let last: { readonly key: Uint8Array; readonly curveKey: Uint8Array | undefined } | undefined;

/**
 * The X25519 form of an Ed25519 public key, or `undefined` when the key is not 32 bytes, not in
 * canonical form, not on the curve, or of small order (which would make every agreement predictable).
 */
export function curvePublicKey(key: Uint8Array): Uint8Array | undefined {
  if (key.length !== 32) return undefined;
  if (last === undefined || !equal(last.key, key)) {
    last = { key: new Uint8Array(key), curveKey: convert(key) };
  }
  return last.curveKey;
}

/**
 * The same for a key that a signature was verified with: it is on the curve for certain, and finding that out
 * is most of the work.
 */
export function verifiedCurveKey(key: Uint8Array): Uint8Array | undefined {
  return convert(key, true);
}

function convert(key: Uint8Array, verified = false): Uint8Array | undefined {
  const y = readNumber(key) & (SIGN_BIT - 1n);
  // y = 1 is the neutral element, which has no image.
  if (y >= P || y === 1n) return undefined;
  const u = modulo((1n + y) * inverse(modulo(1n - y)));
  const square = modulo(u * u);
  const right = modulo(u * (square + A * u + 1n));
  // Doubling maps u to (u² - 1)² / 4 right. Order 2 has right = 0; twice order 4 is u = 0, so u² = 1
  // there; twice order 8 is u = 1, so both halves of the fraction are equal.
  const numerator = modulo((square - 1n) * (square - 1n));
  if (right === 0n || numerator === 0n || numerator === modulo(4n * right)) return undefined;
  if (!verified && !isSquare(right)) return undefined;
  return writeNumber(u);
}

function modulo(value: bigint): bigint {
  const rest = value % P;
  return rest < 0n ? rest + P : rest;
}

/** Quotients of two doubles are true for about so many bits of what they were made from. */
const LEHMER_LIMIT = 2 ** 26;

/**
 * Extended Euclid in Lehmer's way: some fifteen steps at a time are taken on the leading digits, in
 * doubles, and then applied to the numbers. A wrong last quotient costs nothing but a step: any such
 * matrix has determinant ±1, so that the greatest common divisor and both relations stay. `value` is in 1..P-1.
 */
function inverse(value: bigint): bigint {
  /** a = s value, b = t value, modulo P. */
  let [a, b, s, t] = [P, value, 0n, 1n];
  while (b !== 0n) {
    let [x, y] = [Number(a), Number(b)];
    let [ax, bx, ay, by] = [1, 0, 0, 1];
    while (y > 0) {
      const quotient = Math.floor(x / y);
      const [nextA, nextB] = [ax - quotient * ay, bx - quotient * by];
      if (!(Math.abs(nextA) < LEHMER_LIMIT && Math.abs(nextB) < LEHMER_LIMIT)) break;
      [x, y] = [y, x - quotient * y];
      [ax, bx, ay, by] = [ay, by, nextA, nextB];
    }
    // The quotient is too large for a double to be sure of.
    if (bx === 0) {
      const quotient = a / b;
      [a, b, s, t] = [b, a - quotient * b, t, s - quotient * t];
      continue;
    }
    const [p, q, u, v] = [BigInt(ax), BigInt(bx), BigInt(ay), BigInt(by)];
    [a, b, s, t] = [p * a + q * b, u * a + v * b, p * s + q * t, u * s + v * t];
    if (a < 0n) [a, s] = [-a, -s];
    if (b < 0n) [b, t] = [-b, -t];
    if (a < b) [a, b, s, t] = [b, a, t, s];
  }
  return modulo(s);
}

/** The Jacobi symbol over P is 1. `value` is in 1..P-1. */
function isSquare(value: bigint): boolean {
  let [top, bottom] = [value, P];
  let positive = true;
  while (top !== 0n) {
    const twos = trailingZeros(top);
    top >>= BigInt(twos);
    const eighth = Number(bottom & 7n);
    if (twos % 2 === 1 && (eighth === 3 || eighth === 5)) positive = !positive;
    if ((top & 3n) === 3n && (eighth & 3) === 3) positive = !positive;
    [top, bottom] = [bottom % top, top];
  }
  return positive;
}

/** `value` is not zero. */
function trailingZeros(value: bigint): number {
  for (let count = 0; ; count += 32) {
    const low = Number(BigInt.asUintN(32, value >> BigInt(count)));
    if (low !== 0) return count + 31 - Math.clz32(low & -low);
  }
}

function readNumber(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
  let value = 0n;
  for (let at = 24; at >= 0; at -= 8) value = (value << 64n) | view.getBigUint64(at, true);
  return value;
}

function writeNumber(value: bigint): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < 32; at += 8) {
    view.setBigUint64(at, BigInt.asUintN(64, value >> BigInt(8 * at)), true);
  }
  return bytes;
}
