/**
 * Datagrams: unreliable messages beside the stream of a connection. Each arrives whole or not at all, in any
 * order, at most once.
 *
 * They do nothing until whoever owns the session says with which key they are sealed: AES-256-GCM under one key
 * for each direction, an explicit 64-bit number as the nonce, and a replay window of 1,024. Without a key they
 * are as open as the stream below. The queue of those received is bounded: the oldest make room.
 */

import { concat, EMPTY, Fifo, readU32, type Side, toUtf8, writeU32 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { ReplayWindow } from "./replay.ts";

const NUMBER_BYTES = 8;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
/** Received and not read. */
const MOST_QUEUED = 256;
const MOST_QUEUED_BYTES: number = 256 * 1024;
const WRAP = 2 ** 32;
/** Numbers beyond 2^53 are never sent. */
const MOST_HIGH = 2 ** 21;

type Aead = ReturnType<typeof provider.aead>;

/** What carries them: below it the packet's header is added. */
export interface DatagramCarrier {
  /** Bytes that fit behind the header of a packet. */
  room(): number;
  /** False when it was not sent. Copies the bytes. */
  transmit(body: Uint8Array): boolean;
}

interface Keys {
  readonly sealing: Aead | undefined;
  readonly opening: Aead | undefined;
}

export class KcpDatagrams implements AsyncIterableIterator<Uint8Array> {
  readonly #carrier: DatagramCarrier;
  readonly #side: Side;
  readonly #queue = new Fifo<Uint8Array>();
  readonly #seen: ReplayWindow = new ReplayWindow();
  #queuedBytes = 0;
  #keys: Keys | undefined;
  #number = 0;
  #waiter: ((result: IteratorResult<Uint8Array>) => void) | undefined;
  #over = false;

  constructor(carrier: DatagramCarrier, side: Side) {
    this.#carrier = carrier;
    this.#side = side;
  }

  /** The longest that can be sent now; 0 before `start`. Grows and shrinks with the path. */
  get maxBytes(): number {
    if (this.#keys === undefined || this.#over) return 0;
    const tag = this.#keys.sealing === undefined ? 0 : TAG_BYTES;
    return Math.max(this.#carrier.room() - NUMBER_BYTES - tag, 0);
  }

  /**
   * Begins, once: sealed under the 32 bytes that the session exports, or open when there are none. Both ends
   * must do the same. `RangeError` for a key of another length, `TypeError` for a second call.
   */
  start(key?: Uint8Array): void {
    if (this.#keys !== undefined) throw new TypeError("datagrams are started once");
    if (key === undefined) {
      this.#keys = { sealing: undefined, opening: undefined };
      return;
    }
    if (key.length !== KEY_BYTES) throw new RangeError("key must have 32 bytes");
    const other = this.#side === "dialer" ? "listener" : "dialer";
    this.#keys = { sealing: keyFrom(key, this.#side), opening: keyFrom(key, other) };
  }

  /** False when it was dropped here: before `start`, after the end, longer than `maxBytes`, or too many at once. */
  send(bytes: Uint8Array): boolean {
    const keys = this.#keys;
    if (keys === undefined || bytes.length > this.maxBytes || this.#over) return false;
    const number = writeNumber(this.#number++);
    const sealed = keys.sealing?.seal(nonceOf(number), number, [bytes]) ?? [bytes];
    return this.#carrier.transmit(concat(number, ...sealed));
  }

  /** What a packet carried. Keeps no reference to it. */
  receive(body: Uint8Array): void {
    const keys = this.#keys;
    if (keys === undefined || this.#over || body.length < NUMBER_BYTES) return;
    const high = readU32(body, 4);
    const number = high * WRAP + readU32(body, 0);
    if (high >= MOST_HIGH || !this.#seen.accepts(number)) return;
    const header = body.subarray(0, NUMBER_BYTES);
    const sealed = body.subarray(NUMBER_BYTES);
    const plain =
      keys.opening === undefined
        ? [sealed.slice()]
        : keys.opening.open(nonceOf(header), header, [sealed]);
    if (plain === undefined) return;
    this.#seen.mark(number);
    this.#deliver(plain.length === 1 ? (plain[0] ?? EMPTY) : concat(...plain));
  }

  /** Nothing more will come: the reader is told after what is here. */
  finish(): void {
    this.#over = true;
    this.#take({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const value = this.#queue.shift();
    if (value !== undefined) {
      this.#queuedBytes -= value.length;
      return Promise.resolve({ done: false, value });
    }
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    if (this.#waiter !== undefined) {
      return Promise.reject(new TypeError("datagrams have one reader at a time"));
    }
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  /** Takes back a `next()` that waits. Leaving a loop closes nothing. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#take({ done: true, value: undefined });
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #deliver(value: Uint8Array): void {
    if (this.#take({ done: false, value })) return;
    this.#queue.push(value);
    this.#queuedBytes += value.length;
    while (this.#queue.size > MOST_QUEUED || this.#queuedBytes > MOST_QUEUED_BYTES) {
      this.#queuedBytes -= this.#queue.shift()?.length ?? 0;
    }
  }

  #take(result: IteratorResult<Uint8Array>): boolean {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.(result);
    return waiter !== undefined;
  }
}

function keyFrom(key: Uint8Array, side: Side): Aead {
  const label = toUtf8(`testudo/kcp/1/datagrams/${side}`);
  return provider.aead("AESGCM", provider.hkdf("SHA256", key, EMPTY, label, KEY_BYTES));
}

function writeNumber(number: number): Uint8Array {
  const bytes = new Uint8Array(NUMBER_BYTES);
  writeU32(bytes, 0, number % WRAP);
  writeU32(bytes, 4, Math.floor(number / WRAP));
  return bytes;
}

function nonceOf(number: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce.set(number, 4);
  return nonce;
}
