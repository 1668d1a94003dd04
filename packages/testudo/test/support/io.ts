/**
 * A process of our own making: streams, signals and an exit that tests hold in their hands.
 */

import { PassThrough } from "node:stream";
import type { Io } from "../../src/io.ts";
import { main } from "../../src/main.ts";

/** Any event; which fields it has depends on its kind. */
export interface Event {
  event: string;
  id?: unknown;
  addresses?: unknown;
  code?: unknown;
  opcode?: unknown;
  reason?: unknown;
  rttMs?: unknown;
  seq?: unknown;
  text?: unknown;
}

/** What was written to a stream, as text, as lines, as events. */
export class Written {
  readonly stream: PassThrough;
  readonly #chunks: Buffer[] = [];
  readonly #waiters = new Set<() => void>();
  #ended = false;

  constructor(stream: PassThrough = new PassThrough()) {
    this.stream = stream;
    stream.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    stream.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString("utf8");
  }

  get lines(): string[] {
    return this.text.split("\n").slice(0, -1);
  }

  get events(): Event[] {
    return this.lines.map((line) => JSON.parse(line) as Event);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves with the first event that `wanted` takes, from the beginning. */
  async event(wanted: string | ((event: Event) => boolean)): Promise<Event> {
    const takes =
      typeof wanted === "string" ? (event: Event): boolean => event.event === wanted : wanted;
    let found: Event | undefined;
    await this.until(() => {
      found = this.events.find(takes);
      return found !== undefined;
    });
    return found as Event;
  }

  /** Resolves when `done` holds; asked whenever something was written. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiters.delete(wake);
          resolve();
        };
        this.#waiters.add(wake);
      });
    }
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}

export class TestIo implements Io {
  readonly stdin = new PassThrough();
  readonly out = new Written();
  readonly err = new Written();
  terminal = { stdin: false, stdout: false, stderr: false };
  columns = 80;
  stdoutClosed = false;
  readonly exits: number[] = [];
  readonly #listeners = new Set<(name: string) => void>();
  readonly #idle = new Set<() => void>();

  get stdout(): PassThrough {
    return this.out.stream;
  }

  get stderr(): PassThrough {
    return this.err.stream;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  onSignal(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  signal(name = "SIGTERM"): void {
    for (const listener of [...this.#listeners]) listener(name);
  }

  onIdle(listener: () => void): () => void {
    this.#idle.add(listener);
    return () => this.#idle.delete(listener);
  }

  idle(): void {
    for (const listener of [...this.#idle]) listener();
  }

  async closeStdout(): Promise<void> {
    this.stdoutClosed = true;
    this.stdout.end();
  }

  exit(code: number): void {
    this.exits.push(code);
  }
}

/** A command under way in this process. */
export class Running {
  readonly io: TestIo;
  readonly code: Promise<number>;

  constructor(words: readonly string[], io: TestIo = new TestIo()) {
    this.io = io;
    this.code = main(words, io);
  }

  /** The addresses of its listening line, wherever that goes. */
  async listening(): Promise<string[]> {
    const events = this.io.out.events.length > 0 ? this.io.out : undefined;
    const line = await Promise.race([
      (events ?? this.io.out).event("listening"),
      this.io.err.event("listening"),
    ]);
    return line.addresses as string[];
  }

  /** SIGTERM, and the exit code. */
  stop(): Promise<number> {
    this.io.signal();
    return this.code;
  }
}

/** Runs a command to its end with `input` on stdin. */
export async function run(
  words: readonly string[],
  input: string | Uint8Array = "",
): Promise<{ code: number; out: Written; err: Written; io: TestIo }> {
  const io = new TestIo();
  io.stdin.end(input);
  const code = await main(words, io);
  return { code, out: io.out, err: io.err, io };
}
