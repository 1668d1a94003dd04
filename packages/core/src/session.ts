/**
 * Sessions over sessions: what a stack with more than one transform needs, and a sealed connection as a
 * plain pipe of bytes for those who want no messages.
 */

import type { Section } from "./address.ts";
import { concat, EMPTY } from "./bytes.ts";
import type { Connection, Datagrams } from "./connection.ts";
import { asError, networkError } from "./errors.ts";
import type { Session } from "./transform.ts";

/**
 * The session of a chain: `inner` lies next to the wire, `outer` next to the application. Its key and
 * its word on `auth` are the outermost that has one, its goodbye the outermost's sealed by the inner.
 */
export function composeSessions(inner: Session, outer: Session): Session {
  const exportKey = outer.exportKey?.bind(outer) ?? inner.exportKey?.bind(inner);
  // Where neither has a goodbye there must be none to wait for: a session with one and `ended` is over.
  const goodbye = inner.end !== undefined || outer.end !== undefined;
  return {
    remoteKey: outer.remoteKey ?? inner.remoteKey,
    auth: outer.auth ?? inner.auth,
    boxBytes: outer.boxBytes,
    seal: (plain) => inner.seal(outer.seal(plain)),
    open(chunk) {
      const opened: Uint8Array[] = [];
      for (const piece of inner.open(chunk)) opened.push(...outer.open(piece));
      return opened;
    },
    ...(goodbye ? { end: () => endOf(inner, outer) } : {}),
    get ended() {
      return outer.ended && inner.ended;
    },
    ...(exportKey === undefined ? {} : { exportKey }),
  };
}

function endOf(inner: Session, outer: Session): Uint8Array {
  const goodbye = outer.end === undefined ? [] : inner.seal([outer.end()]);
  if (inner.end !== undefined) goodbye.push(inner.end());
  return goodbye.length === 1 ? (goodbye[0] as Uint8Array) : concat(...goodbye);
}

/** How much is read ahead of a reader that has ended its own direction. */
const AHEAD_BYTES = 64 * 1024;

/**
 * A connection seen through its session: plaintext in, plaintext out. `opened` is plaintext that came with
 * the handshake, `rest` sealed bytes behind it. An end without the goodbye that the session has is `TRUNCATED`.
 *
 * Where the session has a goodbye, `end()` says it and leaves the connection open until the other side's was
 * read, or `close()`: many a listener hangs up as soon as the connection below ends, with half of its answer
 * unsent, and a WebSocket has no other way to end one direction.
 */
export class SealedConnection implements Connection {
  /** Takes back a `next()` that waits; absent where the connection below cannot. */
  readonly return?: () => Promise<IteratorResult<Uint8Array>>;
  readonly #connection: Connection;
  readonly #session: Session;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #opened: Uint8Array[];
  #rest: Uint8Array;
  #filling: Promise<void> | undefined;
  /** A `next()` is waiting; it is being taken back. */
  #waiting = false;
  #leaving = false;
  /** Nothing more will come. */
  #over: boolean;
  #ending: Promise<void> | undefined;
  #closed: Promise<Error | undefined> | undefined;
  #failure: Error | undefined;

  constructor(
    connection: Connection,
    session: Session,
    opened: Uint8Array[] = [],
    rest: Uint8Array = EMPTY,
  ) {
    this.#connection = connection;
    this.#session = session;
    this.#chunks = connection[Symbol.asyncIterator]();
    this.#opened = [...opened];
    this.#rest = rest;
    this.#over = session.end !== undefined && session.ended;
    if (this.#chunks.return !== undefined) this.return = () => this.#leave();
  }

  /** Asked of the pipe that is read from, never of one that only a handshake used: it may read what is left. */
  get closed(): Promise<Error | undefined> {
    this.#closed ??= this.#connection.closed.then(
      (error) => this.#failure ?? error ?? this.#withoutGoodbye(),
    );
    return this.#closed;
  }

  /** A connection that closes both directions at once, as WebSockets do, may have done so before its last bytes were read. */
  async #withoutGoodbye(): Promise<Error | undefined> {
    if (this.#session.end === undefined) return undefined;
    try {
      while (this.#ending === undefined && !this.#over) await this.#fill();
    } catch {
      // Kept in `#failure`.
    }
    return this.#failure;
  }

  get remote(): Section {
    return this.#connection.remote;
  }

  get local(): boolean {
    return this.#connection.local;
  }

  /** Those of the connection below: sealed by a key of the session, not by its boxes. */
  get datagrams(): Datagrams | undefined {
    return this.#connection.datagrams;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.#ending !== undefined) return false;
    return this.#connection.write(...this.#session.seal(pieces));
  }

  drain(): Promise<void> {
    return this.#connection.drain();
  }

  end(): Promise<void> {
    this.#ending ??= this.#endNow();
    return this.#ending;
  }

  #endNow(): Promise<void> {
    const goodbye = this.#session.end?.();
    if (goodbye === undefined) return this.#connection.end();
    if (goodbye.length > 0) this.#connection.write(goodbye);
    if (this.#session.ended) return this.#connection.end();
    // What it fails with is there for the reader, and `closed` tells of it.
    void this.#seekGoodbye().catch(() => {});
    return this.#connection.drain();
  }

  /** Reads ahead: whoever ended may not read any more, and without the other side's goodbye nothing would close. */
  async #seekGoodbye(): Promise<void> {
    let ahead = 0;
    while (!this.#session.ended && ahead < AHEAD_BYTES) {
      await this.#fill();
      ahead = this.#opened.reduce((sum, { length }) => sum + length, 0);
    }
  }

  async close(): Promise<void> {
    await this.end();
    // Closing below may end both directions, and the other side may not have finished.
    if (this.#session.end !== undefined && !this.#over) await this.closed;
    await this.#connection.close();
  }

  abort(reason: Error): void {
    this.#failure ??= reason;
    this.#connection.abort(reason);
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const piece = this.#opened.shift();
      if (piece !== undefined) return { done: false, value: piece };
      if (this.#over) return { done: true, value: undefined };
      this.#waiting = true;
      try {
        await this.#fill();
      } finally {
        this.#waiting = false;
      }
      if (this.#leaving) return { done: true, value: undefined };
    }
  }

  async #leave(): Promise<IteratorResult<Uint8Array>> {
    if (this.#waiting) {
      this.#leaving = true;
      const filling = this.#filling;
      await this.#chunks.return?.();
      await filling?.catch(() => {});
      this.#leaving = false;
    }
    return { done: true, value: undefined };
  }

  /** Opens what comes next, or throws. A reader and the search for a goodbye share one read. */
  #fill(): Promise<void> {
    this.#filling ??= this.#fillNow();
    return this.#filling;
  }

  async #fillNow(): Promise<void> {
    try {
      const rest = this.#rest;
      this.#rest = EMPTY;
      const { done, value } = await (rest.length > 0
        ? { done: false, value: rest }
        : this.#chunks.next());
      if (!done) this.#open(value);
      else if (!this.#leaving) this.#finish();
    } finally {
      this.#filling = undefined;
    }
  }

  #open(chunk: Uint8Array): void {
    try {
      const opened = this.#session.open(chunk).filter((plain) => plain.length > 0);
      this.#opened = this.#opened.length === 0 ? opened : [...this.#opened, ...opened];
    } catch (error) {
      throw this.#fail(asError(error));
    }
    if (this.#session.end === undefined || !this.#session.ended) return;
    this.#over = true;
    if (this.#ending !== undefined) void this.#connection.end();
  }

  #finish(): void {
    if (!this.#session.ended) {
      throw this.#fail(
        networkError("TRUNCATED", "the connection was cut before the other side said goodbye"),
      );
    }
    this.#over = true;
  }

  /** Plaintext that arrived and that nobody has read; for the stack that goes on below this pipe. Throws as `Session.open` does. */
  leftover(): Uint8Array[] {
    const raw = this.#rest.length > 0 ? [this.#rest] : [];
    if (this.#connection instanceof SealedConnection) raw.push(...this.#connection.leftover());
    const left = this.#opened;
    this.#opened = [];
    this.#rest = EMPTY;
    for (const chunk of raw) left.push(...this.#session.open(chunk));
    this.#over ||= this.#session.end !== undefined && this.#session.ended;
    return left;
  }

  #fail(error: Error): Error {
    this.abort(error);
    return error;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }
}
