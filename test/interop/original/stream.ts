/**
 * A stream of the published multiserver (a pull-stream duplex), as something a test can await.
 *
 * It reads at once and keeps what arrived, since the original's WebSocket source forgets an end that nobody
 * waits for. No error is lost: each direction ends well or with what the original said of it.
 */

import { type Deferred, deferred } from "@testudo/core";
import type { PullEnd, PullSource, PullStream } from "multiserver";
import { within } from "../within.ts";

type Next = Parameters<PullSource>[1];

export class OriginalStream {
  /** Who the original says is there. */
  readonly remote: Buffer | undefined;
  readonly auth: unknown;
  readonly address: string | undefined;
  readonly #arrived = new Incoming();
  readonly #feed = new Feed();

  constructor(stream: PullStream) {
    this.remote = stream.remote;
    this.auth = stream.auth;
    this.address = stream.address;
    this.#arrived.from(stream.source);
    stream.sink(this.#feed.source);
  }

  /** Resolves when the original has taken the bytes; rejects with its reason when it does not want any. */
  send(bytes: Uint8Array): Promise<void> {
    return within("the original taking bytes", this.#feed.push(Buffer.from(bytes)));
  }

  /** Says that no more comes: half-close, with the goodbye of the transforms. */
  end(): void {
    this.#feed.end(true);
  }

  /** Resolves with the reason when the original takes no bytes any more although nobody ended. */
  refusal(): Promise<Error> {
    return within("the original refusing bytes", this.#feed.refusal.promise);
  }

  /** The application failed: no goodbye, both directions are cut. */
  abort(reason: Error): void {
    this.#feed.end(reason);
  }

  /** Exactly so many bytes. */
  read(length: number): Promise<Buffer> {
    return within(`the original getting ${length} bytes`, this.#arrived.take(length));
  }

  /** All bytes to the end; rejects with the original's error when the end is none. */
  readAll(): Promise<Buffer> {
    return within("the end, at the original", this.#arrived.all());
  }

  /** What the original says of the incoming direction when it is over: nothing when it ended well. */
  outcome(): Promise<Error | undefined> {
    return within("the end, at the original", this.#arrived.over);
  }
}

/**
 * The original's own echo: its source into its sink, as its users write it. Settles with what it says of
 * the incoming direction.
 */
export function echoOf(stream: PullStream): Promise<Error | undefined> {
  const over = deferred<Error | undefined>();
  stream.sink((abort, next) => {
    stream.source(abort, (end, chunk) => {
      if (end !== null && end !== undefined) over.resolve(errorOf(end));
      next(end, chunk);
    });
  });
  return over.promise;
}

/** `true` is an end; a WebSocket's error comes in an event. */
export function errorOf(end: unknown): Error | undefined {
  if (end === true) return undefined;
  if (end instanceof Error) return end;
  const inner = typeof end === "object" && end !== null && "error" in end ? end.error : undefined;
  return inner instanceof Error ? inner : new Error(`the original ended with ${String(end)}`);
}

class Incoming {
  readonly over: Promise<Error | undefined>;
  readonly #ended = deferred<Error | undefined>();
  #isOver = false;
  #chunks: Buffer[] = [];
  #length = 0;
  #more = deferred<void>();

  constructor() {
    this.over = this.#ended.promise;
  }

  from(source: PullSource): void {
    source(null, (end, chunk) => {
      if (end !== null && end !== undefined) {
        this.#isOver = true;
        this.#ended.resolve(errorOf(end));
      } else if (chunk !== undefined) {
        this.#chunks.push(chunk);
        this.#length += chunk.length;
        // Not at once: a source that has much would fill the stack.
        queueMicrotask(() => this.from(source));
      }
      this.#more.resolve();
      this.#more = deferred();
    });
  }

  async take(length: number): Promise<Buffer> {
    while (this.#length < length) {
      if (this.#isOver) throw (await this.over) ?? new Error(`ended after ${this.#length} bytes`);
      await this.#more.promise;
    }
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(length)];
    this.#length -= length;
    return all.subarray(0, length);
  }

  async all(): Promise<Buffer> {
    const error = await this.over;
    if (error !== undefined) throw error;
    return Buffer.concat(this.#chunks);
  }
}

/** A pull source that is filled from outside. */
class Feed {
  readonly #waiting: {
    readonly bytes: Buffer;
    readonly taken: Deferred<void>;
  }[] = [];
  readonly refusal: Deferred<Error> = deferred();
  #end: PullEnd = null;
  #refused: Error | undefined;
  #next: Next | undefined;

  readonly source: PullSource = (abort, next) => {
    if (abort !== null && abort !== undefined) {
      this.#refused = errorOf(abort) ?? new Error("the original wants no more");
      this.refusal.resolve(this.#refused);
      for (const { taken } of this.#waiting.splice(0)) taken.reject(this.#refused);
      // A read that is still open is answered as well, or the original would wait for it for ever.
      this.#next?.(abort);
      this.#next = undefined;
      next(abort);
      return;
    }
    this.#next = next;
    this.#give();
  };

  push(bytes: Buffer): Promise<void> {
    if (this.#refused !== undefined) return Promise.reject(this.#refused);
    if (this.#end !== null) return Promise.reject(new Error("sent after the end"));
    const taken = deferred<void>();
    this.#waiting.push({ bytes, taken });
    this.#give();
    return taken.promise;
  }

  end(end: Error | true): void {
    this.#end ??= end;
    this.#give();
  }

  #give(): void {
    const next = this.#next;
    if (next === undefined) return;
    const first = this.#waiting.shift();
    if (first === undefined && this.#end === null) return;
    this.#next = undefined;
    if (first === undefined) {
      next(this.#end);
    } else {
      next(null, first.bytes);
      first.taken.resolve();
    }
  }
}
