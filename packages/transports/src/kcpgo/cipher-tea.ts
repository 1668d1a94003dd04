/**
 * TEA and XTEA: two small block ciphers that no library here carries, in cipher feedback, for kcp-go's packets.
 *
 * Blocks of 64 bits as two words, big endian. TEA runs 8 of its 32 cycles, as the reference asks of it; neither is worth choosing.
 */

import { type Cipher, VECTOR } from "./cipher.ts";

const DELTA = 0x9e3779b9;
const TEA_CYCLES = 8;
const XTEA_CYCLES = 32;
const BLOCK_BYTES = 8;

/** Enciphers the two words in place. */
type Block = (words: Int32Array) => void;

export function tea(key: Uint8Array): Cipher {
  const [k0, k1, k2, k3] = keyWords(key);
  return feedback((words) => {
    let a = words[0] as number;
    let b = words[1] as number;
    for (let cycle = 1; cycle <= TEA_CYCLES; cycle++) {
      const sum = Math.imul(DELTA, cycle);
      a = (a + (((b << 4) + k0) ^ (b + sum) ^ ((b >>> 5) + k1))) | 0;
      b = (b + (((a << 4) + k2) ^ (a + sum) ^ ((a >>> 5) + k3))) | 0;
    }
    words[0] = a;
    words[1] = b;
  });
}

export function xtea(key: Uint8Array): Cipher {
  const words = keyWords(key);
  // What each half cycle mixes in depends on the key alone.
  const mixed = new Int32Array(2 * XTEA_CYCLES);
  let sum = 0;
  for (let cycle = 0; cycle < XTEA_CYCLES; cycle++) {
    mixed[2 * cycle] = sum + (words[sum & 3] as number);
    sum = (sum + DELTA) | 0;
    mixed[2 * cycle + 1] = sum + (words[(sum >>> 11) & 3] as number);
  }
  return feedback((block) => {
    let a = block[0] as number;
    let b = block[1] as number;
    for (let i = 0; i < 2 * XTEA_CYCLES; i += 2) {
      a = (a + ((((b << 4) ^ (b >>> 5)) + b) ^ (mixed[i] as number))) | 0;
      b = (b + ((((a << 4) ^ (a >>> 5)) + a) ^ (mixed[i + 1] as number))) | 0;
    }
    block[0] = a;
    block[1] = b;
  });
}

function keyWords(key: Uint8Array): [number, number, number, number] {
  const view = new DataView(key.buffer, key.byteOffset, key.length);
  return [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
}

function feedback(block: Block): Cipher {
  const vector = new DataView(VECTOR.buffer, VECTOR.byteOffset, BLOCK_BYTES);
  const state = new Int32Array(2);
  const rest = new Uint8Array(BLOCK_BYTES);
  const restView = new DataView(rest.buffer);
  const run = (packet: Uint8Array, sealing: boolean): void => {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
    state[0] = vector.getInt32(0);
    state[1] = vector.getInt32(4);
    let at = 0;
    for (; at + BLOCK_BYTES <= packet.length; at += BLOCK_BYTES) {
      block(state);
      for (let half = 0; half < 2; half++) {
        const before = view.getInt32(at + 4 * half);
        const after = before ^ (state[half] as number);
        view.setInt32(at + 4 * half, after);
        state[half] = sealing ? after : before;
      }
    }
    if (at === packet.length) return;
    block(state);
    restView.setInt32(0, state[0] as number);
    restView.setInt32(4, state[1] as number);
    for (let i = 0; at < packet.length; i++, at++) {
      packet[at] = (packet[at] as number) ^ (rest[i] as number);
    }
  };
  return { encrypt: (packet) => run(packet, true), decrypt: (packet) => run(packet, false) };
}
