/**
 * The real command in a process of its own. It runs what `tsc -b` built.
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { Written } from "./io.ts";

export const BIN: string = fileURLToPath(new URL("../../bin/testudo.js", import.meta.url));
export const ROOT: string = fileURLToPath(new URL("../../../../", import.meta.url));

export class Process {
  readonly child: ChildProcessWithoutNullStreams;
  readonly out: Written;
  readonly err: Written;
  /** The exit code, or the signal's name, once all output has come. */
  readonly exit: Promise<number | string>;

  constructor(words: readonly string[], nodeWords: readonly string[] = []) {
    this.child = spawn(process.execPath, [...nodeWords, BIN, ...words], { cwd: ROOT });
    // A stopped process may leave our last write to it undelivered.
    this.child.stdin.on("error", () => {});
    this.out = new Written(this.child.stdout.pipe(new PassThrough()));
    this.err = new Written(this.child.stderr.pipe(new PassThrough()));
    this.exit = new Promise((resolve) => {
      this.child.on("close", (code, signal) => resolve(code ?? signal ?? -1));
    });
  }

  get stdin(): ChildProcessWithoutNullStreams["stdin"] {
    return this.child.stdin;
  }

  /** Ends it whatever it does; for the end of a test. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exit;
  }
}
