/**
 * Identity and peer id: an Ed25519 key pair, and the public half that names a node.
 *
 * The secret stays in a private field: it is in no log, no JSON and no inspection output. It leaves
 * only through `secret()`, for the file that keeps it.
 */

import { concat, equal, fromBase64, toBase64, toUtf8 } from "./bytes.ts";
import { provider, type Signer } from "./crypto/index.ts";

const KEY_BYTES = 32;
const UNPROVED = "unproved:";

/** The public name of a node. Two are the same node exactly when their `text` is equal. */
export class PeerId {
  /** The 32-byte Ed25519 public key; for an unproved peer, bytes made for its connection. */
  readonly bytes: Uint8Array;
  /** Base64 of the key as multiserver prints it; `unproved:…` for a peer that proved nothing. */
  readonly text: string;
  /** False for a peer over `noauth`: its id lives in a namespace of its own and equals no key. */
  readonly proved: boolean;

  private constructor(bytes: Uint8Array, proved: boolean) {
    this.bytes = bytes;
    this.proved = proved;
    this.text = proved ? toBase64(bytes) : UNPROVED + toBase64(bytes);
    Object.freeze(this);
  }

  /** From a 32-byte public key or its base64 text. Throws `TypeError` for anything else. */
  static from(key: Uint8Array | string): PeerId {
    const bytes = typeof key === "string" ? fromBase64(key) : key;
    if (!(bytes instanceof Uint8Array) || bytes.length !== KEY_BYTES) {
      throw new TypeError("peer id must be a 32-byte key or its base64 text");
    }
    return new PeerId(new Uint8Array(bytes), true);
  }

  /** The id of a peer that proved no key, made from bytes unique to its connection. */
  static unproved(unique: Uint8Array): PeerId {
    return new PeerId(new Uint8Array(unique), false);
  }

  /** The first eight characters of the key's text: for people, not for comparing. */
  get short(): string {
    return this.proved
      ? this.text.slice(0, 8)
      : `?${this.text.slice(UNPROVED.length, UNPROVED.length + 7)}`;
  }

  equals(other: PeerId): boolean {
    return this.proved === other.proved && equal(this.bytes, other.bytes);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** A node's own key pair. */
export class Identity {
  readonly id: PeerId;
  readonly #seed: Uint8Array;
  readonly #signer: Signer;

  private constructor(seed: Uint8Array) {
    this.#seed = seed;
    this.#signer = provider.signer(seed);
    this.id = PeerId.from(this.#signer.publicKey);
  }

  /** A fresh key pair. */
  static generate(randomBytes: (length: number) => Uint8Array = provider.randomBytes): Identity {
    return new Identity(randomBytes(KEY_BYTES));
  }

  /**
   * From a 32-byte Ed25519 seed, or from 64 bytes of seed and public key as libsodium keeps them.
   * Throws `TypeError` for another length or when the two halves do not belong together.
   */
  static fromSecret(secret: Uint8Array): Identity {
    if (!(secret instanceof Uint8Array) || (secret.length !== 32 && secret.length !== 64)) {
      throw new TypeError("secret must be 32 bytes (seed) or 64 (seed and public key)");
    }
    const identity = new Identity(new Uint8Array(secret.subarray(0, KEY_BYTES)));
    if (secret.length === 64 && !equal(secret.subarray(KEY_BYTES), identity.publicKey)) {
      throw new TypeError("secret's public half does not belong to its seed");
    }
    return identity;
  }

  /** 32 bytes. */
  get publicKey(): Uint8Array {
    return this.id.bytes;
  }

  /** 64 bytes (Ed25519, RFC 8032). */
  sign(message: Uint8Array): Uint8Array {
    return this.#signer.sign(message);
  }

  /** The 64 bytes to keep: seed and public key. Whoever has them is this node. */
  secret(): Uint8Array {
    return concat(this.#seed, this.publicKey);
  }

  toJSON(): { id: string } {
    return { id: this.id.text };
  }
}

/** Whether `signature` (64 bytes) over `message` was made with `key`. Never throws for bad bytes. */
export function verify(
  key: Uint8Array | PeerId,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (key instanceof PeerId) return key.proved && provider.verify(key.bytes, message, signature);
  return provider.verify(key, message, signature);
}

/** The 32 bytes of a network id: as they are, or the SHA-256 of a text. Throws `TypeError` for anything else. */
export function networkIdOf(given: Uint8Array | string): Uint8Array {
  if (typeof given === "string") return provider.hash("SHA256", toUtf8(given));
  if (!(given instanceof Uint8Array) || given.length !== 32) {
    throw new TypeError("networkId must be 32 bytes or a text");
  }
  return new Uint8Array(given);
}
