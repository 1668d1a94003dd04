/** Two ends of an in-memory pipe, with somebody on the way who may change, cut or record what passes. */

import { type BytePipe, concat, deferred, Inbox } from "@testudo/core";

/** What is delivered instead of a chunk; `undefined` hangs up on the receiver. */
export type Relay = (chunk: Uint8Array) => readonly Uint8Array[] | undefined;

export class PipeEnd implements BytePipe {
  readonly sent: Uint8Array[] = [];
  relay: Relay = (chunk) => [chunk];
  readonly #inbox = new Inbox({ pause() {}, resume() {} });
  readonly #closed = deferred<Error | undefined>();
  readonly closed: Promise<Error | undefined> = this.#closed.promise;
  #other: PipeEnd | undefined;
  #open = true;

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
    const delivered = this.relay(chunk);
    if (delivered === undefined) this.#hangUp();
    else for (const piece of delivered) this.#other?.#inbox.push(piece.slice());
    return true;
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

  #hangUp(): void {
    this.#open = false;
    this.#other?.#inbox.finish();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }
}

/** A relay that lets `count` bytes through and then hangs up. */
export function cutAfter(count: number): { relay: Relay; left: () => number } {
  let left = count;
  return {
    left: () => left,
    relay(chunk) {
      if (left === 0) return undefined;
      const part = chunk.subarray(0, left);
      left -= part.length;
      return [part];
    },
  };
}
