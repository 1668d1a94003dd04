/**
 * Secretbox with its nonces counted: XSalsa20-Poly1305, the cipher of the box stream.
 *
 * Spec: NaCl's crypto_secretbox, the tag apart from the ciphertext. Two implementations behind one interface:
 * WebAssembly of our own where that runs, because the box stream is as fast as its cipher and the platform has
 * no Salsa20; @noble/ciphers where it does not (a page whose policy forbids it, an engine without its vectors).
 * Nothing is decrypted before its tag was found right.
 */

import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { concat, equal, toUtf8 } from "@testudo/core";
import {
  BOX_AT,
  type SecretBoxModule,
  STATE_AT,
  secretBoxModule,
  TAG_AT,
} from "./secretbox-wasm.ts";

/** What a length field of 16 bits can say. */
export const MAX_SECRET_BYTES = 65_535;
export const TAG_BYTES = 16;
const NONCE_BYTES = 24;
/** Bytes of the nonce that go into the subkey; Salsa20 takes the others. */
const PREFIX_BYTES = 16;
/** The key stream begins with the key of Poly1305. */
const LEAD_BYTES = 32;
const GROUP_BYTES = 256;
const BLOCK_BYTES = 16;

export interface SecretBox {
  /** Room for what is sealed next. */
  readonly plain: Uint8Array;
  /** Seals the first `sealed.length` bytes of `plain` with the key's nonce, into `sealed` and `tag`. */
  seal(key: BoxKey, sealed: Uint8Array, tag: Uint8Array): void;
  /** Whether the box, of at most 65,535 bytes, is one of this key and nonce; then its plaintext begins `plain`. */
  open(key: BoxKey, sealed: Uint8Array, tag: Uint8Array, plain: Uint8Array): boolean;
}

/** A key, and the nonce of its next box. */
export class BoxKey {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 24 bytes, big endian; the key's own copy. */
  readonly nonce: Uint8Array;
  #state: Uint8Array | undefined;

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.key = key;
    this.nonce = new Uint8Array(nonce);
  }

  /** Counts on by `by`, at most 255; wraps to zero. */
  advance(by: number): void {
    let carry = by;
    for (let i = NONCE_BYTES - 1; carry > 0 && i >= 0; i--) {
      const value = (this.nonce[i] as number) + carry;
      this.nonce[i] = value;
      carry = value >>> 8;
      if (i < PREFIX_BYTES) this.#state = undefined;
      else if (this.#state !== undefined) this.#state[8 + i] = value;
    }
  }

  /** Salsa20's 64 bytes to begin with. The subkey changes only with the nonce's first 16 bytes, so it is kept. */
  get state(): Uint8Array {
    this.#state ??= stateOf(this.key, this.nonce);
    return this.#state;
  }
}

const SIGMA: Uint8Array = /* @__PURE__ */ toUtf8("expand 32-byte k");

function stateOf(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  const subkey = new Uint8Array(32);
  const words = (bytes: Uint8Array): Uint32Array => new Uint32Array(new Uint8Array(bytes).buffer);
  hsalsa(
    words(SIGMA),
    words(key),
    words(nonce.subarray(0, PREFIX_BYTES)),
    new Uint32Array(subkey.buffer),
  );
  const state = concat(
    ...[SIGMA.subarray(0, 4), subkey.subarray(0, 16), SIGMA.subarray(4, 8)],
    ...[nonce.subarray(PREFIX_BYTES), new Uint8Array(8)],
    ...[SIGMA.subarray(8, 12), subkey.subarray(16), SIGMA.subarray(12)],
  );
  subkey.fill(0);
  return state;
}

/** One box after another in one module's memory; what was in it is ciphertext again, or wiped. */
export function wasmSecretBox(): SecretBox {
  const module: SecretBoxModule = secretBoxModule(LEAD_BYTES + MAX_SECRET_BYTES);
  const { memory } = module;
  const at = BOX_AT + LEAD_BYTES;
  const begin = (key: BoxKey, groups: number): void => {
    memory.set(key.state, STATE_AT);
    memory.fill(0, BOX_AT, at);
    module.stream(BOX_AT, groups);
  };
  /** Of the ciphertext in place; its key lies in the lead. */
  const authenticate = (length: number): Uint8Array => {
    const rest = length % BLOCK_BYTES;
    if (rest > 0) {
      memory[at + length] = 1;
      memory.fill(0, at + length + 1, at + length + BLOCK_BYTES - rest);
    }
    module.authenticate(BOX_AT, at, Math.ceil(length / BLOCK_BYTES), rest > 0 ? 1 : 0);
    return memory.subarray(TAG_AT, TAG_AT + TAG_BYTES);
  };
  /** The subkey, the tag's key and the tag: all that lies before the box. */
  const wipe = (): void => void memory.fill(0, 0, at);
  return {
    plain: memory.subarray(at, at + MAX_SECRET_BYTES),
    seal(key, sealed, tag) {
      const { length } = sealed;
      begin(key, Math.ceil((LEAD_BYTES + length) / GROUP_BYTES));
      tag.set(authenticate(length));
      sealed.set(memory.subarray(at, at + length));
      wipe();
    },
    open(key, sealed, tag, plain) {
      const { length } = sealed;
      // The first group alone, for the key of the tag; then, once that is right, all of it.
      begin(key, 1);
      memory.set(sealed, at);
      const whole = equal(authenticate(length), tag);
      if (whole) {
        begin(key, Math.ceil((LEAD_BYTES + length) / GROUP_BYTES));
        plain.set(memory.subarray(at, at + length));
        memory.fill(0, at, at + length);
      }
      wipe();
      return whole;
    },
  };
}

export function nobleSecretBox(): SecretBox {
  const plain = new Uint8Array(MAX_SECRET_BYTES);
  return {
    plain,
    seal(key, sealed, tag) {
      const box = xsalsa20poly1305(key.key, key.nonce).encrypt(plain.subarray(0, sealed.length));
      plain.fill(0, 0, sealed.length);
      tag.set(box.subarray(0, TAG_BYTES));
      sealed.set(box.subarray(TAG_BYTES));
    },
    open(key, sealed, tag, into) {
      try {
        into.set(xsalsa20poly1305(key.key, key.nonce).decrypt(concat(tag, sealed)));
        return true;
      } catch {
        return false;
      }
    },
  };
}

let shared: SecretBox | undefined;

/** The one of this process, made with its first use: all of it is synchronous, so all sessions can share it. */
export function secretBox(): SecretBox {
  shared ??= fastest();
  return shared;
}

function fastest(): SecretBox {
  try {
    return wasmSecretBox();
  } catch {
    return nobleSecretBox();
  }
}
