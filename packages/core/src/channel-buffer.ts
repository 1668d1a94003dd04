/**
 * Channel buffers: bytes waiting to be sent, and bytes waiting to be read.
 *
 * Both cost what they hold and little more, whatever the sizes of the pieces: small writes share a block,
 * and so do small arrivals, since a peer that sends one byte a frame must not cost an object a byte.
 */

import { concat } from "./bytes.ts";
import { type Deferred, deferred, Fifo } from "./queue.ts";

const BLOCK_BYTES = 32 * 1024;
const KEPT_BLOCKS = 16;
/** Arrivals below this are gathered. */
const SMALL_BYTES = 4 * 1024;
const GATHER_BYTES = 8 * 1024;
/** A view is kept as it is when it fills at least this part of the memory it keeps alive. */
const KEPT_SHARE = 1 / 4;

/** Spare blocks that the send buffers of one host share. */
export class BlockPool {
  #spare: Uint8Array[] = [];

  take(): Uint8Array {
    return this.#spare.pop() ?? new Uint8Array(BLOCK_BYTES);
  }

  give(block: Uint8Array): void {
    if (this.#spare.length < KEPT_BLOCKS) this.#spare.push(block);
  }

  clear(): void {
    this.#spare = [];
  }
}

/** Copies what is written, so that the writer may reuse its memory, and gives it out in order. */
export class SendBuffer {
  readonly #pool: BlockPool;
  readonly #blocks = new Fifo<Uint8Array>();
  #tail: Uint8Array | undefined;
  #tailUsed = 0;
  #headTaken = 0;
  #size = 0;
  #spent: Uint8Array[] = [];

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  get size(): number {
    return this.#size;
  }

  push(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      if (this.#tail === undefined || this.#tailUsed === BLOCK_BYTES) {
        this.#tail = this.#pool.take();
        this.#tailUsed = 0;
        this.#blocks.push(this.#tail);
      }
      const count = Math.min(BLOCK_BYTES - this.#tailUsed, piece.length - at);
      const part = count === piece.length ? piece : piece.subarray(at, at + count);
      this.#tail.set(part, this.#tailUsed);
      this.#tailUsed += count;
      at += count;
    }
    this.#size += piece.length;
  }

  /** Adds up to `count` bytes to `pieces`. They stay valid until `recycle()`; call it before the next `take`. */
  take(count: number, pieces: Uint8Array[]): void {
    let left = Math.min(count, this.#size);
    this.#size -= left;
    while (left > 0) {
      const head = this.#blocks.peek() as Uint8Array;
      const used = head === this.#tail ? this.#tailUsed : BLOCK_BYTES;
      const part = Math.min(used - this.#headTaken, left);
      pieces.push(head.subarray(this.#headTaken, this.#headTaken + part));
      this.#headTaken += part;
      left -= part;
      if (this.#headTaken === used) {
        this.#blocks.shift();
        this.#spent.push(head);
        this.#headTaken = 0;
        if (head === this.#tail) this.#tail = undefined;
      }
    }
  }

  /** What was taken has been sent: its blocks may be filled again. */
  recycle(): void {
    for (let block = this.#spent.pop(); block !== undefined; block = this.#spent.pop()) {
      this.#pool.give(block);
    }
  }

  clear(): void {
    this.#blocks.clear();
    this.#tail = undefined;
    this.#headTaken = 0;
    this.#size = 0;
  }
}

/** Chunks for one reader. It has no bound of its own: the channel's credit is the bound. */
export class ReceiveBuffer implements AsyncIterableIterator<Uint8Array> {
  readonly #onTake: (bytes: number) => void;
  readonly #chunks = new Fifo<Uint8Array>();
  /** Small arrivals behind all chunks: `#gathered` bytes of it are in use. */
  #gather: Uint8Array | undefined;
  #gathered = 0;
  #size = 0;
  #finished = false;
  #error: Error | undefined;
  #waiter: Deferred<IteratorResult<Uint8Array>> | undefined;

  /** `onTake` is told of every chunk the reader takes. */
  constructor(onTake: (bytes: number) => void) {
    this.#onTake = onTake;
  }

  /** Bytes that nobody has taken. */
  get size(): number {
    return this.#size;
  }

  /** Takes a chunk that is never changed afterwards; it may be a view of something larger. */
  push(chunk: Uint8Array): void {
    const waiter = this.#waiter;
    if (waiter !== undefined) {
      this.#waiter = undefined;
      waiter.resolve({ done: false, value: own(chunk) });
      this.#onTake(chunk.length);
      return;
    }
    this.#size += chunk.length;
    if (this.#gathered + chunk.length > GATHER_BYTES || chunk.length >= SMALL_BYTES) {
      const gathered = this.#takeGathered();
      if (gathered !== undefined) this.#chunks.push(own(gathered));
    }
    if (chunk.length >= SMALL_BYTES) {
      this.#chunks.push(own(chunk));
      return;
    }
    this.#gather ??= new Uint8Array(GATHER_BYTES);
    this.#gather.set(chunk, this.#gathered);
    this.#gathered += chunk.length;
  }

  /** No more will come: the reader gets what is here, then the end. */
  finish(): void {
    this.#finished = true;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve({ done: true, value: undefined });
  }

  /** Drops what is here; reads reject from now on. Nothing happens to a reader that has, or has seen, everything. */
  fail(error: Error): void {
    if (this.#error !== undefined || (this.#finished && this.#size === 0)) return;
    this.#error = error;
    this.#chunks.clear();
    this.#takeGathered();
    this.#size = 0;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(error);
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const value = this.#chunks.shift() ?? this.#takeGathered();
    if (value !== undefined) {
      this.#size -= value.length;
      this.#onTake(value.length);
      return Promise.resolve({ done: false, value });
    }
    if (this.#finished) return Promise.resolve({ done: true, value: undefined });
    if (this.#waiter !== undefined) {
      return Promise.reject(new TypeError("a channel has one reader at a time"));
    }
    this.#waiter = deferred();
    return this.#waiter.promise;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #takeGathered(): Uint8Array | undefined {
    const gathered = this.#gather?.subarray(0, this.#gathered);
    this.#gather = undefined;
    this.#gathered = 0;
    return gathered;
  }
}

/** The chunk itself, or a copy when it would keep much more memory alive than it holds. */
function own(chunk: Uint8Array): Uint8Array {
  return chunk.length >= chunk.buffer.byteLength * KEPT_SHARE ? chunk : concat(chunk);
}
