/**
 * Child: another process of this same command, told what to do by JSON lines on its stdin, heard by the
 * JSON lines on its stdout.
 *
 * A child whose stdin ends goes away by itself, so none outlives us, however we go.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { deferred } from "@testudo/core";
import { CommandError } from "./failure.ts";
import type { Io } from "./io.ts";
import { linesOf } from "./lines.ts";

/** What a child says; which of the fields it has depends on the event. None of them is checked. */
export interface ChildEvent {
  readonly event: string;
  readonly id?: unknown;
  readonly address?: unknown;
  readonly addresses?: unknown;
  readonly messages?: unknown;
  readonly part?: unknown;
  readonly verified?: unknown;
  readonly wrong?: unknown;
  readonly latencies?: unknown;
  readonly reason?: { readonly code?: unknown; readonly message?: unknown };
}

const BIN = fileURLToPath(new URL("../bin/testudo.js", import.meta.url));
const MAX_LINE_BYTES = 4 * 1024 * 1024;

export class Child {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #exited = deferred<void>();
  readonly #listeners = new Set<(event: ChildEvent) => void>();
  /** Set when it is gone and nobody asked for that. */
  #failure: Error | undefined;
  #expected = false;
  #lastError = "";

  constructor(name: string, words: readonly string[], io: Io) {
    this.name = name;
    this.#process = spawn(process.execPath, [BIN, ...words], { stdio: ["pipe", "pipe", "pipe"] });
    this.#process.stderr?.on("data", (chunk: Uint8Array) => io.stderr.write(chunk));
    // A child that is gone is known by its exit, not by a failed write to it.
    this.#process.stdin?.on("error", () => {});
    this.#process.on("error", (error) => this.#gone(error.message));
    this.#process.on("exit", (code, signal) => this.#gone(`exit ${signal ?? code}`));
    void this.#hear();
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  tell(order: object): void {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** Calls back for every event from now on; returns how to stop. */
  onEvent(listener: (event: ChildEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The first event from now on that `wanted` takes. Rejects when the child is gone, when nothing at all
   * was heard of it for `quietMs`, and with the reason of `leave`.
   */
  async next(
    wanted: (event: ChildEvent) => boolean,
    options: { what: string; quietMs: number; leave: AbortSignal },
  ): Promise<ChildEvent> {
    const { what, quietMs, leave } = options;
    leave.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const found = deferred<ChildEvent>();
    const late = (): void =>
      found.reject(
        new CommandError("CHILD_FAILED", `node ${this.name} should ${what} and is silent`),
      );
    let timer = setTimeout(late, quietMs);
    const stop = this.onEvent((event) => {
      clearTimeout(timer);
      timer = setTimeout(late, quietMs);
      if (event.event === "gone") found.reject(this.#failure);
      else if (wanted(event)) found.resolve(event);
    });
    const onLeave = (): void => found.reject(leave.reason);
    leave.addEventListener("abort", onLeave, { once: true });
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
      stop();
      leave.removeEventListener("abort", onLeave);
    }
  }

  /** SIGKILL: it gets no chance to say goodbye. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#expected = true;
    this.#process.kill("SIGKILL");
    await this.#exited.promise;
  }

  async #hear(): Promise<void> {
    const { stdout } = this.#process;
    if (stdout === null) return;
    try {
      for await (const lines of linesOf(stdout, MAX_LINE_BYTES)) {
        for (const { bytes } of lines) this.#heard(new TextDecoder().decode(bytes));
      }
    } catch {
      // Its stdout broke: its exit follows and tells.
    }
  }

  #heard(text: string): void {
    let event: unknown;
    try {
      event = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof event !== "object" || event === null || !("event" in event)) return;
    if (event.event === "error" && "message" in event) this.#lastError = `: ${event.message}`;
    for (const listener of [...this.#listeners]) listener(event as ChildEvent);
  }

  #gone(how: string): void {
    this.#exited.resolve();
    if (this.#expected || this.#failure !== undefined) return;
    // What it said last may still be on its way through the pipe.
    setImmediate(() => {
      const message = `node ${this.name} went away by itself (${how})${this.#lastError}`;
      this.#failure = new CommandError("CHILD_FAILED", message);
      for (const listener of [...this.#listeners]) listener({ event: "gone" });
    });
  }
}
