/**
 * Messages over one TCP socket with the two things that matter most for speed: all messages of a tick
 * leave in one write, and a sealed batch is one AEAD frame. This is the bench's physical limit, not a
 * product: no opcodes, checksums, flow control, rekeying or plugins.
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { Deframer } from "./framing.mjs";

const BATCH_BYTES = 64 * 1024;
const HEADER = 4;
const TAG = 16;
/** Above this much in the socket's queue, a sender is told to wait. */
const HIGH_WATER = 1024 * 1024;
/** Below this size one copy is cheaper than a second piece in a writev. */
const JOIN_BELOW = 4 * 1024;

/** @typedef {{ seal: import("node:crypto").KeyObject, open: import("node:crypto").KeyObject }} Keys */

export class BatchSocket {
  #socket;
  #each;
  #sealer;
  /** @type {Buffer | undefined} */
  #batch;
  #used = 0;
  #scheduled = false;

  /**
   * @param {import("node:net").Socket} socket
   * @param {{ keys?: Keys | undefined, each?: boolean | undefined, onMessage: (body: Uint8Array, link: BatchSocket) => void, rest?: Uint8Array }} options
   *   `each`: one frame and one write a message. `rest`: bytes already read from the socket.
   */
  constructor(socket, { keys, each = false, onMessage, rest }) {
    this.#socket = socket;
    this.#each = each;
    this.#sealer = keys === undefined ? undefined : new Sealer(keys.seal);
    const deframer = new Deframer((body) => onMessage(body, this));
    const opener = keys === undefined ? deframer : new Opener(keys.open, deframer);
    if (rest !== undefined && rest.length > 0) opener.push(rest);
    socket.on("data", (chunk) => opener.push(chunk));
    socket.on("error", () => socket.destroy());
  }

  /** @param {Uint8Array} body */
  send(body) {
    const size = HEADER + body.length;
    if (size > BATCH_BYTES) {
      this.flush();
      const header = Buffer.allocUnsafe(HEADER);
      header.writeUInt32LE(body.length, 0);
      this.#write([header, body]);
      return this.#socket.writableLength < HIGH_WATER;
    }
    if (this.#used + size > BATCH_BYTES) this.flush();
    this.#batch ??= Buffer.allocUnsafeSlow(BATCH_BYTES);
    const batch = this.#batch;
    const at = this.#used;
    batch[at] = body.length & 255;
    batch[at + 1] = (body.length >>> 8) & 255;
    batch[at + 2] = (body.length >>> 16) & 255;
    batch[at + 3] = body.length >>> 24;
    batch.set(body, at + HEADER);
    this.#used = at + size;
    if (this.#each) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
    return this.#socket.writableLength < HIGH_WATER;
  }

  flush() {
    if (this.#used === 0 || this.#batch === undefined) return;
    const plain = this.#batch.subarray(0, this.#used);
    this.#used = 0;
    // Without a cipher the socket keeps what it is given, so the batch buffer itself cannot be handed over.
    this.#write([this.#sealer === undefined ? Buffer.from(plain) : plain]);
  }

  /** @param {Uint8Array[]} plain */
  #write(plain) {
    const pieces = this.#sealer === undefined ? plain : this.#sealer.seal(plain);
    if (pieces.length === 1 && pieces[0] !== undefined) {
      this.#socket.write(pieces[0]);
      return;
    }
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
  }

  /** @returns {Promise<void>} */
  drain() {
    if (this.#socket.writableLength < HIGH_WATER) return Promise.resolve();
    return new Promise((resolve) => this.#socket.once("drain", () => resolve()));
  }

  /** @returns {Promise<void>} */
  close() {
    this.flush();
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.once("close", () => resolve()).end();
    });
  }
}

/** 96-bit counter nonce, little endian, one step a frame. */
class Counter {
  bytes = Buffer.alloc(12);
  #count = 0;

  next() {
    this.bytes.writeUIntLE(this.#count++, 0, 6);
    return this.bytes;
  }
}

class Sealer {
  #key;
  #nonce = new Counter();

  /** @param {import("node:crypto").KeyObject} key */
  constructor(key) {
    this.#key = key;
  }

  /**
   * @param {Uint8Array[]} plain
   * @returns {Buffer[]}
   */
  seal(plain) {
    const cipher = createCipheriv("aes-256-gcm", this.#key, this.#nonce.next());
    const sealed = plain.map((piece) => cipher.update(piece));
    cipher.final();
    const length = sealed.reduce((sum, piece) => sum + piece.length, 0);
    const header = Buffer.allocUnsafe(HEADER);
    header.writeUInt32LE(length, 0);
    const pieces = [header, ...sealed, cipher.getAuthTag()];
    return length < JOIN_BELOW ? [Buffer.concat(pieces)] : pieces;
  }
}

/** Deciphers frames piece by piece as they arrive and hands them on once their tag is right. */
class Opener {
  #key;
  #next;
  #nonce = new Counter();
  #header = Buffer.alloc(HEADER);
  #tag = Buffer.alloc(TAG);
  /** Bytes of header, body and tag seen of the frame under way. */
  #at = 0;
  #length = 0;
  /** @type {import("node:crypto").DecipherGCM | undefined} */
  #decipher;
  /** @type {Buffer[]} */
  #plain = [];

  /**
   * @param {import("node:crypto").KeyObject} key
   * @param {{ push: (chunk: Uint8Array) => void }} next
   */
  constructor(key, next) {
    this.#key = key;
    this.#next = next;
  }

  /** @param {Uint8Array} chunk */
  push(chunk) {
    let at = 0;
    while (at < chunk.length) {
      if (this.#at < HEADER) {
        const take = Math.min(HEADER - this.#at, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + take), this.#at);
        this.#at += take;
        at += take;
        if (this.#at === HEADER) {
          this.#length = this.#header.readUInt32LE(0);
          this.#decipher = createDecipheriv("aes-256-gcm", this.#key, this.#nonce.next());
        }
        continue;
      }
      const decipher = this.#decipher;
      if (decipher === undefined) throw new Error("no frame under way");
      const bodyEnd = HEADER + this.#length;
      if (this.#at < bodyEnd) {
        const take = Math.min(bodyEnd - this.#at, chunk.length - at);
        this.#plain.push(decipher.update(chunk.subarray(at, at + take)));
        this.#at += take;
        at += take;
        continue;
      }
      const take = Math.min(bodyEnd + TAG - this.#at, chunk.length - at);
      this.#tag.set(chunk.subarray(at, at + take), this.#at - bodyEnd);
      this.#at += take;
      at += take;
      if (this.#at === bodyEnd + TAG) {
        decipher.setAuthTag(this.#tag);
        decipher.final();
        const plain = this.#plain;
        this.#plain = [];
        this.#decipher = undefined;
        this.#at = 0;
        for (const piece of plain) this.#next.push(piece);
      }
    }
  }
}
