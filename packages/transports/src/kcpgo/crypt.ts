/**
 * Crypt: the outermost layer of a kcp-go packet, by the names that kcptun gives its ciphers.
 *
 * Three layouts: nothing (`null`); `nonce 16 · crc32 4 · payload`, all of it enciphered under a key and a vector that never change
 * (`none` leaves it in clear); `nonce 12 · ciphertext · tag 16` (the `-gcm` names). A checksum is not a seal: under all but the
 * last, whoever is on the way can change packets, and under none of them is there a replay window or forward secrecy. It is here
 * to talk to what is deployed; what must be kept from others goes through a transform as well. Node only.
 */

import { getCiphers } from "node:crypto";
import { type Runtime, readU32, systemRuntime, writeU32 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import type { Cipher } from "./cipher.ts";
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, Gcm, type GcmName } from "./cipher-gcm.ts";
import { NativeCfb } from "./cipher-native.ts";
import { salsa20, xorTable } from "./cipher-stream.ts";
import { tea, xtea } from "./cipher-tea.ts";

/** No packet of kcp-go is longer, in bytes, headers included. */
export const MAX_PACKET_BYTES = 1500;

const NONCE_BYTES = 16;
const CRC_AT = NONCE_BYTES;
const HEADER_BYTES = 20;
/** Random bytes are fetched for so many packets at once: a call costs far more than the bytes. */
const NONCES_AT_ONCE = 64;

/**
 * `aes` is `aes-256`. What kcp-go has besides, and this does not: `blowfish`, `twofish` and `cast5`, which neither node:crypto nor
 * noble carries.
 */
export type CryptName =
  | "aes"
  | "aes-128"
  | "aes-192"
  | "aes-256"
  | "aes-128-gcm"
  | "aes-192-gcm"
  | "aes-256-gcm"
  | "3des"
  | "sm4"
  | "salsa20"
  | "tea"
  | "xtea"
  | "xor"
  | "none"
  | "null";

/** Packets of one key, in both directions and for any number of sessions. */
export interface Crypt {
  readonly name: CryptName;
  /** Bytes in front of the payload. */
  readonly headerBytes: number;
  /** Bytes after the payload. */
  readonly tailBytes: number;
  /** Both together. */
  readonly overheadBytes: number;
  /**
   * Seals in place: `packet` is `headerBytes` to be filled, the payload, `tailBytes` to be filled. `RangeError` when it is shorter
   * than these, or longer than 1500 bytes.
   */
  seal(packet: Uint8Array): void;
  /**
   * The payload, or `undefined` for a packet that is too short, too long, damaged or forged; never an exception. It may be a view
   * of `packet`, whose bytes are overwritten.
   */
  open(packet: Uint8Array): Uint8Array | undefined;
}

interface Kind {
  /** How much of the key is used; 0 for all of it. */
  readonly keyBytes: number;
  /** What node:crypto must carry. */
  readonly needs?: string;
  make(key: Uint8Array): Cipher | Gcm | undefined;
}

const cfb = (family: string, keyBytes: number, blockBytes: number): Kind => ({
  keyBytes,
  needs: `${family}-cbc`,
  make: (key) => new NativeCfb(family, key, blockBytes),
});
const gcm = (needs: GcmName, keyBytes: number): Kind => ({
  keyBytes,
  needs,
  make: (key) => new Gcm(needs, key),
});
const CLEAR: Cipher = { encrypt: () => undefined, decrypt: () => undefined };

const KINDS: Readonly<Record<CryptName, Kind>> = {
  aes: cfb("aes-256", 32, 16),
  "aes-128": cfb("aes-128", 16, 16),
  "aes-192": cfb("aes-192", 24, 16),
  "aes-256": cfb("aes-256", 32, 16),
  "aes-128-gcm": gcm("aes-128-gcm", 16),
  "aes-192-gcm": gcm("aes-192-gcm", 24),
  "aes-256-gcm": gcm("aes-256-gcm", 32),
  "3des": cfb("des-ede3", 24, 8),
  sm4: cfb("sm4", 16, 16),
  salsa20: { keyBytes: 32, make: salsa20 },
  tea: { keyBytes: 16, make: tea },
  xtea: { keyBytes: 16, make: xtea },
  xor: { keyBytes: 0, make: xorTable },
  none: { keyBytes: 0, make: () => CLEAR },
  null: { keyBytes: 0, make: () => undefined },
};

/** Those that this build of Node can do: one without SM4 in its OpenSSL lacks `sm4`. */
export function cryptNames(): CryptName[] {
  const carried = new Set(getCiphers());
  return (Object.keys(KINDS) as CryptName[]).filter((name) => {
    const { needs } = KINDS[name];
    return needs === undefined || carried.has(needs);
  });
}

/**
 * The layer of that name. The first bytes of `key` are used, as many as the cipher takes (32 at most, `xor` all of them), so that
 * one derived key serves every name, as in kcptun. Nonces come from `runtime`. `TypeError` for an unknown name, which lists the
 * known ones; `RangeError` for a key that is too short.
 */
export function makeCrypt(name: string, key: Uint8Array, runtime: Runtime = systemRuntime): Crypt {
  const names = cryptNames();
  const known = names.find((one) => one === name);
  if (known === undefined) {
    throw new TypeError(`crypt ${JSON.stringify(name)} is not one of ${names.join(", ")}`);
  }
  const { keyBytes, make } = KINDS[known];
  if (key.length < keyBytes || (known === "xor" && key.length === 0)) {
    throw new RangeError(`key must have at least ${Math.max(keyBytes, 1)} bytes for ${known}`);
  }
  const cipher = make(keyBytes === 0 ? key : key.subarray(0, keyBytes));
  if (cipher === undefined) return new NullCrypt();
  if (cipher instanceof Gcm) return new GcmCrypt(known, cipher, runtime);
  return new ChecksumCrypt(known, cipher, runtime);
}

/** Random bytes, a few at a time. */
class Nonces {
  readonly #runtime: Runtime;
  readonly #each: number;
  #pool: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(runtime: Runtime, each: number) {
    this.#runtime = runtime;
    this.#each = each;
  }

  /** Writes a nonce that was never given out at the start of `packet`. */
  fill(packet: Uint8Array): void {
    if (this.#at === this.#pool.length) {
      this.#pool = this.#runtime.randomBytes(this.#each * NONCES_AT_ONCE);
      this.#at = 0;
    }
    for (let i = 0; i < this.#each; i++) packet[i] = this.#pool[this.#at++] as number;
  }
}

function checkLength(packet: Uint8Array, overheadBytes: number): void {
  if (packet.length < overheadBytes || packet.length > MAX_PACKET_BYTES) {
    throw new RangeError(`packet must have ${overheadBytes} to ${MAX_PACKET_BYTES} bytes`);
  }
}

class NullCrypt implements Crypt {
  readonly name = "null";
  readonly headerBytes = 0;
  readonly tailBytes = 0;
  readonly overheadBytes = 0;

  seal(packet: Uint8Array): void {
    checkLength(packet, 0);
  }

  open(packet: Uint8Array): Uint8Array | undefined {
    return packet.length > MAX_PACKET_BYTES ? undefined : packet;
  }
}

class ChecksumCrypt implements Crypt {
  readonly name: CryptName;
  readonly headerBytes = HEADER_BYTES;
  readonly tailBytes = 0;
  readonly overheadBytes = HEADER_BYTES;
  readonly #cipher: Cipher;
  readonly #nonces: Nonces;

  constructor(name: CryptName, cipher: Cipher, runtime: Runtime) {
    this.name = name;
    this.#cipher = cipher;
    this.#nonces = new Nonces(runtime, NONCE_BYTES);
  }

  seal(packet: Uint8Array): void {
    checkLength(packet, HEADER_BYTES);
    this.#nonces.fill(packet);
    writeU32(packet, CRC_AT, provider.crc32(packet.subarray(HEADER_BYTES)));
    this.#cipher.encrypt(packet);
  }

  open(packet: Uint8Array): Uint8Array | undefined {
    if (packet.length < HEADER_BYTES || packet.length > MAX_PACKET_BYTES) return undefined;
    this.#cipher.decrypt(packet);
    const payload = packet.subarray(HEADER_BYTES);
    return provider.crc32(payload) === readU32(packet, CRC_AT) ? payload : undefined;
  }
}

class GcmCrypt implements Crypt {
  readonly name: CryptName;
  readonly headerBytes = GCM_NONCE_BYTES;
  readonly tailBytes = GCM_TAG_BYTES;
  readonly overheadBytes: number = GCM_NONCE_BYTES + GCM_TAG_BYTES;
  readonly #gcm: Gcm;
  readonly #nonces: Nonces;

  constructor(name: CryptName, gcm: Gcm, runtime: Runtime) {
    this.name = name;
    this.#gcm = gcm;
    this.#nonces = new Nonces(runtime, GCM_NONCE_BYTES);
  }

  seal(packet: Uint8Array): void {
    checkLength(packet, this.overheadBytes);
    this.#nonces.fill(packet);
    this.#gcm.seal(packet);
  }

  open(packet: Uint8Array): Uint8Array | undefined {
    if (packet.length < this.overheadBytes || packet.length > MAX_PACKET_BYTES) return undefined;
    return this.#gcm.open(packet);
  }
}
