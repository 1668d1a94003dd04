/**
 * Copying between a pipe of bytes and our own streams: stdin to the pipe, the pipe to stdout.
 *
 * Nothing is read faster than the other side takes it, and each direction ends by itself. It knows nothing
 * of addresses or handshakes.
 */

import { asError, type BytePipe, type Deferred, deferred } from "@testudo/core";
import { type Io, interruptible, writeTo } from "./io.ts";

/** Where a pipe cannot half-close: so long without input after the end of stdin, and it is closed. */
const QUIET_MS = 1_000;
/** Both sides have said all; so long may the connection take to wind down. */
const WIND_DOWN_MS = 2_000;

export interface CopyOptions {
  /** Whether the pipe's `end()` leaves the other direction open. */
  readonly halfClose: boolean;
  /** Cuts the pipe: whoever reads at the other end must not take an interruption for an end. */
  readonly leave: AbortSignal;
}

/** Resolves when both directions have ended; rejects when either was cut, and cuts the other. */
export async function copyBothWays(pipe: BytePipe, io: Io, options: CopyOptions): Promise<void> {
  const copy = new Copy(pipe, io, options);
  await copy.run();
}

class Copy {
  readonly #pipe: BytePipe;
  readonly #io: Io;
  readonly #halfClose: boolean;
  /** Fires with whatever ends both directions before their time. */
  readonly #stop = new AbortController();
  readonly #leave: AbortSignal;
  #lastInput = 0;
  #outgoingDone = false;
  /** We closed a pipe that cannot half-close: what it says afterwards is of no interest. */
  #closing = false;

  constructor(pipe: BytePipe, io: Io, { halfClose, leave }: CopyOptions) {
    this.#pipe = pipe;
    this.#io = io;
    this.#halfClose = halfClose;
    this.#leave = leave;
  }

  async run(): Promise<void> {
    const interrupted: Deferred<void> = deferred();
    const onLeave = (): void => {
      this.#fail(this.#leave.reason);
      this.#pipe.abort(asError(this.#leave.reason));
      interrupted.resolve();
    };
    if (this.#leave.aborted) onLeave();
    else this.#leave.addEventListener("abort", onLeave, { once: true });
    // Stops stdin only: what came before the cut is still to be read.
    void this.#pipe.closed.then((error) => {
      if (error !== undefined && !this.#closing) this.#fail(error);
    });
    const guarded = async (direction: Promise<void>): Promise<void> => {
      try {
        await direction;
      } catch (error) {
        // When the pipe itself was cut, what it brought before that is still being read.
        if (this.#stop.signal.aborted) return;
        this.#fail(error);
        this.#pipe.abort(asError(error));
      }
    };
    try {
      const both = Promise.all([guarded(this.#incoming()), guarded(this.#outgoing())]);
      await Promise.race([both, interrupted.promise]);
      this.#stop.signal.throwIfAborted();
      const lost = await windDown(this.#pipe);
      if (lost !== undefined && !this.#closing) throw lost;
    } finally {
      this.#leave.removeEventListener("abort", onLeave);
    }
  }

  async #incoming(): Promise<void> {
    const { stdout, stdin } = this.#io;
    try {
      for await (const chunk of this.#pipe) {
        this.#lastInput = performance.now();
        const full = writeTo(stdout, chunk);
        if (full !== undefined) await full;
      }
    } catch (error) {
      if (!this.#closing) throw error;
    }
    if (this.#outgoingDone) return;
    if (this.#halfClose) {
      await this.#io.closeStdout();
    } else {
      // Nothing can be sent any more: what stdin still has goes nowhere.
      this.#closing = true;
      stdin.destroy();
    }
  }

  async #outgoing(): Promise<void> {
    const pipe = this.#pipe;
    try {
      for await (const chunk of interruptible(this.#io.stdin, this.#stop.signal)) {
        if (!pipe.write(chunk)) await pipe.drain();
      }
    } catch (error) {
      if (!this.#closing) throw error;
    }
    this.#outgoingDone = true;
    if (!this.#halfClose) {
      await this.#quiet();
      this.#closing = true;
    }
    await pipe.end();
  }

  /** Resolves when nothing has come in for a while. */
  async #quiet(): Promise<void> {
    this.#lastInput = Math.max(this.#lastInput, performance.now());
    const { signal } = this.#stop;
    for (;;) {
      const left = this.#lastInput + QUIET_MS - performance.now();
      if (left <= 0 || signal.aborted || this.#closing) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        function done(): void {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        }
        signal.addEventListener("abort", done, { once: true });
      });
    }
  }

  /** Stops stdin. The first failure is the cause of all others. */
  #fail(error: unknown): void {
    if (!this.#stop.signal.aborted) this.#stop.abort(asError(error));
  }
}

/** Sends back what comes, until the other side ends; rejects when it was cut. */
export async function echo(pipe: BytePipe, leave: AbortSignal): Promise<void> {
  const onLeave = (): void => {
    void windDown(pipe);
  };
  if (leave.aborted) onLeave();
  else leave.addEventListener("abort", onLeave, { once: true });
  try {
    for await (const chunk of pipe) {
      if (!pipe.write(chunk)) await pipe.drain();
    }
    const lost = await windDown(pipe);
    if (lost !== undefined) throw lost;
  } finally {
    leave.removeEventListener("abort", onLeave);
  }
}

/** Ends our direction, and cuts the pipe when the other takes too long. Gives what was lost, if anything was. */
async function windDown(pipe: BytePipe): Promise<Error | undefined> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    pipe.abort(new Error("the connection did not wind down"));
  }, WIND_DOWN_MS);
  await pipe.close();
  const error = await pipe.closed;
  clearTimeout(timer);
  return late ? undefined : error;
}
