/**
 * Ed25519 at its edges: keys and signatures made to be accepted by one implementation and refused by
 * another. Each is built so that a lax verifier says yes; both providers must say no, or agree.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { bytesToNumberLE, numberToBytesLE } from "@noble/curves/utils.js";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex } from "../../src/bytes.ts";
import { provider as noble } from "../../src/crypto/noble.ts";
import { provider as node } from "../../src/crypto/node.ts";
import { isStrict } from "../../src/crypto/strict.ts";

const { Point } = ed25519;
type Curve = typeof Point.BASE;
const L = Point.Fn.ORDER;
const P = Point.Fp.ORDER;

/** A point of order 8: any curve point times L that has full torsion. */
function torsionGenerator(): Curve {
  for (let y = 2n; ; y++) {
    try {
      const point = Point.fromBytes(numberToBytesLE(y, 32)).multiplyUnsafe(L - 1n);
      const torsion = point.add(Point.fromBytes(numberToBytesLE(y, 32)));
      if (!torsion.double().double().is0()) return torsion;
    } catch {
      // Not every y is on the curve.
    }
  }
}

const T8 = torsionGenerator();
const TORSION = Array.from({ length: 8 }, (_, i) => T8.multiplyUnsafe(BigInt(i)));

/** Every 32-byte string that a lax decoder takes for a point of small order. */
function smallOrderEncodings(): Uint8Array[] {
  const encodings = new Map<string, Uint8Array>();
  for (const { y } of TORSION.map((point) => point.toAffine())) {
    for (const number of [y, y + P]) {
      if (number >= 2n ** 255n) continue;
      for (const sign of [0n, 1n]) {
        const bytes = numberToBytesLE(number + (sign << 255n), 32);
        encodings.set(toHex(bytes), bytes);
      }
    }
  }
  return [...encodings.values()];
}

/** What every lax verifier computes: [8](SB - R - hA) = 0, with non-canonical points allowed. */
function laxVerify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return ed25519.verify(signature, message, key, { zip215: true });
}

function strictly(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const answer = node.verify(key, message, signature);
  expect(noble.verify(key, message, signature)).toBe(answer);
  return answer;
}

function challenge(r: Uint8Array, key: Uint8Array, message: Uint8Array): bigint {
  return bytesToNumberLE(node.hash("SHA512", r, key, message)) % L;
}

const message = Uint8Array.of(1, 2, 3);
const scalar = 0x1234567890abcdefn;
const secret = 0xfedcba0987654321n;
const scalarBytes = (value: bigint): Uint8Array => numberToBytesLE(value, 32);

describe("strict verification", () => {
  it("knows all encodings of the eight small-order points", () => {
    // Five values of y, each with two signs; y = 0 and y = 1 have a second encoding below 2^255.
    expect(smallOrderEncodings()).toHaveLength(14);
    expect(new Set(TORSION.map((point) => toHex(point.toBytes()))).size).toBe(8);
  });

  it.each(smallOrderEncodings().map((key) => [toHex(key), key] as const))(
    "refuses the public key %s, which would sign anything",
    (_, key) => {
      const r = Point.BASE.multiply(scalar).toBytes();
      const signature = concat(r, scalarBytes(scalar));
      expect(laxVerify(key, message, signature)).toBe(true);
      expect(isStrict(key, signature)).toBe(false);
      expect(strictly(key, message, signature)).toBe(false);
    },
  );

  it.each(smallOrderEncodings().map((r) => [toHex(r), r] as const))(
    "refuses a signature whose R is %s",
    (_, r) => {
      const key = Point.BASE.multiply(secret).toBytes();
      const s = (challenge(r, key, message) * secret) % L;
      const signature = concat(r, scalarBytes(s));
      expect(laxVerify(key, message, signature)).toBe(true);
      expect(strictly(key, message, signature)).toBe(false);
    },
  );

  it("refuses a good key or signature that is a byte longer or shorter", () => {
    const signer = node.signer(new Uint8Array(32).fill(5));
    const [key, signature] = [signer.publicKey, signer.sign(message)];
    expect(isStrict(key, signature)).toBe(true);
    for (const other of [concat(key, Uint8Array.of(0)), key.subarray(1), key.subarray(0, 31)]) {
      expect(isStrict(other, signature)).toBe(false);
      expect(strictly(other, message, signature)).toBe(false);
    }
    for (const other of [concat(signature, Uint8Array.of(0)), signature.subarray(0, 63)]) {
      expect(isStrict(key, other)).toBe(false);
      expect(strictly(key, message, other)).toBe(false);
    }
  });

  it("refuses S plus the order: one signature, one form", () => {
    const signer = node.signer(new Uint8Array(32).fill(5));
    const signature = signer.sign(message);
    const s = bytesToNumberLE(signature.subarray(32));
    expect(strictly(signer.publicKey, message, signature)).toBe(true);
    for (const twin of [s + L, s + 2n * L, L]) {
      const changed = concat(signature.subarray(0, 32), scalarBytes(twin));
      expect(isStrict(signer.publicKey, changed)).toBe(false);
      expect(strictly(signer.publicKey, message, changed)).toBe(false);
    }
    expect(isStrict(signer.publicKey, concat(signature.subarray(0, 32), scalarBytes(L - 1n)))).toBe(
      true,
    );
  });

  it("refuses every y from p up, whatever point it stands for, and takes p - 2", () => {
    const signature = node.signer(new Uint8Array(32)).sign(message);
    for (let y = P; y < 2n ** 255n; y++) {
      for (const sign of [0n, 1n]) {
        const key = numberToBytesLE(y + (sign << 255n), 32);
        expect(isStrict(key, signature)).toBe(false);
        expect(strictly(key, message, signature)).toBe(false);
      }
    }
    expect(isStrict(numberToBytesLE(P - 2n, 32), signature)).toBe(true);
  });

  it("refuses a key that is no point, though it is canonical", () => {
    const signature = node.signer(new Uint8Array(32)).sign(message);
    const key = fromHex(`02${"00".repeat(31)}`) as Uint8Array;
    expect(() => Point.fromBytes(key)).toThrow();
    expect(isStrict(key, signature)).toBe(true);
    expect(strictly(key, message, signature)).toBe(false);
  });

  it("gives one answer on a key with a torsion part, where the cofactor decides", () => {
    // A = aB + T: the cofactored equation holds always, the plain one only when the challenge kills T.
    const key = Point.BASE.multiply(secret).add(T8).toBytes();
    const r = Point.BASE.multiply(scalar).toBytes();
    const answers = { held: 0, failed: 0 };
    for (let i = 0; i < 40; i++) {
      const text = Uint8Array.of(i);
      const h = challenge(r, key, text);
      const signature = concat(r, scalarBytes((scalar + h * secret) % L));
      expect(laxVerify(key, text, signature)).toBe(true);
      const expected = h % 8n === 0n;
      expect(strictly(key, text, signature)).toBe(expected);
      answers[expected ? "held" : "failed"]++;
    }
    expect(answers.held).toBeGreaterThan(0);
    expect(answers.failed).toBeGreaterThan(0);
  });

  it("gives one answer on an R with a torsion part", () => {
    const key = Point.BASE.multiply(secret).toBytes();
    for (const torsion of TORSION) {
      const r = Point.BASE.multiply(scalar).add(torsion).toBytes();
      const s = (scalar + challenge(r, key, message) * secret) % L;
      const signature = concat(r, scalarBytes(s));
      expect(laxVerify(key, message, signature)).toBe(true);
      expect(strictly(key, message, signature)).toBe(torsion.is0());
    }
  });
});
