/**
 * Origin: what gossip carries, signed by whoever said it, so that nobody on the way can invent or change it.
 *
 *     signature(64) · origin(32) · u64 epoch · u32 seq · u64 time · u32 opcode · body
 *
 * The signature is Ed25519 over `testudo/gossip/1` · network id · everything behind the signature. `epoch` is
 * when the origin's node began to count (unix ms), `seq` counts its items from 1: a node that starts again
 * has a greater epoch and is not taken for a replay of itself. `time` is `epoch` and what its own monotonic
 * clock has measured since, so it never runs backwards, whatever the wall clock does.
 *
 * An item is read without being believed: `isAuthentic` is the one check, and it costs some 58 µs. Whoever
 * reads an item asks its marks first (`seen.ts`), so that a duplicate is never checked.
 */

import {
  concat,
  type Identity,
  type Message,
  PeerId,
  readU32,
  readU64,
  toUtf8,
  verify,
  writeU32,
  writeU64,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";

const CONTEXT: Uint8Array = /* @__PURE__ */ toUtf8("testudo/gossip/1");
const SIGNATURE_BYTES = 64;
const [ORIGIN_AT, EPOCH_AT, SEQ_AT, TIME_AT, OPCODE_AT, BODY_AT] = [64, 96, 104, 108, 116, 120];

/** In front of an item's body. */
export const ITEM_HEADER_BYTES: number = BODY_AT;
/** Of an id, on the wire and as a string with one character a byte. */
export const ID_BYTES = 16;
/** 2^48-1: no clock is right that says more. */
const MOST_MS = 2 ** 48 - 1;
const MOST_SEQ = 2 ** 32 - 1;

/** One message of one origin. `bytes` is what goes on, unchanged. */
export class Item {
  readonly bytes: Uint8Array;
  /** Unix ms. */
  readonly epoch: number;
  readonly seq: number;
  /** When the origin said it, by its own clock; unix ms. */
  readonly time: number;
  readonly opcode: number;
  /** One character a byte: a key for maps, not for people. */
  readonly originKey: string;
  #id: string | undefined;
  #origin: PeerId | undefined;

  constructor(bytes: Uint8Array, epoch: number, time: number) {
    this.bytes = bytes;
    this.epoch = epoch;
    this.time = time;
    this.seq = readU32(bytes, SEQ_AT);
    this.opcode = readU32(bytes, OPCODE_AT);
    this.originKey = binary(bytes, ORIGIN_AT, EPOCH_AT);
  }

  /** A view. */
  get body(): Uint8Array {
    return this.bytes.subarray(BODY_AT);
  }

  get origin(): PeerId {
    this.#origin ??= PeerId.from(this.bytes.subarray(ORIGIN_AT, EPOCH_AT));
    return this.#origin;
  }

  /** SHA-256 of origin, epoch and seq, the first 16 bytes, one character a byte. */
  get id(): string {
    if (this.#id === undefined) {
      const digest = provider.hash("SHA256", this.bytes.subarray(ORIGIN_AT, TIME_AT));
      this.#id = binary(digest, 0, ID_BYTES);
    }
    return this.#id;
  }

  /** The same, in bytes of its own. */
  copy(): Item {
    const item = new Item(new Uint8Array(this.bytes), this.epoch, this.time);
    item.#id = this.#id;
    return item;
  }

  /** Whether its origin signed it for this network. */
  isAuthentic(networkId: Uint8Array): boolean {
    const signature = this.bytes.subarray(0, SIGNATURE_BYTES);
    return verify(
      this.bytes.subarray(ORIGIN_AT, EPOCH_AT),
      signed(networkId, this.bytes),
      signature,
    );
  }
}

/** Reads an item, which views `bytes`. Throws `Error` for what no origin makes. Believes nothing. */
export function readItem(bytes: Uint8Array): Item {
  if (bytes.length < BODY_AT) throw new Error("an item is shorter than its header");
  const epoch = readU64(bytes, EPOCH_AT);
  const time = readU64(bytes, TIME_AT);
  if (epoch === undefined || epoch > MOST_MS || time === undefined || time > MOST_MS) {
    throw new Error("an item's time is beyond all clocks");
  }
  if (time < epoch) throw new Error("an item is older than its origin's epoch");
  const item = new Item(bytes, epoch, time);
  if (item.seq === 0) throw new Error("an item's seq is 0");
  return item;
}

export interface AuthorOptions {
  readonly identity: Identity;
  readonly networkId: Uint8Array;
  /** Unix ms; greater than in every earlier life of this identity. */
  readonly epoch: number;
  /** The monotonic clock, ms. */
  readonly now: number;
}

/** Makes this node's own items. */
export class Author {
  readonly #identity: Identity;
  readonly #networkId: Uint8Array;
  #epoch: number;
  #since: number;
  #seq = 0;

  constructor({ identity, networkId, epoch, now }: AuthorOptions) {
    this.#identity = identity;
    this.#networkId = networkId;
    this.#epoch = Math.floor(epoch);
    this.#since = now;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Others know a later epoch of ours: our clock was set back between two lives. Counts from a new one, if that is later. */
  raise(epoch: number, now: number): void {
    if (epoch <= this.#epoch) return;
    this.#epoch = Math.floor(epoch);
    this.#since = now;
    this.#seq = 0;
  }

  next({ opcode, body }: Message, now: number): Item {
    const time = this.#epoch + Math.max(0, Math.floor(now - this.#since));
    if (this.#seq === MOST_SEQ) this.raise(time + 1, now);
    const bytes = new Uint8Array(BODY_AT + body.length);
    bytes.set(this.#identity.publicKey, ORIGIN_AT);
    writeU64(bytes, EPOCH_AT, this.#epoch);
    writeU32(bytes, SEQ_AT, ++this.#seq);
    writeU64(bytes, TIME_AT, Math.max(time, this.#epoch));
    writeU32(bytes, OPCODE_AT, opcode);
    bytes.set(body, BODY_AT);
    bytes.set(this.#identity.sign(signed(this.#networkId, bytes)));
    return readItem(bytes);
  }
}

/** One character a byte. */
export function binary(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[]);
}

/** Writes such a text at `at`. */
export function writeBinary(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

function signed(networkId: Uint8Array, bytes: Uint8Array): Uint8Array {
  return concat(CONTEXT, networkId, bytes.subarray(SIGNATURE_BYTES));
}
