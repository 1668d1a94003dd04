/**
 * CipherState: one direction's key and its counting nonce (Noise revision 34, §5.1 and §11.3).
 *
 * The nonce lives in the twelve bytes the cipher reads, so counting allocates nothing: AESGCM counts big
 * endian, ChaChaPoly little endian, both behind four zero bytes (§12). It never wraps: 2^64-1 belongs to
 * REKEY, and reaching it throws. This file never splits bytes into boxes; session.ts does.
 */

import { concat, EMPTY, networkError } from "@testudo/core";
import { type Aead, type CipherName, provider } from "@testudo/core/crypto";

const NONCE_BYTES = 12;
const NONCE_AT = 4;
export const TAG_BYTES = 16;
export const KEY_BYTES = 32;

export class CipherState {
  readonly #name: CipherName;
  /** First and last byte of the counter in counting order, and the way from one to the other. */
  readonly #lowest: number;
  readonly #step: 1 | -1;
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  #aead: Aead;

  constructor(name: CipherName, key: Uint8Array) {
    this.#name = name;
    this.#lowest = name === "AESGCM" ? NONCE_BYTES - 1 : NONCE_AT;
    this.#step = name === "AESGCM" ? -1 : 1;
    this.#aead = provider.aead(name, key);
  }

  /** The sealed box in pieces, tag last. Throws `STREAM_CLOSED` when the nonces are used up. */
  seal(associated: Uint8Array, plain: readonly Uint8Array[]): Uint8Array[] {
    this.#checkNonce();
    const sealed = this.#aead.seal(this.#nonce, associated, plain);
    this.#count();
    return sealed;
  }

  /** The plaintext in pieces, or `undefined` for a forged box, which uses up no nonce. */
  open(associated: Uint8Array, sealed: readonly Uint8Array[]): Uint8Array[] | undefined {
    this.#checkNonce();
    const plain = this.#aead.open(this.#nonce, associated, sealed);
    if (plain !== undefined) this.#count();
    return plain;
  }

  /** REKEY (§4.2): the next key is what this one makes of 32 zeros at nonce 2^64-1. The nonce goes on. */
  rekey(): void {
    const last = new Uint8Array(NONCE_BYTES).fill(0xff, NONCE_AT);
    const sealed = concat(...this.#aead.seal(last, EMPTY, [new Uint8Array(KEY_BYTES)]));
    this.#aead = provider.aead(this.#name, sealed.subarray(0, KEY_BYTES));
  }

  /** The nonce of the next box. */
  get nonce(): bigint {
    let value = 0n;
    for (let i = 7; i >= 0; i--) {
      value = (value << 8n) | BigInt(this.#nonce[this.#lowest + i * this.#step] as number);
    }
    return value;
  }

  /** For transports that lose boxes and for tests. Throws `RangeError` unless it is in 0..2^64-1. */
  set nonce(value: bigint) {
    if (value < 0n || value >= 1n << 64n) throw new RangeError("nonce must be in 0..2^64-1");
    for (let i = 0; i < 8; i++) {
      this.#nonce[this.#lowest + i * this.#step] = Number((value >> BigInt(8 * i)) & 0xffn);
    }
  }

  #count(): void {
    const nonce = this.#nonce;
    for (let at = this.#lowest; ; at += this.#step) {
      const digit = ((nonce[at] as number) + 1) & 0xff;
      nonce[at] = digit;
      if (digit !== 0) return;
    }
  }

  #checkNonce(): void {
    if (this.#nonce[this.#lowest] === 0xff && this.nonce === 0xffff_ffff_ffff_ffffn) {
      throw networkError("STREAM_CLOSED", "this session has used up its nonces; dial again");
    }
  }
}
