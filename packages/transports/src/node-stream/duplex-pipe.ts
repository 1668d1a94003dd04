/**
 * A Node `Duplex` seen as a pipe of bytes. TCP connections are made of it (`net`), and so is every other
 * stream somebody has at hand.
 *
 * All of Node's events end here: nothing is thrown out of a callback, no `error` event is unhandled. It
 * holds no timer, allocates nothing ahead of use, and never joins or copies what passes through.
 */

import type { Duplex } from "node:stream";
import { type BytePipe, type Deferred, deferred, Inbox, networkError } from "@testudo/core";

export class DuplexPipe implements BytePipe {
  readonly #duplex: Duplex;
  readonly #inbox: Inbox;
  readonly #label: string;
  #ending: Promise<void> | undefined;
  #drained: Deferred<void> | undefined;
  #closed: Deferred<Error | undefined> | undefined;
  #over = false;
  #error: Error | undefined;

  /** `label` names the other end in errors. */
  constructor(duplex: Duplex, label: string) {
    this.#duplex = duplex;
    this.#inbox = new Inbox(duplex);
    this.#label = label;
    duplex.on("data", (chunk: Uint8Array) => this.#inbox.push(chunk));
    duplex.on("drain", () => this.#onDrain());
    duplex.on("end", () => this.confirmEnd(() => this.#onEnd()));
    duplex.on("error", (error: Error) => this.#cutBelow(error));
    duplex.on("close", () => this.#cutBelow());
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.#over || this.#ending !== undefined) return false;
    const duplex = this.#duplex;
    const [first] = pieces;
    if (pieces.length === 1 && first !== undefined) {
      return first.length === 0 ? !duplex.writableNeedDrain : duplex.write(first);
    }
    duplex.cork();
    for (const piece of pieces) duplex.write(piece);
    duplex.uncork();
    return !duplex.writableNeedDrain;
  }

  drain(): Promise<void> {
    if (this.#over || !this.#duplex.writableNeedDrain) return Promise.resolve();
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  end(): Promise<void> {
    this.#ending ??= this.#over ? Promise.resolve() : this.#endNow();
    return this.#ending;
  }

  #endNow(): Promise<void> {
    return new Promise((resolve) => {
      // Called when all is flushed, and also when the duplex is destroyed first.
      this.#duplex.end(() => {
        if (!this.#duplex.writableFinished) {
          this.#settle(this.#cutShort(this.#duplex.errored ?? undefined));
        } else if (this.#duplex.readableEnded) {
          this.#settle(undefined);
        }
        this.#onDrain();
        resolve();
      });
    });
  }

  /** Waits for the other side's end as long as nobody calls `abort`; what arrives can still be read. */
  async close(): Promise<void> {
    await this.end();
    await this.closed;
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.#inbox.clear();
    this.#settle(reason);
    this.cut(reason);
  }

  /** Destroys the stream below, now. */
  protected cut(reason: Error): void {
    this.#duplex.destroy(reason);
  }

  get closed(): Promise<Error | undefined> {
    if (this.#closed === undefined) {
      this.#closed = deferred();
      if (this.#over) this.#closed.resolve(this.#error);
    }
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }

  #onDrain(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.resolve();
  }

  /** Calls `confirmed` once it is sure that the other side ended; not at all when it was cut, which is an error event. */
  protected confirmEnd(confirmed: () => void): void {
    confirmed();
  }

  #onEnd(): void {
    this.#inbox.finish();
    if (this.#duplex.writableFinished) this.#settle(undefined);
  }

  /** Asked at every close, so the error is made only when it is news. */
  #cutBelow(cause?: Error): void {
    if (!this.#over) this.#settle(this.#cutShort(cause));
  }

  #cutShort(cause?: Error): Error {
    const why = cause === undefined ? "it closed before both sides had ended" : cause.message;
    const details = cause === undefined ? {} : { cause };
    return networkError("TRUNCATED", `${this.#label} was cut: ${why}`, {
      ...details,
      address: this.#label,
    });
  }

  #settle(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#inbox.finish(error);
    this.#onDrain();
    this.#closed?.resolve(error);
  }
}
