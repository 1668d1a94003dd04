/**
 * Queues: a promise with its handles outside, a FIFO of fixed cost, and the inbox every connection reads from.
 *
 * Nothing here grows without a bound: the inbox says when to pause its source.
 */

const ignore = (): void => {};

export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** A promise and its handles. Its rejection is never "unhandled": whoever awaits it sees it. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((ok, fail) => {
    resolve = ok;
    reject = fail;
  });
  promise.catch(ignore);
  return { promise, resolve, reject };
}

/** First in, first out, in amortised constant time; empties release their memory. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (this.#head < this.#items.length) {
      this.#items[this.#head++] = undefined;
      if (this.#head === this.#items.length) {
        this.#items = [];
        this.#head = 0;
      } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}

interface Waiter {
  resolve(result: IteratorResult<Uint8Array>): void;
  reject(reason: unknown): void;
}

/** What an inbox asks of the source that fills it. */
export interface InboxSource {
  pause(): void;
  resume(): void;
}

/** Chunks an inbox holds, whatever their size: one of a single byte costs hundreds. */
const HIGH_WATER_CHUNKS = 1_024;

/**
 * Chunks on their way from a callback-driven source to one `for await`. One reader at a time.
 * Past `highWaterBytes`, or 1,024 chunks, the source is paused until the reader has taken half.
 */
export class Inbox implements AsyncIterableIterator<Uint8Array> {
  readonly #chunks = new Fifo<Uint8Array>();
  readonly #highWater: number;
  readonly #source: InboxSource;
  #bytes = 0;
  #paused = false;
  #waiter: Waiter | undefined;
  #end: { error: Error | undefined } | undefined;

  constructor(source: InboxSource, highWaterBytes: number = 256 * 1024) {
    this.#source = source;
    this.#highWater = highWaterBytes;
  }

  /** Bytes that wait for the reader: for a source that cannot be paused. */
  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    if (this.#end !== undefined || chunk.length === 0) return;
    const waiter = this.#waiter;
    if (waiter !== undefined) {
      this.#waiter = undefined;
      waiter.resolve({ done: false, value: chunk });
      return;
    }
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#paused) return;
    if (this.#bytes >= this.#highWater || this.#chunks.size >= HIGH_WATER_CHUNKS) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** No more will come. With an error, the reader sees it after the chunks already here. */
  finish(error?: Error): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) return;
    if (error === undefined) waiter.resolve({ done: true, value: undefined });
    else waiter.reject(error);
  }

  /** Drops what nobody will read any more. */
  clear(): void {
    this.#chunks.clear();
    this.#bytes = 0;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#bytes -= chunk.length;
      if (this.#paused) this.#resumeAtHalf();
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#end !== undefined) {
      return this.#end.error === undefined
        ? Promise.resolve({ done: true, value: undefined })
        : Promise.reject(this.#end.error);
    }
    if (this.#waiter !== undefined) {
      return Promise.reject(new TypeError("an inbox has one reader at a time"));
    }
    // Not `deferred`: its reader awaits it, and one is made for every idle connection.
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  /** Takes back a `next()` that waits: it is done with nothing read. Leaving a loop closes nothing. */
  return(): Promise<IteratorResult<Uint8Array>> {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve({ done: true, value: undefined });
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #resumeAtHalf(): void {
    if (this.#bytes * 2 > this.#highWater || this.#chunks.size * 2 > HIGH_WATER_CHUNKS) return;
    this.#paused = false;
    this.#source.resume();
  }
}
