/**
 * Native CFB: AES, Triple DES and SM4 in cipher feedback, computed by node:crypto in other modes.
 *
 * A cipher object per packet costs more than the cipher, and one in CFB mode cannot be set back to its vector. But the key stream
 * X[i+1] = E(C[i]) = E(P[i] ^ X[i]) is what CBC makes of P, so one CBC object seals every packet: what it carries over from the
 * last one is known, and is cancelled in the first block. To open, all of C is there at once and ECB does: one call each way.
 */

import { createCipheriv, type Cipher as NodeCipher } from "node:crypto";
import { type Cipher, VECTOR, xorFrom } from "./cipher.ts";

/** In place, for packets of more than one block. Private: what a key stream ends with is as secret as the key stream. */
export class NativeCfb implements Cipher {
  readonly #blockBytes: number;
  readonly #cbc: NodeCipher;
  readonly #ecb: NodeCipher;
  /** E(vector), which every packet begins with. */
  readonly #first: Uint8Array;
  /** What the CBC object will mix into the next block. */
  readonly #carry: Uint8Array;
  readonly #head: Uint8Array;

  /** `family` as node:crypto names it, without the mode. */
  constructor(family: string, key: Uint8Array, blockBytes: number) {
    const zero = new Uint8Array(blockBytes);
    this.#blockBytes = blockBytes;
    this.#cbc = createCipheriv(`${family}-cbc`, key, zero).setAutoPadding(false);
    this.#ecb = createCipheriv(`${family}-ecb`, key, null).setAutoPadding(false);
    this.#first = this.#ecb.update(VECTOR.subarray(0, blockBytes));
    this.#carry = zero;
    this.#head = new Uint8Array(blockBytes);
  }

  encrypt(packet: Uint8Array): void {
    const size = this.#blockBytes;
    for (let i = 0; i < size; i++) {
      const sealed = (packet[i] as number) ^ (this.#first[i] as number);
      this.#head[i] = sealed;
      packet[i] = sealed ^ (this.#carry[i] as number);
    }
    const stream = this.#cbc.update(this.#covering(packet));
    for (let i = 0; i < size; i++) {
      packet[i] = this.#head[i] as number;
      this.#carry[i] = stream[stream.length - size + i] as number;
    }
    xorFrom(packet, size, stream);
  }

  /** Leaves the first block as it is: it holds nothing but nonce. */
  decrypt(packet: Uint8Array): void {
    xorFrom(packet, this.#blockBytes, this.#ecb.update(this.#covering(packet)));
  }

  /** The whole blocks whose images are the key stream for all after the first block. */
  #covering(packet: Uint8Array): Uint8Array {
    const size = this.#blockBytes;
    return packet.subarray(0, size * Math.ceil((packet.length - size) / size));
  }
}
