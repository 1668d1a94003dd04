/**
 * Io: the door to the process: its three streams, its signals, its exit.
 *
 * Commands get it as an argument, so that tests run them in-process with streams of their own. Nothing
 * else in this package touches `process`.
 */

import type { Readable, Writable } from "node:stream";

export interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Whether a person looks at stdout or stderr, or types into stdin. */
  readonly terminal: {
    readonly stdin: boolean;
    readonly stdout: boolean;
    readonly stderr: boolean;
  };
  /** Columns of the terminal at stdout. */
  readonly columns: number;
  /** Tells of every SIGINT and SIGTERM; returns how to stop. While nobody listens they end the process. */
  onSignal(listener: (name: string) => void): () => void;
  /** Tells when nothing is under way any more, though the process is not done; returns how to stop. */
  onIdle(listener: () => void): () => void;
  /** Lets the reader of stdout see its end while the process lives on. All must be written. */
  closeStdout(): Promise<void>;
  /** Ends the process now, whatever is pending. */
  exit(code: number): void;
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

class SystemIo implements Io {
  // Getters: Node sets a stream up when it is first asked for, and not every command needs all three.
  get stdin(): Readable {
    return process.stdin;
  }

  get stdout(): Writable {
    return process.stdout;
  }

  get stderr(): Writable {
    return process.stderr;
  }

  get terminal(): Io["terminal"] {
    const { stdin, stdout, stderr } = process;
    return {
      stdin: stdin.isTTY === true,
      stdout: stdout.isTTY === true,
      stderr: stderr.isTTY === true,
    };
  }

  get columns(): number {
    // A terminal that does not know its width says 0.
    return process.stdout.columns || 80;
  }

  onSignal(listener: (name: string) => void): () => void {
    for (const signal of SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of SIGNALS) process.removeListener(signal, listener);
    };
  }

  onIdle(listener: () => void): () => void {
    process.on("beforeExit", listener);
    return () => process.removeListener("beforeExit", listener);
  }

  async closeStdout(): Promise<void> {
    if (process.platform === "win32" || process.stdout.isTTY) return;
    await written(process.stdout);
    const { closeSync, openSync } = await import("node:fs");
    try {
      // Node keeps the descriptor of stdout open for ever. The null device takes its number at once, so
      // that no socket gets it.
      closeSync(1);
      openSync("/dev/null", "w");
    } catch {
      // Closed by somebody else: then its reader has seen the end already.
    }
  }

  exit(code: number): void {
    process.exit(code);
  }
}

export function systemIo(): Io {
  return new SystemIo();
}

/** Resolves when everything written so far is handed over, or never will be. Never rejects. */
export function written(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.writableLength === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      stream.removeListener("close", done);
      resolve();
    };
    // A stream that is destroyed need not call back.
    stream.once("close", done);
    stream.write("", done);
  });
}

const full = new WeakMap<Writable, Promise<void>>();

/**
 * Writes. Gives a promise only when the stream is full: it resolves when writing is welcome again, and
 * rejects when it never will be.
 */
export function writeTo(stream: Writable, chunk: string | Uint8Array): Promise<void> | undefined {
  if (stream.write(chunk)) return undefined;
  // One wait for all who write to it.
  const waiting = full.get(stream) ?? drained(stream);
  full.set(stream, waiting);
  return waiting;
}

async function drained(stream: Writable): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        stream.removeListener("drain", onDrain);
        stream.removeListener("close", onClose);
        stream.removeListener("error", settle);
        if (error === undefined) resolve();
        else reject(error);
      };
      const onDrain = (): void => settle();
      const onClose = (): void => settle(new Error("the stream was closed"));
      stream.on("drain", onDrain);
      stream.on("close", onClose);
      stream.on("error", settle);
      if (stream.destroyed) onClose();
    });
  } finally {
    full.delete(stream);
  }
}

/** The chunks of `stdin`; throws the reason of `leave` when that fires, and `stdin` is then of no more use. */
export async function* interruptible(
  stdin: Readable,
  leave: AbortSignal,
): AsyncGenerator<Uint8Array> {
  leave.throwIfAborted();
  const stop = (): void => {
    stdin.destroy(leave.reason);
  };
  leave.addEventListener("abort", stop, { once: true });
  try {
    yield* stdin;
  } finally {
    leave.removeEventListener("abort", stop);
  }
}
