/**
 * Body: reading and writing gossip's bodies. Nothing is read beyond the end, and no element before it was counted.
 */

import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "@testudo/core";
import { binary, writeBinary } from "./origin.ts";

const MOST_VARINT_BYTES = 7;

/** Reads a body from front to end; throws `Error` where it is broken. What it gives are views. */
export class Reader {
  readonly #body: Uint8Array;
  #at = 0;

  constructor(body: Uint8Array) {
    this.#body = body;
  }

  /** Bytes not read. */
  get left(): number {
    return this.#body.length - this.#at;
  }

  u8(): number {
    return this.#body[this.#take(1)] as number;
  }

  u16(): number {
    return readU16(this.#body, this.#take(2));
  }

  u32(): number {
    return readU32(this.#body, this.#take(4));
  }

  u64(): number {
    const value = readU64(this.#body, this.#take(8));
    if (value === undefined) throw new Error("a number exceeds 2^53-1");
    return value;
  }

  /** Seven bits a byte, the lowest first; up to 49 of them. */
  varint(): number {
    let value = 0;
    for (let i = 0; i < MOST_VARINT_BYTES; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new Error("a number is too long");
  }

  bytes(length: number): Uint8Array {
    const from = this.#take(length);
    return this.#body.subarray(from, from + length);
  }

  /** A text of one character a byte. */
  binary(length: number): string {
    const from = this.#take(length);
    return binary(this.#body, from, from + length);
  }

  /** `count`, if it is not above `most` and so many elements of at least `size` bytes can be there. */
  count(count: number, most: number, size: number): number {
    if (count > most) throw new Error(`more than ${most} elements`);
    if (count * size > this.left) throw new Error("fewer elements than it says");
    return count;
  }

  /** The same, and nothing behind them. */
  exactly(count: number, most: number, size: number): number {
    if (this.count(count, most, size) * size !== this.left) throw new Error("bytes are left over");
    return count;
  }

  /** All that is left, if it is not above `most` bytes. */
  upTo(most: number): number {
    if (this.left > most) throw new Error(`more than ${most} bytes`);
    return this.left;
  }

  end(): void {
    if (this.left > 0) throw new Error("bytes are left over");
  }

  #take(length: number): number {
    if (length > this.left) throw new Error("cut off");
    const from = this.#at;
    this.#at += length;
    return from;
  }
}

/** Writes a body; grows when it must. */
export class Writer {
  #body: Uint8Array;
  #at = 0;

  constructor(size: number) {
    this.#body = new Uint8Array(size);
  }

  u8(value: number): void {
    const at = this.#room(1);
    this.#body[at] = value;
  }

  u16(value: number): void {
    const at = this.#room(2);
    writeU16(this.#body, at, value);
  }

  u32(value: number): void {
    const at = this.#room(4);
    writeU32(this.#body, at, value);
  }

  u64(value: number): void {
    const at = this.#room(8);
    writeU64(this.#body, at, value);
  }

  varint(value: number): void {
    let left = value;
    for (; left >= 0x80; left = Math.floor(left / 0x80)) this.u8((left % 0x80) | 0x80);
    this.u8(left);
  }

  bytes(value: Uint8Array): void {
    const at = this.#room(value.length);
    this.#body.set(value, at);
  }

  /** A text of one character a byte. */
  binary(value: string): void {
    const at = this.#room(value.length);
    writeBinary(this.#body, at, value);
  }

  done(): Uint8Array {
    return this.#body.subarray(0, this.#at);
  }

  #room(length: number): number {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#body.length) {
      const larger = new Uint8Array(Math.max(this.#at, 2 * this.#body.length));
      larger.set(this.#body);
      this.#body = larger;
    }
    return at;
  }
}
