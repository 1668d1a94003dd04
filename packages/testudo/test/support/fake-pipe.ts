/**
 * A pipe of bytes whose other side, and whose connection, a test plays by hand.
 */

import { type BytePipe, type Deferred, deferred, Inbox } from "@testudo/core";

export class FakePipe implements BytePipe {
  readonly written: Uint8Array[] = [];
  /** While true, `write` says to wait. */
  full = false;
  ended = false;
  aborted: Error | undefined;
  /** How often the source was told to pause. */
  pauses = 0;
  /** While true, the end of both directions does not close it. */
  lingers = false;
  readonly #halfClose: boolean;
  readonly #inbox: Inbox;
  readonly #closed: Deferred<Error | undefined> = deferred();
  #drained: Deferred<void> | undefined;
  #remoteEnded = false;
  #over = false;

  constructor({ halfClose = true }: { halfClose?: boolean } = {}) {
    this.#halfClose = halfClose;
    this.#inbox = new Inbox({ pause: () => this.pauses++, resume: () => {} }, 1_000);
  }

  get text(): string {
    return Buffer.concat(this.written).toString();
  }

  get over(): boolean {
    return this.#over;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.ended || this.#over) return false;
    this.written.push(...pieces);
    return !this.full;
  }

  drain(): Promise<void> {
    if (!this.full || this.#over) return Promise.resolve();
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  async end(): Promise<void> {
    this.ended = true;
    if (!this.#halfClose) this.#settle(undefined);
    else this.#maybeClose();
  }

  async close(): Promise<void> {
    await this.end();
    await this.closed;
  }

  abort(reason: Error): void {
    this.aborted ??= reason;
    this.#inbox.clear();
    this.#settle(reason);
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }

  /** The other side writes. */
  receive(text: string): void {
    this.#inbox.push(Buffer.from(text));
  }

  /** The other side ends. */
  receiveEnd(): void {
    this.#remoteEnded = true;
    this.#inbox.finish();
    this.#maybeClose();
  }

  /** The connection breaks. */
  cut(error: Error): void {
    this.#settle(error);
  }

  /** Writing is welcome again. */
  empty(): void {
    this.full = false;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #maybeClose(): void {
    if (this.ended && this.#remoteEnded && !this.lingers) this.#settle(undefined);
  }

  #settle(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#inbox.finish(error);
    this.empty();
    this.#closed.resolve(error);
  }
}
