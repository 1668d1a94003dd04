/**
 * Both crypto providers against the conformance suite, and against each other on random input.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, toHex } from "../../packages/core/src/bytes.ts";
import { provider as noble } from "../../packages/core/src/crypto/noble.ts";
import { provider as node } from "../../packages/core/src/crypto/node.ts";
import type { CipherName, HashName } from "../../packages/core/src/crypto/types.ts";
import { cryptoConformance, cutAt } from "./crypto.ts";

cryptoConformance("node", node);
cryptoConformance("noble", noble);

describe("the two providers agree", () => {
  const blob = fc.uint8Array({ maxLength: 300 });
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const nonce = fc.uint8Array({ minLength: 12, maxLength: 12 });
  const hashName = fc.constantFrom<HashName>("SHA256", "SHA512", "BLAKE2s", "BLAKE2b");
  const cipherName = fc.constantFrom<CipherName>("AESGCM", "ChaChaPoly");
  const pieces = fc.array(blob, { maxLength: 4 });

  it("on hashes, HMACs and derived keys", () => {
    fc.assert(
      fc.property(hashName, blob, blob, pieces, fc.nat(700), (name, a, b, rest, length) => {
        expect(toHex(node.hash(name, a, ...rest))).toBe(toHex(noble.hash(name, a, ...rest)));
        expect(toHex(node.hmac(name, a, ...rest))).toBe(toHex(noble.hmac(name, a, ...rest)));
        const info = concat(...rest);
        expect(toHex(node.hkdf(name, a, b, info, length))).toBe(
          toHex(noble.hkdf(name, a, b, info, length)),
        );
      }),
    );
  });

  it("on checksums, from any start and around the size where native code takes over", () => {
    const start = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1_000 }), start, (data, previous) => {
        expect(node.crc32(data, previous)).toBe(noble.crc32(data, previous));
      }),
    );
    for (let length = 240; length < 272; length++) {
      const data = node.randomBytes(length);
      expect(node.crc32(data, 0xffff_ffff)).toBe(noble.crc32(data, 0xffff_ffff));
    }
  });

  it("on signatures, and on whether a bent one holds", () => {
    fc.assert(
      fc.property(key, blob, fc.nat(63), fc.nat(255), (seed, message, at, bits) => {
        const [native, pure] = [node.signer(seed), noble.signer(seed)];
        expect(toHex(native.publicKey)).toBe(toHex(pure.publicKey));
        const signature = native.sign(message);
        expect(toHex(signature)).toBe(toHex(pure.sign(message)));
        expect(noble.verify(native.publicKey, message, signature)).toBe(true);
        const bent = signature.slice();
        bent[at] = (bent[at] ?? 0) ^ bits;
        const answer = node.verify(native.publicKey, message, bent);
        expect(answer).toBe(bits === 0);
        expect(noble.verify(native.publicKey, message, bent)).toBe(answer);
      }),
      { numRuns: 40 },
    );
  });

  it("on any bytes given as a key and a signature", () => {
    const signature = fc.uint8Array({ minLength: 64, maxLength: 64 });
    fc.assert(
      fc.property(key, blob, signature, (publicKey, message, bytes) => {
        expect(node.verify(publicKey, message, bytes)).toBe(false);
        expect(noble.verify(publicKey, message, bytes)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it("on X25519, for any two arrays of 32 bytes", () => {
    fc.assert(
      fc.property(key, key, (secret, remote) => {
        const [native, pure] = [node.keyAgreement(secret), noble.keyAgreement(secret)];
        expect(toHex(native.publicKey)).toBe(toHex(pure.publicKey));
        expect(native.agree(remote)?.join()).toBe(pure.agree(remote)?.join());
      }),
      { numRuns: 40 },
    );
  });

  it("on sealed boxes: each opens the other's, however it was cut", () => {
    const cuts = fc.array(fc.nat(), { maxLength: 6 });
    fc.assert(
      fc.property(
        cipherName,
        key,
        nonce,
        blob,
        blob,
        cuts,
        (name, secret, n, ad, plain, places) => {
          const [native, pure] = [node.aead(name, secret), noble.aead(name, secret)];
          const sealed = concat(...native.seal(n, ad, cutAt(plain, places)));
          expect(toHex(concat(...pure.seal(n, ad, cutAt(plain, places))))).toBe(toHex(sealed));
          for (const side of [native, pure]) {
            const opened = side.open(n, ad, cutAt(sealed, places));
            expect(opened && toHex(concat(...opened))).toBe(toHex(plain));
          }
        },
      ),
    );
  });
});
