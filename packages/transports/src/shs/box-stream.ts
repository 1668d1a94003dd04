/**
 * The box stream that follows secret-handshake 1: length-hiding headers, bodies, a sealed goodbye.
 *
 * Spec: docs/protocol.md. A frame is a box of 34 bytes (body length, body's MAC) and the body's
 * ciphertext; both nonces come from one counter of 24 bytes, big endian. It never touches a socket. A
 * partial frame is kept in one buffer of its own size, at most 64 KiB, filled in place, so that a peer
 * that trickles costs neither memory nor time.
 */

import {
  EMPTY,
  isZero,
  type NetworkError,
  networkError,
  type Session,
  toUtf8,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { Gather } from "../gather.ts";
import type { SessionSecrets } from "./handshake.ts";
import { BoxKey, secretBox, TAG_BYTES } from "./secretbox.ts";

/** Plaintext per frame we send. We open up to 65,535, which is what the length field can say. */
const BOX_BYTES = 4_096;
const HEADER_PLAIN_BYTES = 2 + TAG_BYTES;
const HEADER_BYTES = TAG_BYTES + HEADER_PLAIN_BYTES;
/** A header and a body. */
const NONCES_PER_FRAME = 2;

/** Of headers, ours and theirs: all sessions can share it, since both directions are synchronous. It keeps no body. */
const headerPlain: Uint8Array = /* @__PURE__ */ new Uint8Array(HEADER_PLAIN_BYTES);

/** A body on its way in, of which the header is known. */
interface Incoming {
  readonly length: number;
  readonly tag: Uint8Array;
  readonly sealed: Gather;
}

/** The key of one direction, with the nonces of the next frame's two boxes. */
class FrameKeys {
  readonly header: BoxKey;
  readonly body: BoxKey;

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.header = new BoxKey(key, nonce);
    this.body = new BoxKey(key, nonce);
    this.body.advance(1);
  }

  next(): void {
    this.header.advance(NONCES_PER_FRAME);
    this.body.advance(NONCES_PER_FRAME);
  }
}

export class BoxStream implements Session {
  readonly remoteKey: Uint8Array;
  readonly auth?: unknown;
  readonly boxBytes: number = BOX_BYTES;
  readonly #shared: Uint8Array;
  readonly #sealKeys: FrameKeys;
  readonly #openKeys: FrameKeys;
  readonly #header: Uint8Array = new Uint8Array(HEADER_BYTES);
  #headerFilled = 0;
  #body: Incoming | undefined;
  #goodbyeSaid = false;
  #ended = false;
  #broken: NetworkError | undefined;

  constructor(secrets: SessionSecrets, remoteKey: Uint8Array, auth?: unknown) {
    this.remoteKey = remoteKey;
    this.auth = auth;
    this.#shared = secrets.shared;
    this.#sealKeys = new FrameKeys(secrets.sealKey, secrets.sealNonce);
    this.#openKeys = new FrameKeys(secrets.openKey, secrets.openNonce);
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
      const { plain: room } = secretBox();
      for (let at = 0; at < length; ) {
        const piece = plain[index] as Uint8Array;
        const part = piece.subarray(offset, offset + length - at);
        room.set(part, at);
        at += part.length;
        offset += part.length;
        if (offset === piece.length) {
          index++;
          offset = 0;
        }
      }
      this.#sealFrame(sealed.subarray(to, to + HEADER_BYTES + length));
      to += HEADER_BYTES + length;
      left -= length;
    }
    return [sealed];
  }

  /**
   * One piece at most, whatever the number of frames. Throws `ProtocolError` `FRAME_MALFORMED`, and from then on
   * always. Bytes after the goodbye are ignored.
   */
  open(chunk: Uint8Array): Uint8Array[] {
    if (this.#broken !== undefined) throw this.#broken;
    let opened: Uint8Array | undefined;
    let length = 0;
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      const body = this.#body;
      if (body === undefined) {
        const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerFilled);
        this.#header.set(part, this.#headerFilled);
        this.#headerFilled += part.length;
        at += part.length;
        if (this.#headerFilled === HEADER_BYTES) this.#openHeader();
        continue;
      }
      const part = chunk.subarray(at, at + body.sealed.missing);
      at += part.length;
      const sealed = body.sealed.take(part);
      if (sealed === undefined) continue;
      // Nothing behind this body opens into more than its own bytes.
      opened ??= new Uint8Array(body.length + chunk.length - at);
      this.#openBody(sealed, body.tag, opened.subarray(length));
      length += body.length;
    }
    return opened === undefined ? [] : [opened.subarray(0, length)];
  }

  /** 34 bytes the first time, none when the goodbye was already made. */
  end(): Uint8Array {
    if (this.#goodbyeSaid) return EMPTY;
    this.#goodbyeSaid = true;
    const goodbye = new Uint8Array(HEADER_BYTES);
    headerPlain.fill(0);
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

  /** Seals what lies in the box's room: as much as there is space behind the frame's header. */
  #sealFrame(frame: Uint8Array): void {
    const length = frame.length - HEADER_BYTES;
    headerPlain[0] = length >>> 8;
    headerPlain[1] = length;
    const tag = headerPlain.subarray(2);
    secretBox().seal(this.#sealKeys.body, frame.subarray(HEADER_BYTES), tag);
    this.#sealHeader(frame);
    this.#sealKeys.next();
  }

  #sealHeader(frame: Uint8Array): void {
    const box = secretBox();
    box.plain.set(headerPlain);
    const sealed = frame.subarray(TAG_BYTES, HEADER_BYTES);
    box.seal(this.#sealKeys.header, sealed, frame.subarray(0, TAG_BYTES));
  }

  #openHeader(): void {
    const [mac, box] = [this.#header.subarray(0, TAG_BYTES), this.#header.subarray(TAG_BYTES)];
    this.#headerFilled = 0;
    if (!secretBox().open(this.#openKeys.header, box, mac, headerPlain)) throw this.#forged();
    if (isZero(headerPlain)) {
      this.#ended = true;
      return;
    }
    const length = ((headerPlain[0] as number) << 8) | (headerPlain[1] as number);
    const tag = headerPlain.slice(2);
    // A body of no bytes is legal and complete at once; its MAC must be right all the same.
    if (length === 0) this.#openBody(EMPTY, tag, EMPTY);
    else this.#body = { length, tag, sealed: new Gather(length) };
  }

  #openBody(sealed: Uint8Array, tag: Uint8Array, plain: Uint8Array): void {
    this.#body = undefined;
    if (!secretBox().open(this.#openKeys.body, sealed, tag, plain)) throw this.#forged();
    this.#openKeys.next();
  }

  #forged(): NetworkError {
    const message = "a sealed frame was forged, replayed or damaged";
    this.#broken = networkError("FRAME_MALFORMED", message);
    return this.#broken;
  }
}
