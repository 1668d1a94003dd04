/**
 * Crypto: what a provider must offer. Everything is synchronous, since a promise per frame would reorder frames.
 *
 * Two providers implement it, `node.ts` over the platform's native code and `noble.ts` in plain
 * TypeScript; an import condition picks one, and one conformance suite holds both to the same answers.
 */

export type HashName = "SHA256" | "SHA512" | "BLAKE2s" | "BLAKE2b";
export type CipherName = "AESGCM" | "ChaChaPoly";

/** An Ed25519 key that can sign. The secret stays inside. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes (RFC 8032). */
  sign(message: Uint8Array): Uint8Array;
}

/** An X25519 key pair. The secret stays inside. */
export interface KeyAgreement {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /**
   * The 32-byte shared secret (RFC 7748), or `undefined` when the result is all zero: the other side's
   * point has low order.
   */
  agree(remotePublicKey: Uint8Array): Uint8Array | undefined;
}

/**
 * AES-256-GCM or ChaCha20-Poly1305 under one 32-byte key, tag of 16 bytes at the end. The caller owns
 * the nonce (12 bytes) and never repeats it.
 */
export interface Aead {
  /** Ciphertext pieces then tag: joined, they are the sealed box. The plaintext pieces are one run of bytes. */
  seal(nonce: Uint8Array, associated: Uint8Array, plain: readonly Uint8Array[]): Uint8Array[];
  /** The plaintext pieces of `sealed` (pieces of ciphertext with the tag at the end), or `undefined` if it was forged. */
  open(
    nonce: Uint8Array,
    associated: Uint8Array,
    sealed: readonly Uint8Array[],
  ): Uint8Array[] | undefined;
}

export interface CryptoProvider {
  readonly name: "node" | "noble";
  randomBytes(length: number): Uint8Array;
  /** 32 bytes for SHA256 and BLAKE2s, 64 for SHA512 and BLAKE2b, over the pieces joined. */
  hash(name: HashName, ...pieces: readonly Uint8Array[]): Uint8Array;
  /** HMAC (RFC 2104) over the pieces joined; as long as the hash. */
  hmac(name: HashName, key: Uint8Array, ...pieces: readonly Uint8Array[]): Uint8Array;
  /** HKDF (RFC 5869), extract then expand. */
  hkdf(
    name: HashName,
    secret: Uint8Array,
    salt: Uint8Array,
    info: Uint8Array,
    length: number,
  ): Uint8Array;
  /** CRC-32 (IEEE 802.3, as zlib's), continued from `previous`. Unsigned. */
  crc32(bytes: Uint8Array, previous?: number): number;
  /** From a 32-byte seed (RFC 8032's secret key). */
  signer(seed: Uint8Array): Signer;
  /**
   * Strict: a public key of small order or in non-canonical form, and a signature with S >= L, are
   * false, never an exception.
   */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** A fresh X25519 pair, or the one of a given 32-byte secret. */
  keyAgreement(secret?: Uint8Array): KeyAgreement;
  aead(cipher: CipherName, key: Uint8Array): Aead;
}
