/**
 * Adapters between pipes of bytes (connections, channels) and Node streams, both ways.
 *
 *     pipeline(createReadStream("film.mkv"), toNodeStream(channel), (error) => {});
 *     const pipe = fromNodeStream(tlsSocket);
 *
 * Back-pressure, half-close and errors pass through. As with every pipe, written bytes must not change afterwards.
 */

import { Duplex } from "node:stream";
import { asError, type BytePipe, networkError } from "@testudo/core";
import { DuplexPipe } from "./duplex-pipe.ts";

export { DuplexPipe } from "./duplex-pipe.ts";

/**
 * A Node `Duplex` over the pipe, which belongs to it from now on. A cut pipe destroys it with the pipe's
 * error; destroying it before both directions have ended aborts the pipe.
 */
export function toNodeStream(pipe: BytePipe): Duplex {
  return new PipeDuplex(pipe);
}

/**
 * A pipe over a Node `Duplex` of bytes, which belongs to it from now on. Half-close needs `allowHalfOpen`,
 * the default of all but sockets. Throws `TypeError` for a stream of objects or text.
 */
export function fromNodeStream(duplex: Duplex): BytePipe {
  if (duplex.readableObjectMode || duplex.writableObjectMode) {
    throw new TypeError("duplex must be a stream of bytes, not of objects");
  }
  if (duplex.readableEncoding !== null) {
    throw new TypeError("duplex must give bytes; it has an encoding set");
  }
  return new DuplexPipe(duplex, "the stream");
}

type Done = (error?: Error | null) => void;

class PipeDuplex extends Duplex {
  readonly #pipe: BytePipe;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #reading = false;

  constructor(pipe: BytePipe) {
    super({ allowHalfOpen: true });
    this.#pipe = pipe;
    this.#chunks = pipe[Symbol.asyncIterator]();
    void pipe.closed.then((error) => {
      if (error !== undefined) this.destroy(error);
    });
  }

  override _read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#chunks.next().then(
      ({ done, value }) => {
        this.#reading = false;
        this.push(done ? null : value);
      },
      (error: unknown) => this.destroy(asError(error)),
    );
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#written(this.#pipe.write(chunk), done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: Done): void {
    this.#written(this.#pipe.write(...chunks.map(({ chunk }) => chunk)), done);
  }

  /** When the pipe was cut, `closed` destroys this stream; there is no second report here. */
  #written(welcome: boolean, done: Done): void {
    if (welcome) done();
    else void this.#pipe.drain().then(() => done());
  }

  override _final(done: Done): void {
    // An end that was lost on the way must not look like one that was handed over.
    void this.#pipe
      .end()
      .then(() => Promise.race([this.#pipe.closed, undefined]))
      .then((error) => done(error));
  }

  override _destroy(error: Error | null, done: Done): void {
    if (!this.readableEnded || !this.writableFinished) {
      const reason = "the stream over the pipe was destroyed";
      this.#pipe.abort(error ?? networkError("STREAM_CLOSED", reason));
    }
    done(error);
  }
}
