/** Two ends of an in-memory pipe, with somebody on the way who may change, cut or record what passes. */

import { type BytePipe, concat, deferred, Inbox } from "@testudo/core";

/** What is delivered instead of a chunk. */
export type Relay = (chunk: Uint8Array) => readonly Uint8Array[];

export class PipeEnd implements BytePipe {
  readonly sent: Uint8Array[] = [];
  relay: Relay = (chunk) => [chunk];
  readonly #inbox = new Inbox({ pause() {}, resume() {} });
  readonly #closed = deferred<Error | undefined>();
  readonly closed: Promise<Error | undefined> = this.#closed.promise;
  #other: PipeEnd | undefined;
  #open = true;
  #cut = false;

  static pair(): [PipeEnd, PipeEnd] {
    const [a, b] = [new PipeEnd(), new PipeEnd()];
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  get sentBytes(): Uint8Array {
    return concat(...this.sent);
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (!this.#open) return false;
    const chunk = concat(...pieces);
    this.sent.push(chunk);
    for (const piece of this.relay(chunk)) this.#deliver(new Uint8Array(piece));
    if (this.#cut) this.#hangUp();
    return true;
  }

  /** Lets `count` more bytes through to the other end, then hangs up on it. */
  cutAfter(count: number): void {
    let left = count;
    this.relay = (chunk) => {
      const part = chunk.subarray(0, left);
      left -= part.length;
      this.#cut = left === 0;
      return [part];
    };
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }

  end(): Promise<void> {
    this.#hangUp();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.abort(new Error("closed"));
    return Promise.resolve();
  }

  abort(reason: Error): void {
    this.#hangUp();
    this.#inbox.finish(reason);
    this.#closed.resolve(reason);
  }

  #deliver(piece: Uint8Array): void {
    if (this.#other !== undefined) this.#other.#inbox.push(piece);
  }

  #hangUp(): void {
    this.#open = false;
    if (this.#other !== undefined) this.#other.#inbox.finish();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }
}
