/**
 * Cipher: what the ciphers of kcp-go's packets have in common.
 *
 * Most run in full-block cipher feedback, C[i] = P[i] ^ E(C[i-1]), C[-1] being a vector that never changes: the nonce at the head
 * of a packet is what makes the rest of it differ. A cipher knows nothing of what is in a packet but that.
 */

/** Whole packets of at least 20 bytes, in place. */
export interface Cipher {
  encrypt(packet: Uint8Array): void;
  /** The first 16 bytes, which are the nonce, need not come out right: nobody reads them. */
  decrypt(packet: Uint8Array): void;
}

/** Of the reference; a cipher with blocks of 8 bytes takes the first 8. */
export const VECTOR: Uint8Array = /* @__PURE__ */ Uint8Array.of(
  ...[0xa7, 0x73, 0x4f, 0x9c, 0x12, 0xac, 0x1b, 0x01],
  ...[0xa4, 0x15, 0xf2, 0xc1, 0xfc, 0x78, 0xe6, 0x6b],
);

/** `target[at + i] ^= source[i]` to the end of `target`: four bytes at a time where memory is aligned for it, which it mostly is. */
export function xorFrom(target: Uint8Array, at: number, source: Uint8Array): void {
  const length = target.length - at;
  let done = 0;
  if ((target.byteOffset + at) % 4 === 0 && source.byteOffset % 4 === 0) {
    const count = length >>> 2;
    const to = new Int32Array(target.buffer, target.byteOffset + at, count);
    const from = new Int32Array(source.buffer, source.byteOffset, count);
    for (let i = 0; i < count; i++) to[i] = (to[i] as number) ^ (from[i] as number);
    done = 4 * count;
  }
  for (let i = done; i < length; i++) {
    target[at + i] = (target[at + i] as number) ^ (source[i] as number);
  }
}
