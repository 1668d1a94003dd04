/**
 * CipherState: one direction's key and its counting nonce (Noise revision 34, §5.1 and §11.3).
 *
 * AESGCM counts big endian, ChaChaPoly little endian, both behind four zero bytes (§12). The nonce never wraps: 2^64-1 belongs to
 * REKEY, and reaching it throws. This file never splits bytes into boxes; session.ts does.
 */

import { concat, EMPTY, networkError } from "@testudo/core";
import { type Aead, type CipherName, provider } from "@testudo/core/crypto";

const NONCE_AT = 4;
const MAX_U32 = 0xffff_ffff;
export const TAG_BYTES = 16;
export const KEY_BYTES = 32;

/** The nonce as the cipher reads it, written before each call: a cipher is done with it when it returns. */
const written = new Uint8Array(12);
const view = new DataView(written.buffer);

export class CipherState {
  readonly #name: CipherName;
  /** The counter in two halves of 32 bits: most sessions are idle, and an array each would outweigh the rest. */
  #high = 0;
  #low = 0;
  #aead: Aead;

  constructor(name: CipherName, key: Uint8Array) {
    this.#name = name;
    this.#aead = provider.aead(name, key);
  }

  /** The sealed box in pieces, tag last. Throws `STREAM_CLOSED` when the nonces are used up. */
  seal(associated: Uint8Array, plain: readonly Uint8Array[]): Uint8Array[] {
    this.#checkNonce();
    const sealed = this.#aead.seal(this.#written, associated, plain);
    this.#count();
    return sealed;
  }

  /** The plaintext in pieces, or `undefined` for a forged box, which uses up no nonce. */
  open(associated: Uint8Array, sealed: readonly Uint8Array[]): Uint8Array[] | undefined {
    this.#checkNonce();
    const plain = this.#aead.open(this.#written, associated, sealed);
    if (plain !== undefined) this.#count();
    return plain;
  }

  /** REKEY (§4.2): the next key is what this one makes of 32 zeros at nonce 2^64-1. The nonce goes on. */
  rekey(): void {
    const last = new Uint8Array(written.length).fill(0xff, NONCE_AT);
    const sealed = concat(...this.#aead.seal(last, EMPTY, [new Uint8Array(KEY_BYTES)]));
    this.#aead = provider.aead(this.#name, sealed.subarray(0, KEY_BYTES));
  }

  /** The nonce of the next box. */
  get nonce(): bigint {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  /** For transports that lose boxes and for tests. Throws `RangeError` unless it is in 0..2^64-1. */
  set nonce(value: bigint) {
    if (value < 0n || value >= 1n << 64n) throw new RangeError("nonce must be in 0..2^64-1");
    this.#high = Number(value >> 32n);
    this.#low = Number(value & 0xffff_ffffn);
  }

  get #written(): Uint8Array {
    const little = this.#name === "ChaChaPoly";
    view.setUint32(NONCE_AT, little ? this.#low : this.#high, little);
    view.setUint32(NONCE_AT + 4, little ? this.#high : this.#low, little);
    return written;
  }

  #count(): void {
    if (this.#low < MAX_U32) {
      this.#low++;
    } else {
      this.#low = 0;
      this.#high++;
    }
  }

  #checkNonce(): void {
    if (this.#high === MAX_U32 && this.#low === MAX_U32) {
      throw networkError("STREAM_CLOSED", "this session has used up its nonces; dial again");
    }
  }
}
