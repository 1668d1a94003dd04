/**
 * A stream of bytes that a `MultiServer` gives: a link seen through its session, and who is at its end.
 *
 * It belongs to whoever was given it. It has no deadline while either side has something to say, and one from
 * then on: a connection on which both have said goodbye, or that is being closed, does not linger.
 */

import type { BytePipe, Connection, DatagramPipe, Side } from "./connection.ts";
import { networkError } from "./errors.ts";
import { PeerId } from "./identity.ts";
import type { Runtime } from "./runtime.ts";
import { SealedConnection } from "./session.ts";
import type { Link, Stack } from "./stack.ts";

export interface MultiStreamOptions {
  readonly runtime: Runtime;
  /** How long the other side has to end once nothing is left to be said. */
  readonly closeTimeoutMs: number;
}

export class MultiStream implements BytePipe {
  /** The key that the other side proved; `undefined` over a stack that proves none. */
  readonly remote: PeerId | undefined;
  /** The address that was dialled; on the listener, where the other side came from. Without its secrets. */
  readonly address: string;
  /** What the transform has to say of the other side: what `shs({ authenticate })` returned. */
  readonly auth: unknown;
  readonly side: Side;
  /** The name of the stack: `net~shs`. */
  readonly stack: string;
  /** What `wrap` said of the connection. */
  readonly meta: unknown;
  /** Unreliable messages beside it; `undefined` where its stack has none. They end with the connection. */
  readonly datagrams: DatagramPipe | undefined;
  /** Whether `end()` leaves the other direction open: where the transport can, or the session has a goodbye. */
  readonly halfClose: boolean;
  readonly #options: MultiStreamOptions;
  /** Whether the connection's own end leaves the other direction open. */
  readonly #endsOneWay: boolean;
  readonly #connection: Connection;
  readonly #pipe: BytePipe;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #reader: AsyncIterator<Uint8Array>;
  #reading = 0;
  /** The other side said that there is no more. */
  #readAll = false;
  /** Read before anybody asked. */
  #ahead: Promise<IteratorResult<Uint8Array>> | undefined;
  #ending: Promise<void> | undefined;
  #ended = false;
  #leaving: Promise<void> | undefined;

  constructor(link: Link, stack: Stack, options: MultiStreamOptions) {
    const { connection, session } = link;
    this.remote = session.remoteKey === undefined ? undefined : PeerId.from(session.remoteKey);
    this.address = link.address;
    this.auth = session.auth;
    this.side = link.side;
    this.stack = stack.name;
    this.meta = connection.meta;
    this.datagrams = link.datagrams;
    this.halfClose = stack.transport.halfClose || session.end !== undefined;
    this.#options = options;
    this.#endsOneWay = stack.transport.halfClose;
    this.#connection = connection;
    this.#pipe =
      stack.transforms.length === 0
        ? connection
        : new SealedConnection(connection, session, [...link.opened]);
    this.#chunks = this.#pipe[Symbol.asyncIterator]();
    this.#reader = { next: () => this.#next() };
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    return this.#pipe.write(...pieces);
  }

  drain(): Promise<void> {
    return this.#pipe.drain();
  }

  /** Says that no more comes from us. What still comes can be read, and the stream is over when the other side ended, too. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  /**
   * Ends, and gives the other side `limits.closeTimeoutMs` to do the same before it is cut; resolves when nothing
   * is left. What was written goes out first, however long the other side takes over it: `abort` waits for nothing.
   * To wait for an answer, use `end` and read it.
   */
  async close(): Promise<void> {
    await this.end();
    // All of it, before the other side's time begins: a connection that is cut takes what waits in it along.
    if (this.#endsOneWay) await this.#connection.end();
    await this.#leave();
  }

  abort(reason: Error): void {
    this.#pipe.abort(reason);
  }

  get closed(): Promise<Error | undefined> {
    return this.#pipe.closed;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#reader;
  }

  async #end(): Promise<void> {
    const ended = this.#pipe.end();
    // Somebody must hear the other side's goodbye, also when nobody reads.
    if (!this.#readAll && this.#reading === 0) {
      this.#ahead = this.#read();
      this.#ahead.catch(() => {});
    }
    await ended;
    this.#ended = true;
    if (this.#readAll) await this.#over();
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead ?? this.#read();
  }

  async #read(): Promise<IteratorResult<Uint8Array>> {
    this.#reading++;
    try {
      const result = await this.#chunks.next();
      if (result.done === true) {
        this.#readAll = true;
        if (this.#ended) void this.#over();
      }
      return result;
    } finally {
      this.#reading--;
    }
  }

  /** Nothing is left to be said. */
  async #over(): Promise<void> {
    await this.#connection.end();
    void this.#leave();
  }

  /** The other side has so long to end. */
  #leave(): Promise<void> {
    this.#leaving ??= this.#leaveNow();
    return this.#leaving;
  }

  async #leaveNow(): Promise<void> {
    const { runtime, closeTimeoutMs } = this.#options;
    const timer = runtime.setTimer(() => {
      const { address } = this;
      const why = `${address} did not end within ${closeTimeoutMs} ms`;
      this.abort(networkError("STREAM_CLOSED", why, { address }));
    }, closeTimeoutMs);
    await this.closed;
    timer.cancel();
  }
}
