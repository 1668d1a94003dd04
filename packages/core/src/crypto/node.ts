/**
 * Crypto, native: Node's own OpenSSL and zlib behind the contract of `types.ts`.
 *
 * The only file of core that may name `node:*`. It keeps no secret in a form that prints, and never
 * falls back to a weaker primitive. The odd choices below were measured: raw keys enter as JWK, since
 * the DER decoder takes ten times as long, and short checksums stay in TypeScript, since the call into
 * native code costs more than they do.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  hash as oneShotHash,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { crc32 as nativeCrc32 } from "node:zlib";
import { EMPTY, equal, isZero } from "../bytes.ts";
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

type Curve = "Ed25519" | "X25519";

const HASHES = { SHA256: "sha256", SHA512: "sha512", BLAKE2s: "blake2s256", BLAKE2b: "blake2b512" };
const HASH_BYTES = { SHA256: 32, SHA512: 64, BLAKE2s: 32, BLAKE2b: 64 };
const BLOCK_BYTES = { SHA256: 64, SHA512: 128, BLAKE2s: 64, BLAKE2b: 128 };
const CIPHERS = { AESGCM: "aes-256-gcm", ChaChaPoly: "chacha20-poly1305" } as const;

/** Below this many bytes the TypeScript checksum wins over the call into zlib. */
const NATIVE_CRC_BYTES = 256;

/** JWK wants a public key beside the private one; OpenSSL ignores it and computes its own. */
const ANY_PUBLIC = "A".repeat(43);

/**
 * The same memory without Buffer's face: `slice` must copy and `toString` must not decode, whichever
 * provider made the bytes.
 */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

function toBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64url");
}

function importPublic(curve: Curve, raw: Uint8Array): KeyObject {
  const key = { kty: "OKP", crv: curve, x: toBase64Url(raw) };
  return createPublicKey({ format: "jwk", key });
}

function importPrivate(curve: Curve, raw: Uint8Array): KeyObject {
  const key = { kty: "OKP", crv: curve, d: toBase64Url(raw), x: ANY_PUBLIC };
  return createPrivateKey({ format: "jwk", key });
}

/** The raw bytes of a public key. They are copied out of the platform's pool, since they live long. */
function exportPublic(key: KeyObject): Uint8Array {
  return new Uint8Array(Buffer.from(key.export({ format: "jwk" }).x as string, "base64url"));
}

function signer(seed: Uint8Array): Signer {
  checkLength(seed, KEY_BYTES, "seed");
  const key = importPrivate("Ed25519", seed);
  const publicKey = exportPublic(createPublicKey(key));
  return { publicKey, sign: (message) => plain(sign(null, message, key)) };
}

function strictVerify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isStrict(publicKey, signature)) return false;
  try {
    return verify(null, message, importSigner(publicKey), signature);
  } catch {
    // Bytes that are no point of the curve: a forgery like any other.
    return false;
  }
}

/** Who signs once signs again, and importing the key costs a seventh of a check. */
const MOST_SIGNERS = 256;
const signers = /* @__PURE__ */ new Map<string, KeyObject>();

function importSigner(raw: Uint8Array): KeyObject {
  const name = String.fromCharCode.apply(null, raw as unknown as number[]);
  const known = signers.get(name);
  if (known !== undefined) return known;
  const key = importPublic("Ed25519", raw);
  if (signers.size >= MOST_SIGNERS) {
    for (const oldest of signers.keys()) {
      signers.delete(oldest);
      break;
    }
  }
  signers.set(name, key);
  return key;
}

let lastRemote: { readonly raw: Uint8Array; readonly key: KeyObject } | undefined;

/** A handshake agrees with the same remote key more than once, and importing it costs a sixth of that. */
function importRemote(raw: Uint8Array): KeyObject {
  if (lastRemote === undefined || !equal(lastRemote.raw, raw)) {
    lastRemote = { raw: new Uint8Array(raw), key: importPublic("X25519", raw) };
  }
  return lastRemote.key;
}

/** The types know no JWK for this curve, the function does. */
const generateEncoded = generateKeyPairSync as unknown as (
  type: "x25519",
  options: { publicKeyEncoding: { format: "jwk" } },
) => { publicKey: { x: string }; privateKey: KeyObject };

/**
 * The public half is encoded as part of the generation. Exporting it from a finished pair can stop the
 * process for ever: in Node 20 the export holds the key's lock while it allocates, and a collection at that
 * moment destroys the generating job, which takes the same lock.
 */
function freshPair(): { privateKey: KeyObject; publicKey: Uint8Array } {
  const { publicKey, privateKey } = generateEncoded("x25519", {
    publicKeyEncoding: { format: "jwk" },
  });
  return { privateKey, publicKey: new Uint8Array(Buffer.from(publicKey.x, "base64url")) };
}

function keyAgreement(secret?: Uint8Array): KeyAgreement {
  let privateKey: KeyObject;
  let publicKey: Uint8Array;
  if (secret === undefined) {
    ({ privateKey, publicKey } = freshPair());
  } else {
    checkLength(secret, KEY_BYTES, "secret");
    privateKey = importPrivate("X25519", secret);
    publicKey = exportPublic(createPublicKey(privateKey));
  }
  return {
    publicKey,
    agree(remotePublicKey) {
      checkLength(remotePublicKey, KEY_BYTES, "remotePublicKey");
      const remote = importRemote(remotePublicKey);
      try {
        const shared = diffieHellman({ privateKey, publicKey: remote });
        return isZero(shared) ? undefined : plain(shared);
      } catch {
        // OpenSSL refuses an all-zero result by itself; with two whole keys nothing else can fail.
        return undefined;
      }
    },
  };
}

/** Short inputs are joined here for the one-shot hash, which makes no native object for the collector to find. */
const joined = new Uint8Array(4_096);

/** Views of it by length: a handshake hashes some forty times a few lengths. */
const heads: Uint8Array[] = [];

function head(length: number): Uint8Array {
  heads[length] ??= joined.subarray(0, length);
  return heads[length];
}

/** Copies the pieces to `at`; their end, or `undefined` when they do not fit. */
function join(pieces: readonly Uint8Array[], at: number): number | undefined {
  let end = at;
  for (const piece of pieces) {
    if (end + piece.length > joined.length) return undefined;
    joined.set(piece, end);
    end += piece.length;
  }
  return end;
}

/**
 * The one-shot digest of `input`, written to `target`. As a string of bytes, since a buffer of 32 bytes
 * costs a native allocation that outweighs the copy.
 */
function digest(name: HashName, input: Uint8Array, target: Uint8Array, at: number): void {
  const text = oneShotHash(HASHES[name], input, "binary");
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
}

function hash(name: HashName, ...pieces: readonly Uint8Array[]): Uint8Array {
  const end = join(pieces, 0);
  if (end !== undefined) {
    const bytes = new Uint8Array(HASH_BYTES[name]);
    digest(name, head(end), bytes, 0);
    return bytes;
  }
  const long = createHash(HASHES[name]);
  for (const piece of pieces) long.update(piece);
  return plain(long.digest());
}

/** HMAC (RFC 2104): the two hashes written out for short messages, OpenSSL's own for long ones. */
function hmac(name: HashName, key: Uint8Array, ...pieces: readonly Uint8Array[]): Uint8Array {
  const block = BLOCK_BYTES[name];
  const size = HASH_BYTES[name];
  const end = key.length > block ? undefined : join(pieces, block);
  if (end === undefined) {
    const long = createHmac(HASHES[name], key);
    for (const piece of pieces) long.update(piece);
    return plain(long.digest());
  }
  pad(key, block, 0x36);
  digest(name, head(end), joined, block);
  pad(key, block, 0x5c);
  const bytes = new Uint8Array(size);
  digest(name, head(block + size), bytes, 0);
  return bytes;
}

function pad(key: Uint8Array, block: number, mask: number): void {
  for (let i = 0; i < block; i++) joined[i] = (key[i] ?? 0) ^ mask;
}

/** The block numbers of HKDF, made once. */
const COUNTS = Array.from({ length: 255 }, (_, i) => Uint8Array.of(i + 1));

/** By hand, since `hkdfSync` is slower for the short outputs of a handshake and caps `info` at 1 KiB. */
function hkdf(
  name: HashName,
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  checkHkdfLength(length, HASH_BYTES[name]);
  const extracted = hmac(name, salt, secret);
  const output = new Uint8Array(length);
  let block: Uint8Array = EMPTY;
  for (let at = 0, count = 1; at < length; at += block.length, count++) {
    block = hmac(name, extracted, block, info, COUNTS[count - 1] as Uint8Array);
    output.set(block.length > length - at ? block.subarray(0, length - at) : block, at);
  }
  return output;
}

const TAG_OPTIONS = { authTagLength: TAG_BYTES };

class NativeAead implements Aead {
  /** The GCM name stands for both: the two ciphers have the same methods, the types only spell them apart. */
  readonly #algorithm: "aes-256-gcm";
  readonly #key: Uint8Array;

  constructor(cipher: CipherName, key: Uint8Array) {
    checkLength(key, KEY_BYTES, "key");
    this.#algorithm = CIPHERS[cipher] as "aes-256-gcm";
    this.#key = new Uint8Array(key);
  }

  seal(nonce: Uint8Array, associated: Uint8Array, pieces: readonly Uint8Array[]): Uint8Array[] {
    checkLength(nonce, NONCE_BYTES, "nonce");
    const context = createCipheriv(this.#algorithm, this.#key, nonce, TAG_OPTIONS);
    if (associated.length > 0) context.setAAD(associated);
    const sealed: Uint8Array[] = [];
    for (const piece of pieces) if (piece.length > 0) sealed.push(plain(context.update(piece)));
    context.final();
    sealed.push(plain(context.getAuthTag()));
    return sealed;
  }

  open(
    nonce: Uint8Array,
    associated: Uint8Array,
    sealed: readonly Uint8Array[],
  ): Uint8Array[] | undefined {
    checkLength(nonce, NONCE_BYTES, "nonce");
    const tag = tagOf(sealed);
    if (tag === undefined) return undefined;
    const context = createDecipheriv(this.#algorithm, this.#key, nonce, TAG_OPTIONS);
    if (associated.length > 0) context.setAAD(associated);
    context.setAuthTag(tag.bytes);
    const opened: Uint8Array[] = [];
    let left = tag.before;
    for (const piece of sealed) {
      if (left === 0) break;
      const part = piece.length > left ? piece.subarray(0, left) : piece;
      left -= part.length;
      if (part.length > 0) opened.push(plain(context.update(part)));
    }
    try {
      context.final();
    } catch {
      return undefined;
    }
    return opened;
  }
}

/** The last 16 bytes, which may straddle pieces, and how many come before them. */
function tagOf(pieces: readonly Uint8Array[]): { bytes: Uint8Array; before: number } | undefined {
  let total = 0;
  for (const piece of pieces) total += piece.length;
  if (total < TAG_BYTES) return undefined;
  const before = total - TAG_BYTES;
  const last = pieces.at(-1);
  if (last !== undefined && last.length >= TAG_BYTES) {
    return { bytes: last.subarray(last.length - TAG_BYTES), before };
  }
  const bytes = new Uint8Array(TAG_BYTES);
  let at = total;
  for (let i = pieces.length - 1; at > before; i--) {
    const piece = pieces[i] as Uint8Array;
    at -= piece.length;
    if (at >= before) bytes.set(piece, at - before);
    else bytes.set(piece.subarray(before - at), 0);
  }
  return { bytes, before };
}

export const provider: CryptoProvider = {
  name: "node",
  randomBytes: (length) => plain(randomBytes(length)),
  hash,
  hmac,
  hkdf,
  crc32: (bytes, previous = 0) =>
    bytes.length < NATIVE_CRC_BYTES ? crc32(bytes, previous) : nativeCrc32(bytes, previous),
  signer,
  verify: strictVerify,
  keyAgreement,
  aead: (cipher, key) => new NativeAead(cipher, key),
};
