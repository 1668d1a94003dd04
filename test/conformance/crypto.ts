/**
 * Conformance: what every crypto provider must answer, bit for bit.
 *
 * The constants are the published examples of RFC 8032, 7748, 5869, 4231, 8439, 7693, FIPS 180-4 and the
 * GCM submission; what they do not reach (pieces, forgery, odd keys) is stated as properties.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex, toUtf8 } from "../../packages/core/src/bytes.ts";
import type { CipherName, CryptoProvider, HashName } from "../../packages/core/src/crypto/types.ts";

/** Hex to bytes; a typing error in a vector fails at once. */
export function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value === undefined) throw new Error(`not hex: ${hex}`);
  return value;
}

/** Cuts `whole` at the given places (any numbers, taken modulo its length). */
export function cutAt(whole: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b);
  return [...places, whole.length].map((end, i) =>
    whole.subarray(i === 0 ? 0 : places[i - 1], end),
  );
}

const EMPTY = new Uint8Array(0);
const range = (from: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => from + i);

const HASH_OF_ABC: Record<HashName, string> = {
  SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  SHA512:
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
  BLAKE2s: "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
  BLAKE2b:
    "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
};
const HASH_NAMES = Object.keys(HASH_OF_ABC) as HashName[];
const CIPHERS: readonly CipherName[] = ["AESGCM", "ChaChaPoly"];

/** RFC 8032 §7.1: seed, public key, message, signature. */
const SIGNATURES: readonly (readonly [string, string, string, string])[] = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
  [
    "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    HASH_OF_ABC.SHA512,
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  ],
];

/** RFC 7748 §5.2 and §6.1: secret, other side's public key, shared secret. */
const AGREEMENTS: readonly (readonly [string, string, string])[] = [
  [
    "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
    "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
    "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
  ],
  [
    "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
    "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
    "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
  ],
  [
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
  ],
  [
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
  ],
];

/** The u-coordinates of low order, and their non-canonical twins: agreeing with one gives zero. */
const LOW_ORDER: readonly string[] = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
];

/** Key, nonce, associated data, plaintext, ciphertext and tag. */
const BOXES: readonly (readonly [CipherName, string, string, string, string, string])[] = [
  ["AESGCM", "00".repeat(32), "00".repeat(12), "", "", "530f8afbc74536b9a963b4f1c4cb738b"],
  [
    "AESGCM",
    "00".repeat(32),
    "00".repeat(12),
    "",
    "00".repeat(16),
    "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
  ],
  [
    "AESGCM",
    "feffe9928665731c6d6a8f9467308308".repeat(2),
    "cafebabefacedbaddecaf888",
    "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
  ],
  [
    "ChaChaPoly",
    toHex(range(0x80, 32)),
    "070000004041424344454647",
    "50515253c0c1c2c3c4c5c6c7",
    toHex(
      toUtf8(
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
      ),
    ),
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
  ],
];

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
