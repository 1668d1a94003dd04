/**
 * Datagrams of a peer: those of the stream it is on, also when that is another one later.
 *
 * Keeps nothing: what waits for a reader waits in the transport, where it is bounded. What was received on a
 * stream that the peer has left is given up, as datagrams may be.
 */

import type { DatagramPipe } from "./connection.ts";
import { type Deferred, deferred } from "./queue.ts";

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };

export class PeerDatagrams implements DatagramPipe, AsyncIterableIterator<Uint8Array> {
  #pipe: DatagramPipe | undefined;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #reading = false;
  /** The reader has been sent away. */
  #leaving = false;
  #over: boolean;
  /** What a reader without anything to read from waits for. */
  #change: Deferred<void> | undefined;

  constructor(pipe: DatagramPipe, over: boolean) {
    this.#pipe = pipe;
    this.#chunks = pipe[Symbol.asyncIterator]();
    this.#over = over;
  }

  get maxBytes(): number {
    return this.#over ? 0 : (this.#pipe?.maxBytes ?? 0);
  }

  send(bytes: Uint8Array): boolean {
    return !this.#over && (this.#pipe?.send(bytes) ?? false);
  }

  /** Goes on with those of another stream, or rests where that has none. */
  moveTo(pipe: DatagramPipe | undefined): void {
    const before = this.#chunks;
    this.#pipe = pipe;
    this.#chunks = pipe?.[Symbol.asyncIterator]();
    void before?.return?.();
    this.#wake();
  }

  /** The peer is over: what waits can still be read, and a reader who waits is told. */
  finish(): void {
    this.#over = true;
    void this.#chunks?.return?.();
    this.#wake();
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#reading) throw new TypeError("datagrams have one reader at a time");
    this.#reading = true;
    try {
      return await this.#read();
    } finally {
      this.#reading = false;
      this.#leaving = false;
    }
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    if (this.#reading) {
      this.#leaving = true;
      void this.#chunks?.return?.();
      this.#wake();
    }
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #read(): Promise<IteratorResult<Uint8Array>> {
    while (!this.#leaving) {
      const chunks = this.#chunks;
      if (chunks === undefined) {
        if (this.#over) return DONE;
      } else {
        const read = chunks.next();
        // Nothing more is waited for, but what is here is read.
        if (this.#over) void chunks.return?.();
        const result = await read;
        if (result.done !== true) return result;
        if (this.#over) return DONE;
        if (chunks !== this.#chunks || this.#leaving) continue;
      }
      // The connection has ended, and the peer is about to, or to move; or it rests on a stream that has none.
      this.#change ??= deferred();
      await this.#change.promise;
    }
    return DONE;
  }

  #wake(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }
}
