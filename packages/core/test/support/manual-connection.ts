/**
 * Manual connection: the far end, the kernel and the network are played by the test.
 *
 * What is written is recorded; whether writing is welcome, what arrives and how it ends is said by hand.
 */

import { type Section, section } from "../../src/address.ts";
import { concat } from "../../src/bytes.ts";
import type { Connection } from "../../src/connection.ts";
import { type Deferred, deferred, Inbox } from "../../src/queue.ts";

export class ManualConnection implements Connection {
  readonly remote: Section = section("manual", "far", "1");
  readonly local: boolean;
  /** Each write, joined. */
  readonly writes: Uint8Array[] = [];
  /** What `write` answers. */
  welcome = true;
  ended = false;
  aborted: Error | undefined;
  readonly #inbox = new Inbox({ pause: () => {}, resume: () => {} });
  readonly #closed = deferred<Error | undefined>();
  #drained: Deferred<void> | undefined;
  #finished = false;

  constructor(local: boolean = true) {
    this.local = local;
  }

  get written(): Uint8Array {
    return concat(...this.writes);
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.ended || this.aborted !== undefined) return false;
    this.writes.push(concat(...pieces));
    return this.welcome;
  }

  drain(): Promise<void> {
    if (this.welcome || this.aborted !== undefined) return Promise.resolve();
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  /** The far end takes again. */
  relax(): void {
    this.welcome = true;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  receive(...chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#inbox.push(chunk);
  }

  /** The far end says no more, or is cut. */
  finish(error?: Error): void {
    this.#inbox.finish(error);
    this.#finished = true;
    if (error !== undefined || this.ended) this.#over(error);
  }

  async end(): Promise<void> {
    this.ended = true;
    if (this.#finished) this.#over(undefined);
  }

  async close(): Promise<void> {
    await this.end();
    await this.#closed.promise;
  }

  abort(reason: Error): void {
    if (this.aborted !== undefined) return;
    this.aborted = reason;
    this.#inbox.finish(reason);
    this.#over(reason);
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }

  #over(error: Error | undefined): void {
    // As a socket does: whoever waits for room is woken first, and learns why a little later.
    this.relax();
    this.#closed.resolve(error);
  }
}
