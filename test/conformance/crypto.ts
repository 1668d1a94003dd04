/**
 * Conformance: what every crypto provider must answer, bit for bit.
 *
 * The constants are the published examples of RFC 8032, 7748, 5869, 4231, 8439, 7693, FIPS 180-4 and the
 * GCM submission; what they do not reach (pieces, forgery, odd keys) is stated as properties.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, toHex, toUtf8 } from "../../packages/core/src/bytes.ts";
import type { CryptoProvider } from "../../packages/core/src/crypto/types.ts";
import {
  AGREEMENTS,
  BOXES,
  bytes,
  CIPHERS,
  HASH_NAMES,
  HASH_OF_ABC,
  LOW_ORDER,
  range,
  SIGNATURES,
} from "./crypto-vectors.ts";

/** Cuts `whole` at the given places (any numbers, taken modulo its length). */
export function cutAt(whole: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b);
  return [...places, whole.length].map((end, i) =>
    whole.subarray(i === 0 ? 0 : places[i - 1], end),
  );
}

const EMPTY = new Uint8Array(0);

export function cryptoConformance(name: string, provider: CryptoProvider): void {
  describe(`crypto provider ${name}`, () => {
    describe("hash, HMAC, HKDF, CRC", () => {
      it.each(HASH_NAMES)("%s of the pieces joined", (hash) => {
        expect(toHex(provider.hash(hash, toUtf8("abc")))).toBe(HASH_OF_ABC[hash]);
        const pieces = [toUtf8("a"), EMPTY, toUtf8("bc")];
        expect(toHex(provider.hash(hash, ...pieces))).toBe(HASH_OF_ABC[hash]);
        expect(provider.hash(hash)).toEqual(provider.hash(hash, EMPTY));
      });

      it("HMAC: RFC 4231 cases 1 and 6", () => {
        const key = new Uint8Array(20).fill(0x0b);
        const pieces = [toUtf8("Hi "), toUtf8("There")];
        expect(toHex(provider.hmac("SHA256", key, ...pieces))).toBe(
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
        expect(toHex(provider.hmac("SHA512", key, ...pieces))).toBe(
          "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        );
        const long = new Uint8Array(131).fill(0xaa);
        const text = toUtf8("Test Using Larger Than Block-Size Key - Hash Key First");
        expect(toHex(provider.hmac("SHA256", long, text))).toBe(
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
      });

      it("HKDF: RFC 5869 cases 1 to 3", () => {
        const secret = new Uint8Array(22).fill(0x0b);
        expect(toHex(provider.hkdf("SHA256", secret, range(0, 13), range(0xf0, 10), 42))).toBe(
          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        );
        expect(
          toHex(provider.hkdf("SHA256", range(0, 80), range(0x60, 80), range(0xb0, 80), 82)),
        ).toBe(
          "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        );
        expect(toHex(provider.hkdf("SHA256", secret, EMPTY, EMPTY, 42))).toBe(
          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        );
      });

      it.each(HASH_NAMES)("HKDF over %s is its definition in HMACs", (hash) => {
        const [secret, salt, info] = [range(1, 40), range(2, 20), new Uint8Array(2_000).fill(7)];
        const size = provider.hash(hash).length;
        const extracted = provider.hmac(hash, salt, secret);
        const first = provider.hmac(hash, extracted, info, Uint8Array.of(1));
        const second = provider.hmac(hash, extracted, first, info, Uint8Array.of(2));
        const expected = concat(first, second).subarray(0, size + 5);
        expect(toHex(provider.hkdf(hash, secret, salt, info, size + 5))).toBe(toHex(expected));
      });

      it("HKDF gives nothing, or 255 hashes, and not a byte more", () => {
        expect(provider.hkdf("SHA256", EMPTY, EMPTY, EMPTY, 0)).toHaveLength(0);
        expect(provider.hkdf("SHA256", EMPTY, EMPTY, EMPTY, 255 * 32)).toHaveLength(255 * 32);
        for (const length of [255 * 32 + 1, -1, 1.5, Number.NaN]) {
          expect(() => provider.hkdf("SHA256", EMPTY, EMPTY, EMPTY, length)).toThrow(RangeError);
        }
        expect(() => provider.hkdf("SHA512", EMPTY, EMPTY, EMPTY, 255 * 64 + 1)).toThrow(
          RangeError,
        );
      });

      it("CRC-32 of known strings, whole and continued at every place", () => {
        const check = toUtf8("123456789");
        expect(provider.crc32(check)).toBe(0xcbf43926);
        expect(provider.crc32(EMPTY)).toBe(0);
        expect(provider.crc32(toUtf8("The quick brown fox jumps over the lazy dog"))).toBe(
          0x414fa339,
        );
        expect(provider.crc32(new Uint8Array(32))).toBe(0x190a55ad);
        expect(provider.crc32(new Uint8Array(32).fill(0xff))).toBe(0xff6cab0b);
        const long = range(0, 1_000);
        const whole = provider.crc32(long);
        for (let at = 0; at <= long.length; at++) {
          const first = provider.crc32(long.subarray(0, at));
          expect(provider.crc32(long.subarray(at), first)).toBe(whole);
        }
      });

      it("random bytes have the length asked for and do not repeat", () => {
        for (const length of [0, 1, 32, 70_000]) {
          expect(provider.randomBytes(length)).toHaveLength(length);
        }
        expect(provider.randomBytes(32)).not.toEqual(provider.randomBytes(32));
        expect(
          provider
            .randomBytes(70_000)
            .subarray(65_536)
            .some((byte) => byte !== 0),
        ).toBe(true);
      });
    });

    it("gives plain Uint8Arrays, whatever kind it was given, and leaves its input as it was", () => {
      // A Buffer's `slice` shares memory, and would make the two providers behave differently.
      const input = Buffer.from(range(0xd0, 32));
      const [nonce, aead] = [input.subarray(0, 12), provider.aead("ChaChaPoly", input)];
      const signer = provider.signer(input);
      const signature = signer.sign(input);
      const sealed = aead.seal(nonce, input, [input]);
      const results = [
        ...[provider.randomBytes(5), signer.publicKey, signature],
        ...HASH_NAMES.map((hash) => provider.hash(hash, input)),
        ...[provider.hash("SHA256", input, input), provider.hmac("SHA256", input, input)],
        ...[provider.hkdf("SHA256", input, input, input, 99)],
        ...[provider.keyAgreement(input).publicKey, provider.keyAgreement(input).agree(input)],
        ...[...sealed, ...(aead.open(nonce, input, sealed) ?? [])],
      ];
      for (const result of results) {
        expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
      }
      expect(provider.verify(Buffer.from(signer.publicKey), input, Buffer.from(signature))).toBe(
        true,
      );
      expect(provider.verify(input, input, Buffer.from(signature))).toBe(false);
      expect(input).toEqual(Buffer.from(range(0xd0, 32)));
    });

    describe("Ed25519", () => {
      it.each(SIGNATURES)("RFC 8032 §7.1, seed %s", (seed, publicKey, message, signature) => {
        const signer = provider.signer(bytes(seed));
        expect(toHex(signer.publicKey)).toBe(publicKey);
        expect(toHex(signer.sign(bytes(message)))).toBe(signature);
        expect(provider.verify(signer.publicKey, bytes(message), bytes(signature))).toBe(true);
      });

      it("a changed bit anywhere in key, message or signature is a forgery", () => {
        const signer = provider.signer(range(0, 32));
        const message = range(0, 9);
        const original = [signer.publicKey, message, signer.sign(message)] as const;
        for (const which of [0, 1, 2]) {
          for (let at = 0; at < (original[which]?.length ?? 0); at += 5) {
            const [key, text, signature] = original.map((part) => part.slice());
            const changed = [key, text, signature][which];
            if (!changed || !key || !text || !signature) throw new Error("three parts");
            changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
            expect(provider.verify(key, text, signature)).toBe(false);
          }
        }
      });

      it("wrong lengths are false, never an exception", () => {
        const signer = provider.signer(range(0, 32));
        const signature = signer.sign(EMPTY);
        for (const length of [0, 1, 31, 33, 64]) {
          expect(provider.verify(new Uint8Array(length).fill(9), EMPTY, signature)).toBe(false);
        }
        for (const length of [0, 1, 32, 63, 65]) {
          const wrong = concat(signature, EMPTY, Uint8Array.of(0)).subarray(0, length);
          expect(provider.verify(signer.publicKey, EMPTY, wrong)).toBe(false);
        }
      });

      it("a seed is 32 bytes, and changing the caller's copy later changes nothing", () => {
        for (const length of [0, 31, 33, 64]) {
          expect(() => provider.signer(new Uint8Array(length))).toThrow(TypeError);
        }
        const [text = "", , , signature] = SIGNATURES[0] ?? [];
        const seed = Buffer.from(bytes(text));
        const signer = provider.signer(seed);
        seed.fill(0);
        expect(toHex(signer.sign(EMPTY))).toBe(signature);
      });
    });

    describe("X25519", () => {
      it.each(AGREEMENTS)("RFC 7748, secret %s", (secret, remote, shared) => {
        const agreed = provider.keyAgreement(bytes(secret)).agree(bytes(remote));
        expect(agreed && toHex(agreed)).toBe(shared);
      });

      it("derives the public key", () => {
        const [aliceSecret = "", bobPublic] = AGREEMENTS[2] ?? [];
        const [bobSecret = "", alicePublic] = AGREEMENTS[3] ?? [];
        expect(toHex(provider.keyAgreement(bytes(aliceSecret)).publicKey)).toBe(alicePublic);
        expect(toHex(provider.keyAgreement(bytes(bobSecret)).publicKey)).toBe(bobPublic);
        // RFC 7748 §5.2: one round of the iteration, 9 times 9.
        expect(toHex(provider.keyAgreement(bytes(`09${"00".repeat(31)}`)).publicKey)).toBe(
          "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
        );
      });

      it("fresh pairs differ and agree with each other", () => {
        const [a, b] = [provider.keyAgreement(), provider.keyAgreement()];
        expect(toHex(a.publicKey)).not.toBe(toHex(b.publicKey));
        const shared = a.agree(b.publicKey);
        expect(shared).toHaveLength(32);
        expect(shared && toHex(shared)).toBe(toHex(b.agree(a.publicKey) ?? EMPTY));
      });

      it.each(LOW_ORDER)("refuses the low-order point %s", (point) => {
        expect(provider.keyAgreement(range(1, 32)).agree(bytes(point))).toBeUndefined();
        const high = bytes(point);
        high[31] = (high[31] ?? 0) | 0x80;
        expect(provider.keyAgreement(range(1, 32)).agree(high)).toBeUndefined();
      });

      it("keys are 32 bytes, and changing the caller's copy later changes nothing", () => {
        for (const length of [0, 31, 33]) {
          expect(() => provider.keyAgreement(new Uint8Array(length))).toThrow(TypeError);
          expect(() => provider.keyAgreement().agree(new Uint8Array(length))).toThrow(TypeError);
        }
        const [secret = "", remote = "", shared] = AGREEMENTS[2] ?? [];
        const copy = Buffer.from(bytes(secret));
        const pair = provider.keyAgreement(copy);
        copy.fill(0);
        expect(toHex(pair.agree(bytes(remote)) ?? EMPTY)).toBe(shared);
      });
    });

    describe("AEAD", () => {
      it.each(BOXES)("%s with the key %s", (cipher, key, nonce, associated, plain, sealed) => {
        const aead = provider.aead(cipher, bytes(key));
        const box = aead.seal(bytes(nonce), bytes(associated), [bytes(plain)]);
        expect(toHex(concat(...box))).toBe(sealed);
        expect(box.at(-1)).toHaveLength(16);
        const opened = aead.open(bytes(nonce), bytes(associated), [bytes(sealed)]);
        expect(opened && toHex(concat(...opened))).toBe(plain);
      });

      it.each(CIPHERS)("%s: pieces are one run of bytes, the tag may straddle them", (cipher) => {
        const blob = fc.uint8Array({ maxLength: 200 });
        const cuts = fc.array(fc.nat(), { maxLength: 12 });
        const aead = provider.aead(cipher, range(0, 32));
        const nonce = range(0, 12);
        fc.assert(
          fc.property(blob, blob, cuts, cuts, (plain, associated, plainCuts, sealedCuts) => {
            const whole = concat(...aead.seal(nonce, associated, [plain]));
            const before = toHex(plain);
            expect(concat(...aead.seal(nonce, associated, cutAt(plain, plainCuts)))).toEqual(whole);
            const opened = aead.open(nonce, associated, cutAt(whole, sealedCuts));
            expect(opened && toHex(concat(...opened))).toBe(before);
            expect(toHex(plain)).toBe(before);
          }),
          { numRuns: 60 },
        );
      });

      it.each(CIPHERS)("%s: each byte of the tag can be a piece of its own", (cipher) => {
        const aead = provider.aead(cipher, range(0, 32));
        const nonce = range(0, 12);
        for (const length of [0, 5]) {
          const plain = range(0, length);
          const pieces = [...concat(...aead.seal(nonce, EMPTY, [plain]))].map((b) =>
            Uint8Array.of(b),
          );
          const opened = aead.open(nonce, EMPTY, [EMPTY, ...pieces, EMPTY]);
          expect(opened && concat(...opened)).toEqual(plain);
        }
      });

      it.each(CIPHERS)("%s: releases nothing of a forgery", (cipher) => {
        const aead = provider.aead(cipher, range(0, 32));
        const [nonce, associated, plain] = [range(0, 12), range(0, 7), range(0, 33)];
        const sealed = concat(...aead.seal(nonce, associated, [plain]));
        for (let at = 0; at < sealed.length; at++) {
          const changed = sealed.slice();
          changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
          expect(aead.open(nonce, associated, [changed])).toBeUndefined();
          expect(aead.open(nonce, associated, [sealed.subarray(0, at)])).toBeUndefined();
        }
        expect(aead.open(nonce, associated, [sealed, Uint8Array.of(0)])).toBeUndefined();
        expect(aead.open(nonce, range(0, 8), [sealed])).toBeUndefined();
        expect(aead.open(nonce, EMPTY, [sealed])).toBeUndefined();
        expect(aead.open(range(1, 12), associated, [sealed])).toBeUndefined();
        expect(aead.open(nonce, associated, [])).toBeUndefined();
        const other = provider.aead(cipher, range(1, 32));
        expect(other.open(nonce, associated, [sealed])).toBeUndefined();
        expect(aead.open(nonce, associated, [sealed])).toBeDefined();
      });

      it.each(CIPHERS)("%s: key and nonce have one length each, the key is copied", (cipher) => {
        for (const length of [0, 16, 31, 33]) {
          expect(() => provider.aead(cipher, new Uint8Array(length))).toThrow(TypeError);
        }
        const key = Buffer.from(range(0, 32));
        const aead = provider.aead(cipher, key);
        for (const length of [0, 8, 11, 13, 24]) {
          const nonce = new Uint8Array(length);
          expect(() => aead.seal(nonce, EMPTY, [])).toThrow(TypeError);
          expect(() => aead.open(nonce, EMPTY, [new Uint8Array(16)])).toThrow(TypeError);
        }
        const plain = range(0, 32);
        const before = aead.seal(range(0, 12), EMPTY, [plain]);
        key.fill(0);
        expect(aead.seal(range(0, 12), EMPTY, [plain])).toEqual(before);
      });
    });
  });
}
