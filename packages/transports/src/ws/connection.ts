/**
 * Connection over WebSocket messages: bytes in order, whatever the messages' bounds (RFC 6455).
 *
 * What every platform shares: the inbox, ending and cutting, and what a close code means. The platforms'
 * own sockets are in `node-connection.ts` and `socket-browser.ts`. No half-close: an end ends both directions.
 */

import {
  type Connection,
  concat,
  type Deferred,
  deferred,
  Inbox,
  type InboxSource,
  type NetworkError,
  networkError,
  type Section,
} from "@testudo/core";

/** Longest message sent. A longer write goes out as several, so that a receiver's limit is never met by ours. */
export const MAX_SENT_BYTES: number = 256 * 1024;

/** Longest message taken when options do not say. It is held whole before a handshake is done, so strangers are bounded by it too. */
export const MAX_PAYLOAD_BYTES: number = 1024 * 1024;

/** Close codes with which both directions ended as they should: normal, going away, none given. */
const CLEAN: ReadonlySet<number> = new Set([1000, 1001, 1005]);

/** No closing handshake took place. */
const CUT = 1006;

export abstract class MessageConnection implements Connection {
  readonly remote: Section;
  readonly local: boolean;
  protected readonly inbox: Inbox;
  #ending: Promise<void> | undefined;
  #ended: (() => void) | undefined;
  #drained: Deferred<void> | undefined;
  #closed: Deferred<Error | undefined> | undefined;
  #over = false;
  #error: Error | undefined;

  constructor(remote: Section, local: boolean, source: InboxSource) {
    this.remote = remote;
    this.local = local;
    this.inbox = new Inbox(source);
  }

  /** Sends one message. */
  protected abstract send(message: Uint8Array): void;
  /** Whether writing is unwelcome now. */
  protected abstract get congested(): boolean;
  /** Somebody waits for `onDrain`. */
  protected abstract awaitDrain(): void;
  /** Sends the close frame behind what was written. `flushed` is called when all that is handed over; it may be called late, or never when it is lost. */
  protected abstract shake(flushed: () => void): void;
  /** Ends the socket now, so that the other side sees a cut. Called also when nothing is left to cut. */
  protected abstract cut(): void;

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.#over || this.#ending !== undefined) return false;
    const [first] = pieces;
    const bytes = pieces.length === 1 && first !== undefined ? first : concat(...pieces);
    for (let at = 0; at < bytes.length; at += MAX_SENT_BYTES) {
      this.send(bytes.length <= MAX_SENT_BYTES ? bytes : bytes.subarray(at, at + MAX_SENT_BYTES));
    }
    return !this.congested;
  }

  drain(): Promise<void> {
    if (this.#over || !this.congested) return Promise.resolve();
    if (this.#drained === undefined) {
      this.#drained = deferred();
      this.awaitDrain();
    }
    return this.#drained.promise;
  }

  end(): Promise<void> {
    this.#ending ??= this.#over ? Promise.resolve() : this.#endNow();
    return this.#ending;
  }

  #endNow(): Promise<void> {
    return new Promise((resolve) => {
      this.#ended = resolve;
      this.shake(resolve);
    });
  }

  /** Waits for the other side's close frame as long as nobody calls `abort`. */
  async close(): Promise<void> {
    await this.end();
    await this.closed;
  }

  abort(reason: Error): void {
    if (!this.#over) {
      this.inbox.clear();
      this.settle(reason);
    }
    this.cut();
  }

  get closed(): Promise<Error | undefined> {
    if (this.#closed === undefined) {
      this.#closed = deferred();
      if (this.#over) this.#closed.resolve(this.#error);
    }
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.inbox;
  }

  protected get over(): boolean {
    return this.#over;
  }

  /** The socket closed with this code; `cause` is why, where the platform says. */
  protected onClose(code: number, reason: string, cause?: Error): void {
    if (this.#over) return;
    if (CLEAN.has(code) && cause === undefined) {
      this.settle(undefined);
      return;
    }
    let why = "it closed before both sides had ended";
    if (code !== CUT) why = `it closed with ${code}${reason === "" ? "" : ` (${reason})`}`;
    if (cause !== undefined) why = cause.message;
    this.settle(
      networkError("TRUNCATED", `${this.remote.text} was cut: ${why}`, {
        address: this.remote.text,
        ...(cause === undefined ? {} : { cause }),
      }),
    );
  }

  protected onDrain(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.resolve();
  }

  protected settle(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.inbox.finish(error);
    this.onDrain();
    this.#ended?.();
    this.#closed?.resolve(error);
  }
}

/** What a peer that sends text gets to know: everything here is bytes. */
export function textFrame(remote: Section): NetworkError {
  return networkError(
    "FRAME_MALFORMED",
    `${remote.text} sent a text frame; this protocol is binary`,
    { address: remote.text },
  );
}

export function tooLarge(remote: Section, limit: number): NetworkError {
  return networkError(
    "FRAME_TOO_LARGE",
    `${remote.text} sent a message of more than ${limit} bytes (maxPayloadBytes)`,
    { address: remote.text },
  );
}
