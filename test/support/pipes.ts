/**
 * Pipes: two ends of a line inside one test, with somebody in the middle who may look and interfere.
 *
 * For handshakes and sessions: no socket, no clock, and every byte can be changed, cut, held or replayed.
 */

import { type BytePipe, concat, deferred, Inbox } from "@testudo/core";

/**
 * What the other end gets for a write that began `offset` bytes into this direction. Ending with
 * `undefined` hangs up behind the bytes given.
 */
export type Meddler = (bytes: Uint8Array, offset: number) => readonly (Uint8Array | undefined)[];

/** Hands everything on, one byte at a time. */
export const byteByByte: Meddler = (bytes) =>
  Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));

/** Inverts one bit of the byte at `position`. */
export function flipBit(position: number, bit: number): Meddler {
  return (bytes, offset) => {
    const copy = bytes.slice();
    const at = position - offset;
    if (at >= 0 && at < copy.length) copy[at] = (copy[at] as number) ^ (1 << bit);
    return [copy];
  };
}

/** Lets `length` bytes through, then hangs up. */
export function cutAfter(length: number): Meddler {
  return (bytes, offset) => {
    if (offset + bytes.length < length) return [bytes];
    return [bytes.subarray(0, Math.max(0, length - offset)), undefined];
  };
}

export class TestPipe implements BytePipe {
  /** Everything written, as it was written. */
  readonly sent: Uint8Array[] = [];
  readonly #inbox = new Inbox({ pause: () => {}, resume: () => {} }, Number.POSITIVE_INFINITY);
  readonly #closed = deferred<Error | undefined>();
  readonly #meddle: Meddler;
  readonly #merge: boolean;
  #other: TestPipe = this;
  #offset = 0;
  #held: Uint8Array[] = [];
  #scheduled = false;
  #ended = false;

  /** With `merge`, all writes of one turn of the event loop arrive as one chunk. */
  constructor(meddle: Meddler = (bytes) => [bytes], merge: boolean = false) {
    this.#meddle = meddle;
    this.#merge = merge;
  }

  static join(one: TestPipe, other: TestPipe): void {
    one.#other = other;
    other.#other = one;
  }

  get sentBytes(): number {
    return this.#offset;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.#ended) return false;
    const bytes = concat(...pieces);
    this.sent.push(bytes);
    const arriving = this.#meddle(bytes, this.#offset);
    this.#offset += bytes.length;
    for (const piece of arriving) {
      if (piece === undefined) this.hangUp();
      else this.#hand(piece);
    }
    return true;
  }

  #hand(piece: Uint8Array): void {
    if (!this.#merge) {
      this.#other.receive(piece);
      return;
    }
    this.#held.push(piece);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const held = this.#held;
      this.#held = [];
      this.#other.receive(concat(...held));
    });
  }

  /** As if the other side had written it. */
  receive(bytes: Uint8Array): void {
    this.#inbox.push(bytes);
  }

  /** The other side sees an end behind what was written so far. */
  hangUp(): void {
    this.#ended = true;
    this.#other.#inbox.finish();
  }

  /** This side sees an end, as if the other had hung up. */
  disconnect(): void {
    this.#inbox.finish();
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }

  async end(): Promise<void> {
    this.hangUp();
  }

  async close(): Promise<void> {
    this.hangUp();
  }

  abort(reason: Error): void {
    this.#inbox.finish(reason);
    this.hangUp();
    this.#closed.resolve(reason);
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }
}
