/**
 * GCM: kcp-go's packets under AES-GCM: `nonce 12 · ciphertext · tag 16`, nothing associated. The nonce is there when a packet comes
 * to be sealed; this file makes none.
 */

import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";

export const GCM_NONCE_BYTES = 12;
export const GCM_TAG_BYTES = 16;
const TAG_OPTIONS = { authTagLength: GCM_TAG_BYTES };

export type GcmName = "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm";

export class Gcm {
  readonly #algorithm: GcmName;
  readonly #key: KeyObject;

  constructor(algorithm: GcmName, key: Uint8Array) {
    this.#algorithm = algorithm;
    this.#key = createSecretKey(key);
  }

  /** In place. */
  seal(packet: Uint8Array): void {
    const nonce = packet.subarray(0, GCM_NONCE_BYTES);
    const tagAt = packet.length - GCM_TAG_BYTES;
    const context = createCipheriv(this.#algorithm, this.#key, nonce, TAG_OPTIONS);
    packet.set(context.update(packet.subarray(GCM_NONCE_BYTES, tagAt)), GCM_NONCE_BYTES);
    context.final();
    packet.set(context.getAuthTag(), tagAt);
  }

  /** Fresh memory; `undefined` for a forged packet. */
  open(packet: Uint8Array): Uint8Array | undefined {
    const nonce = packet.subarray(0, GCM_NONCE_BYTES);
    const tagAt = packet.length - GCM_TAG_BYTES;
    const context = createDecipheriv(this.#algorithm, this.#key, nonce, TAG_OPTIONS);
    context.setAuthTag(packet.subarray(tagAt));
    const plain = context.update(packet.subarray(GCM_NONCE_BYTES, tagAt));
    try {
      context.final();
    } catch {
      // The only way in which node:crypto says that the tag is wrong.
      return undefined;
    }
    return new Uint8Array(plain.buffer, plain.byteOffset, plain.length);
  }
}
