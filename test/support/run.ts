/**
 * Run: programs of this repository as processes of their own, from source, with what they printed.
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { ROOT } from "./markdown.ts";

/** Longer than any of them takes on a busy machine; what takes longer hangs. */
const LONGEST_MS = 60_000;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process whose lines can be waited for. */
export class Program {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #wake = new Set<() => void>();
  #stdout = "";
  #stderr = "";
  #over = false;

  /**
   * A file from the root: of TypeScript, run with the source condition as the README says, or of Python. `before` is
   * a command that runs it: `nsenter` and its options.
   */
  constructor(
    file: string,
    args: readonly string[] = [],
    cwd: string = ROOT,
    before: readonly string[] = [],
  ) {
    const tsx = import.meta.resolve("tsx");
    const node = [process.execPath, "--import", tsx, "--conditions=@testudo/source"];
    const runner = file.endsWith(".py") ? ["python3"] : node;
    const [command = "", ...rest] = [...before, ...runner, `${ROOT}/${file}`, ...args];
    this.#child = spawn(command, rest, { cwd });
    // It may have ended by itself when it is told something.
    this.#child.stdin.on("error", () => {});
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#tell();
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    const timer = setTimeout(() => this.kill(), LONGEST_MS);
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code) => {
        clearTimeout(timer);
        this.#over = true;
        this.#tell();
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  /** The first line so far, or to come, that matches. Rejects when the program ends without one. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = this.#stdout.split("\n").find((each) => pattern.test(each));
      if (line !== undefined) return line;
      if (this.#over) throw new Error(`no line ${pattern}, but:\n${this.#stdout}${this.#stderr}`);
      await new Promise<void>((resolve) => this.#wake.add(resolve));
    }
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  endInput(): void {
    this.#child.stdin.end();
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #tell(): void {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }
}

/** Runs a program without input to its end. */
export function run(
  file: string,
  args: readonly string[] = [],
  cwd: string = ROOT,
): Promise<Ended> {
  const program = new Program(file, args, cwd);
  program.endInput();
  return program.ended;
}
