/**
 * Connection and listener: bytes in order between two ends. What a transport makes, and all it makes.
 *
 * Also `Wire`, the byte reader that handshakes use before a session exists.
 */

import type { Section } from "./address.ts";
import { concat, EMPTY } from "./bytes.ts";
import { networkError } from "./errors.ts";

/** Who opened it. Never client or server. */
export type Side = "dialer" | "listener";

/** A two-way pipe of bytes with back-pressure. A channel inside a stream has the same shape. */
export interface BytePipe extends AsyncIterable<Uint8Array> {
  /**
   * Hands the pieces over in order, as one write. They must not change afterwards. `false`: taken, but
   * wait for `drain()` before the next. After an end or a close it does nothing and gives `false`.
   */
  write(...pieces: readonly Uint8Array[]): boolean;
  /** Resolves when writing is welcome again, or when the pipe is closed. Never rejects. */
  drain(): Promise<void>;
  /** Half-close: no more from us; the other direction goes on. Resolves when all is handed over or lost. */
  end(): Promise<void>;
  /** Ends, lets the other side finish for as long as its owner waits, and releases everything. */
  close(): Promise<void>;
  /** Ends now, without a goodbye; reads reject with `reason`. Idempotent. */
  abort(reason: Error): void;
  /** Settles once, never rejects: with the error when it was cut, without when both directions ended. */
  readonly closed: Promise<Error | undefined>;
}

/**
 * Unreliable messages. Each arrives whole or not at all, in any order, at most once; reading them gives those
 * that arrived, the oldest dropped when nobody reads. Iterating twice gives the same iterator: there is one
 * reader, leaving a loop closes nothing, and a `return()` takes back a `next()` that waits.
 */
export interface DatagramPipe extends AsyncIterable<Uint8Array> {
  /** The longest that can be sent now, in bytes; it may grow and shrink, and is 0 when it is over. */
  readonly maxBytes: number;
  /** Sends the bytes, which it does not keep. False when they were dropped at once. Never throws. */
  send(bytes: Uint8Array): boolean;
}

/** Those beside a connection's stream, with which they end. */
export interface Datagrams extends DatagramPipe {
  /**
   * For whoever made the session, once: begins, sealed under these 32 bytes that only the two ends know, or
   * unsealed without. Before it nothing is sent, and what arrives is dropped.
   */
  start(key?: Uint8Array): void;
}

/**
 * Iterating twice gives the same iterator: there is one reader, and leaving a loop closes nothing. Where the
 * iterator has a `return()`, that takes back a `next()` that waits, which is then done with nothing read.
 */
export interface Connection extends BytePipe {
  /** The other end, as the transport sees it: `net:203.0.113.9:51234`. */
  readonly remote: Section;
  /** Whether the other end is on this machine, so that per-host bounds do not apply. */
  readonly local: boolean;
  /** What a `wrap` has to say of this connection; carried through every transform. */
  readonly meta?: unknown;
  /** Absent where the transport has none. A stack starts them, under the key that its session exports. */
  readonly datagrams?: Datagrams | undefined;
}

export interface Listener {
  /** What others dial: the real host and port. */
  readonly section: Section;
  /** Where it is bound: the host that was asked for, `0.0.0.0` as it is, with the real port. Absent: `section`. */
  readonly bound?: Section;
  /** Whether only this machine can reach it. */
  readonly local: boolean;
  /** Stops accepting. Connections already accepted live on. Idempotent. */
  close(): Promise<void>;
}

/** Reads exact lengths from a connection and writes to it; what is left over goes on to the session. */
export class Wire {
  readonly #pipe: BytePipe;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #buffered: Uint8Array = EMPTY;

  constructor(pipe: BytePipe) {
    this.#pipe = pipe;
    this.#chunks = pipe[Symbol.asyncIterator]();
  }

  /**
   * Exactly `length` bytes. Rejects `TRUNCATED` when the other side ends first, or with the reason the
   * connection was aborted with: the owner's deadline aborts it, so a read needs no signal of its own.
   */
  async read(length: number): Promise<Uint8Array> {
    while (this.#buffered.length < length) {
      const { done, value } = await this.#chunks.next();
      if (done) throw hungUp();
      this.#buffered = this.#buffered.length === 0 ? value : concat(this.#buffered, value);
    }
    const bytes = this.#buffered.subarray(0, length);
    this.#buffered = this.#buffered.subarray(length);
    return bytes;
  }

  /**
   * What `work` settles to, unless the other side hangs up first without another byte: then rejects as `read`
   * does. What arrives meanwhile is there for the next read.
   */
  async during<T>(work: Promise<T>): Promise<T> {
    const chunks = this.#chunks;
    if (this.#buffered.length > 0 || chunks.return === undefined) return work;
    let over = false;
    const watching = chunks.next().then(({ done, value }) => {
      if (!done) this.#buffered = value;
      else if (!over) throw hungUp();
    });
    try {
      return await Promise.race([work, watching.then(() => work)]);
    } finally {
      over = true;
      await chunks.return();
      // Only now is it certain that nothing that arrived is missing.
      await watching.catch(() => {});
    }
  }

  write(...pieces: readonly Uint8Array[]): void {
    this.#pipe.write(...pieces);
  }

  /** What was read from the connection and not asked for; the wire must not be used afterwards. */
  rest(): Uint8Array {
    return this.#buffered;
  }
}

function hungUp(): Error {
  return networkError("TRUNCATED", "the other side hung up during the handshake");
}
