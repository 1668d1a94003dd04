/**
 * Crypto, pure: the @noble libraries behind the contract of `types.ts`, for browsers and other places
 * without Node's native code.
 *
 * Never imports `node:*`. Audited primitives come from the libraries; only what must agree to the bit
 * with the native provider is spelt out here.
 */

import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { bytesToNumberLE } from "@noble/curves/utils.js";
import { blake2b, blake2s } from "@noble/hashes/blake2.js";
import { hkdf as nobleHkdf } from "@noble/hashes/hkdf.js";
import { hmac as nobleHmac } from "@noble/hashes/hmac.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { concat, equal } from "../bytes.ts";
import { systemRuntime } from "../runtime.ts";
import { crc32 } from "./crc32.ts";
import {
  checkHkdfLength,
  checkLength,
  isStrict,
  KEY_BYTES,
  NONCE_BYTES,
  TAG_BYTES,
} from "./strict.ts";
import type { Aead, CipherName, CryptoProvider, HashName, KeyAgreement, Signer } from "./types.ts";

const HASHES = { SHA256: sha256, SHA512: sha512, BLAKE2s: blake2s, BLAKE2b: blake2b };
const CIPHERS = { AESGCM: gcm, ChaChaPoly: chacha20poly1305 };

function signer(seed: Uint8Array): Signer {
  checkLength(seed, KEY_BYTES, "seed");
  const secret = new Uint8Array(seed);
  return {
    publicKey: ed25519.getPublicKey(secret),
    sign: (message) => ed25519.sign(message, secret),
  };
}

/**
 * RFC 8032 §5.1.7 without the cofactor, as OpenSSL has it: R is recomputed and compared as bytes. The
 * library's own `verify` multiplies by the cofactor, and so takes signatures that OpenSSL refuses.
 */
function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isStrict(publicKey, signature)) return false;
  const { BASE, Fn } = ed25519.Point;
  let key: typeof BASE;
  try {
    key = ed25519.Point.fromBytes(publicKey);
  } catch {
    // Bytes that are no point of the curve: a forgery like any other.
    return false;
  }
  const r = signature.subarray(0, 32);
  const s = bytesToNumberLE(signature.subarray(32));
  const challenge = Fn.create(bytesToNumberLE(hash("SHA512", r, publicKey, message)));
  const expected = BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(challenge));
  return equal(expected.toBytes(), r);
}

function keyAgreement(secret?: Uint8Array): KeyAgreement {
  if (secret !== undefined) checkLength(secret, KEY_BYTES, "secret");
  const own = secret === undefined ? systemRuntime.randomBytes(KEY_BYTES) : new Uint8Array(secret);
  return {
    publicKey: x25519.getPublicKey(own),
    agree(remotePublicKey) {
      checkLength(remotePublicKey, KEY_BYTES, "remotePublicKey");
      try {
        return x25519.getSharedSecret(own, remotePublicKey);
      } catch {
        // With two whole keys only a remote point of low order can fail.
        return undefined;
      }
    },
  };
}

function hash(name: HashName, ...pieces: readonly Uint8Array[]): Uint8Array {
  const digest = HASHES[name].create();
  for (const piece of pieces) digest.update(piece);
  return digest.digest();
}

function hmac(name: HashName, key: Uint8Array, ...pieces: readonly Uint8Array[]): Uint8Array {
  const digest = nobleHmac.create(HASHES[name], key);
  for (const piece of pieces) digest.update(piece);
  return digest.digest();
}

function hkdf(
  name: HashName,
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const hash = HASHES[name];
  checkHkdfLength(length, hash.outputLen);
  return nobleHkdf(hash, secret, salt, info, length);
}

function aead(cipher: CipherName, key: Uint8Array): Aead {
  checkLength(key, KEY_BYTES, "key");
  const secret = new Uint8Array(key);
  const make = CIPHERS[cipher];
  return {
    seal(nonce, associated, plain) {
      checkLength(nonce, NONCE_BYTES, "nonce");
      const sealed = make(secret, nonce, associated).encrypt(joined(plain));
      const tagAt = sealed.length - TAG_BYTES;
      const tag = sealed.subarray(tagAt);
      return tagAt === 0 ? [tag] : [sealed.subarray(0, tagAt), tag];
    },
    open(nonce, associated, sealed) {
      checkLength(nonce, NONCE_BYTES, "nonce");
      const box = joined(sealed);
      if (box.length < TAG_BYTES) return undefined;
      const context = make(secret, nonce, associated);
      let plain: Uint8Array;
      try {
        plain = context.decrypt(box);
      } catch {
        // Every argument was checked before: what is left is a tag that does not match.
        return undefined;
      }
      return plain.length === 0 ? [] : [plain];
    },
  };
}

/** The libraries take one array; a single piece needs no copy. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const only = pieces[0];
  return pieces.length === 1 && only !== undefined ? only : concat(...pieces);
}

export const provider: CryptoProvider = {
  name: "noble",
  randomBytes: systemRuntime.randomBytes,
  hash,
  hmac,
  hkdf,
  crc32,
  signer,
  verify,
  keyAgreement,
  aead,
};
