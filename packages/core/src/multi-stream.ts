/**
 * A stream of bytes that a `MultiServer` gives: a link seen through its session, and who is at its end.
 */

import type { BytePipe, Side } from "./connection.ts";
import { PeerId } from "./identity.ts";
import { SealedConnection } from "./session.ts";
import type { Link, Stack } from "./stack.ts";

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
  /** Whether `end()` leaves the other direction open: where the transport can, or the session has a goodbye. */
  readonly halfClose: boolean;
  readonly #pipe: BytePipe;

  constructor(link: Link, stack: Stack) {
    const { connection, session } = link;
    this.remote = session.remoteKey === undefined ? undefined : PeerId.from(session.remoteKey);
    this.address = link.address;
    this.auth = session.auth;
    this.side = link.side;
    this.stack = stack.name;
    this.meta = connection.meta;
    this.halfClose = stack.transport.halfClose || session.end !== undefined;
    this.#pipe =
      stack.transforms.length === 0
        ? connection
        : new SealedConnection(connection, session, [...link.opened]);
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    return this.#pipe.write(...pieces);
  }

  drain(): Promise<void> {
    return this.#pipe.drain();
  }

  end(): Promise<void> {
    return this.#pipe.end();
  }

  close(): Promise<void> {
    return this.#pipe.close();
  }

  abort(reason: Error): void {
    this.#pipe.abort(reason);
  }

  get closed(): Promise<Error | undefined> {
    return this.#pipe.closed;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#pipe[Symbol.asyncIterator]();
  }
}
