/**
 * A pipe of bytes as Web Streams: `new Response(readable)`, `file.stream().pipeTo(writable)`.
 *
 * Back-pressure passes both ways: the pipe is read only when somebody asks, and a write settles when the
 * next one is welcome. Nothing is buffered here and nothing is copied.
 */

import type { BytePipe } from "./connection.ts";
import { asError, networkError } from "./errors.ts";

export interface WebStreams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * The pipe belongs to the two streams from now on. Closing `writable` half-closes it; cancelling `readable`
 * or aborting `writable` aborts it, since half a pipe cannot be cut. A pipe that is cut errors both with its
 * error. As with `write` of the pipe, a chunk must not change after it was written.
 */
export function toWebStreams(pipe: BytePipe): WebStreams {
  const chunks = pipe[Symbol.asyncIterator]();
  const cut = (reason: unknown): void => {
    pipe.abort(
      reason === undefined
        ? networkError("STREAM_CLOSED", "the web stream over the pipe was cancelled")
        : asError(reason),
    );
  };
  /** The error the pipe was cut with, if it was cut by now: drains and ends resolve for a cut pipe too. */
  const throwIfCut = async (): Promise<void> => {
    const error = await Promise.race([pipe.closed, undefined]);
    if (error !== undefined) throw error;
  };

  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: cut,
    },
    // Zero: a chunk is asked for when a reader waits for it, not ahead.
    { highWaterMark: 0 },
  );

  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      void pipe.closed.then((error) => {
        if (error !== undefined) controller.error(error);
      });
    },
    async write(chunk) {
      if (!(chunk instanceof Uint8Array)) {
        const wrong = new TypeError("a pipe takes Uint8Array chunks");
        pipe.abort(wrong);
        throw wrong;
      }
      if (pipe.write(chunk)) return;
      await pipe.drain();
      await throwIfCut();
    },
    async close() {
      await pipe.end();
      await throwIfCut();
    },
    abort: cut,
  });

  return { readable, writable };
}
