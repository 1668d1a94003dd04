/**
 * Stream ciphers of kcp-go's packets: Salsa20, and `xor`, which is a table that repeats in every packet and hides nothing.
 */

import { pbkdf2Sync } from "node:crypto";
import { salsa20 as noble } from "@noble/ciphers/salsa.js";
import { type Cipher, xorFrom } from "./cipher.ts";

/** Salsa20's own nonce is the beginning of the packet's, and stays in clear. */
const SALSA_NONCE_BYTES = 8;

const XOR_SALT = "sH3CIVoF#rWLtJo6";
const XOR_ROUNDS = 32;
const XOR_BYTES = 1500;

export function salsa20(key: Uint8Array): Cipher {
  const own = Uint8Array.from(key);
  const apply = (packet: Uint8Array): void => {
    const body = packet.subarray(SALSA_NONCE_BYTES);
    noble(own, packet.subarray(0, SALSA_NONCE_BYTES), body, body);
  };
  return { encrypt: apply, decrypt: apply };
}

export function xorTable(key: Uint8Array): Cipher {
  const table = pbkdf2Sync(key, XOR_SALT, XOR_ROUNDS, XOR_BYTES, "sha1");
  const apply = (packet: Uint8Array): void => xorFrom(packet, 0, table);
  return { encrypt: apply, decrypt: apply };
}
