/**
 * The box stream that follows secret-handshake 1: length-hiding headers, bodies, a sealed goodbye.
 *
 * Spec: docs/protocol.md. A frame is a box of 34 bytes (body length, body's MAC) and the body's
 * ciphertext; both nonces come from one counter of 24 bytes, big endian. It never touches a socket. A
 * partial frame is kept in one buffer of its own size, at most 64 KiB, filled in place, so that a peer
 * that trickles costs neither memory nor time.
 */

import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { EMPTY, isZero, networkError, type Session, toUtf8 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import type { SessionSecrets } from "./handshake.ts";

/** Plaintext per frame we send. We open up to 65,535, which is what the length field can say. */
export const BOX_BYTES = 4_096;
const MAC_BYTES = 16;
const HEADER_PLAIN_BYTES = 2 + MAC_BYTES;
const HEADER_BYTES = HEADER_PLAIN_BYTES + MAC_BYTES;
/** The cipher works in place behind 32 bytes of its own; the MAC comes out in the latter half. */
const LEAD_BYTES = 32;

/** Shared by all sessions: sealing is synchronous, and leaves nothing but ciphertext in it. */
const bodyScratch: Uint8Array = /* @__PURE__ */ new Uint8Array(LEAD_BYTES + BOX_BYTES);
const headerScratch: Uint8Array = /* @__PURE__ */ new Uint8Array(LEAD_BYTES + HEADER_PLAIN_BYTES);

/** Plaintext on its way out of an opened frame: `lead | MAC | body`, decrypted in place. */
interface Incoming {
  readonly buffer: Uint8Array;
  filled: number;
}

export class BoxStream implements Session {
  readonly remoteKey: Uint8Array;
  readonly auth?: unknown;
  readonly boxBytes: number = BOX_BYTES;
  readonly #shared: Uint8Array;
  readonly #sealKey: Uint8Array;
  readonly #sealNonce: Uint8Array;
  readonly #openKey: Uint8Array;
  readonly #openNonce: Uint8Array;
  readonly #header: Uint8Array = new Uint8Array(HEADER_BYTES);
  #headerFilled = 0;
  #body: Incoming | undefined;
  #goodbyeSaid = false;
  #ended = false;
  #broken = false;

  constructor(secrets: SessionSecrets, remoteKey: Uint8Array, auth?: unknown) {
    this.remoteKey = remoteKey;
    this.auth = auth;
    this.#shared = secrets.shared;
    this.#sealKey = secrets.sealKey;
    this.#sealNonce = new Uint8Array(secrets.sealNonce);
    this.#openKey = secrets.openKey;
    this.#openNonce = new Uint8Array(secrets.openNonce);
  }

  /** Throws `TypeError` after `end()`. An empty run gives no frame. */
  seal(plain: readonly Uint8Array[]): Uint8Array[] {
    if (this.#goodbyeSaid) throw new TypeError("nothing may be sealed after the goodbye");
    let left = 0;
    for (const piece of plain) left += piece.length;
    if (left === 0) return [];
    const sealed = new Uint8Array(left + HEADER_BYTES * Math.ceil(left / BOX_BYTES));
    let to = 0;
    let index = 0;
    let offset = 0;
    while (left > 0) {
      const length = Math.min(left, BOX_BYTES);
      const scratch = bodyScratch.subarray(0, LEAD_BYTES + length);
      for (let at = LEAD_BYTES; at < scratch.length; ) {
        const piece = plain[index] as Uint8Array;
        const part = piece.subarray(offset, offset + scratch.length - at);
        scratch.set(part, at);
        at += part.length;
        offset += part.length;
        if (offset === piece.length) {
          index++;
          offset = 0;
        }
      }
      this.#sealFrame(scratch, sealed.subarray(to, to + HEADER_BYTES + length));
      to += HEADER_BYTES + length;
      left -= length;
    }
    return [sealed];
  }

  /** Throws `ProtocolError` `FRAME_MALFORMED`, and from then on always. Bytes after the goodbye are ignored. */
  open(chunk: Uint8Array): Uint8Array[] {
    if (this.#broken) throw forged();
    const opened: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      if (this.#body === undefined) {
        const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerFilled);
        this.#header.set(part, this.#headerFilled);
        this.#headerFilled += part.length;
        at += part.length;
        if (this.#headerFilled === HEADER_BYTES) this.#openHeader();
      } else {
        const { buffer, filled } = this.#body;
        const part = chunk.subarray(at, at + buffer.length - filled);
        buffer.set(part, filled);
        this.#body.filled += part.length;
        at += part.length;
        if (this.#body.filled === buffer.length) opened.push(this.#openBody(buffer));
      }
    }
    return opened;
  }

  /** 34 bytes the first time, none when the goodbye was already made. */
  end(): Uint8Array {
    if (this.#goodbyeSaid) return EMPTY;
    this.#goodbyeSaid = true;
    const goodbye = new Uint8Array(HEADER_BYTES);
    headerScratch.fill(0);
    this.#sealHeader(goodbye);
    return goodbye;
  }

  get ended(): boolean {
    return this.#ended;
  }

  exportKey(label: string): Uint8Array {
    const info = toUtf8(`testudo shs export ${label}`);
    return provider.hkdf("SHA256", this.#shared, EMPTY, info, 32);
  }

  /** `scratch` is the lead and the plaintext; its ciphertext goes into `frame`, behind the header. */
  #sealFrame(scratch: Uint8Array, frame: Uint8Array): void {
    const length = scratch.length - LEAD_BYTES;
    const bodyNonce = next(new Uint8Array(this.#sealNonce));
    xsalsa20poly1305(this.#sealKey, bodyNonce).encrypt(scratch.subarray(LEAD_BYTES), scratch);
    frame.set(scratch.subarray(LEAD_BYTES), HEADER_BYTES);
    headerScratch[LEAD_BYTES] = length >>> 8;
    headerScratch[LEAD_BYTES + 1] = length;
    headerScratch.set(scratch.subarray(LEAD_BYTES - MAC_BYTES, LEAD_BYTES), LEAD_BYTES + 2);
    this.#sealHeader(frame);
    next(this.#sealNonce);
  }

  /** Seals what lies behind the lead of `headerScratch`. */
  #sealHeader(frame: Uint8Array): void {
    const cipher = xsalsa20poly1305(this.#sealKey, this.#sealNonce);
    frame.set(cipher.encrypt(headerScratch.subarray(LEAD_BYTES), headerScratch));
    next(this.#sealNonce);
  }

  #openHeader(): void {
    const plain = this.#decrypt(this.#header);
    this.#headerFilled = 0;
    if (isZero(plain)) {
      this.#ended = true;
      return;
    }
    const length = ((plain[0] as number) << 8) | (plain[1] as number);
    const buffer = new Uint8Array(LEAD_BYTES + MAC_BYTES + length);
    buffer.set(plain.subarray(2), LEAD_BYTES);
    // A body of no bytes is legal and complete at once; its MAC must be right all the same.
    if (length === 0) this.#openBody(buffer);
    else this.#body = { buffer, filled: LEAD_BYTES + MAC_BYTES };
  }

  #openBody(buffer: Uint8Array): Uint8Array {
    this.#body = undefined;
    return this.#decrypt(buffer.subarray(LEAD_BYTES), buffer);
  }

  #decrypt(box: Uint8Array, output?: Uint8Array): Uint8Array {
    try {
      const plain = xsalsa20poly1305(this.#openKey, this.#openNonce).decrypt(box, output);
      next(this.#openNonce);
      return plain;
    } catch (cause) {
      this.#broken = true;
      throw forged(cause);
    }
  }
}

function forged(cause?: unknown): Error {
  return networkError("FRAME_MALFORMED", "a sealed frame was forged, replayed or damaged", {
    cause,
  });
}

/** Counts up by one, big endian, from the last byte; wraps to zero. */
function next(nonce: Uint8Array): Uint8Array {
  for (let i = nonce.length - 1; i >= 0; i--) {
    const value = ((nonce[i] as number) + 1) & 0xff;
    nonce[i] = value;
    if (value !== 0) break;
  }
  return nonce;
}
