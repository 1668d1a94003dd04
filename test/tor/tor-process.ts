/**
 * One local `tor`: its own folder and configuration, its log kept for the failure message, its control port.
 *
 * It ends with this process, whatever happens (`__OwningControllerProcess`).
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

const KEPT_LOG_LINES = 60;

/** Debian's tor is where only root looks. */
export const TOR_ENV: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${process.env["PATH"] ?? ""}:/usr/sbin`,
};

/** Whether Debian's `tor` and `tor-gencert` are there. */
export async function hasTor(): Promise<boolean> {
  try {
    const run = promisify(execFile);
    await run("tor", ["--version"], { env: TOR_ENV });
    await run("which", ["tor-gencert"], { env: TOR_ENV });
    return true;
  } catch {
    return false;
  }
}

export class TorProcess {
  readonly name: string;
  /** Of its data; its control socket is `control` in it. */
  readonly folder: string;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;
  #control: Socket | undefined;
  #replies = "";
  #heard: (() => void)[] = [];

  constructor(parent: string, name: string) {
    this.name = name;
    this.folder = join(parent, name);
    mkdirSync(join(this.folder, "keys"), { recursive: true, mode: 0o700 });
  }

  /** Writes the configuration; `lines` are of torrc. */
  configure(lines: readonly string[]): void {
    const all = [
      `DataDirectory ${this.folder}`,
      `ControlSocket ${join(this.folder, "control")}`,
      `__OwningControllerProcess ${process.pid}`,
      "Log notice stdout",
      "ShutdownWaitLength 0",
      ...lines,
    ];
    writeFileSync(join(this.folder, "torrc"), `${all.join("\n")}\n`);
    writeFileSync(join(this.folder, "defaults"), "");
  }

  /** Arguments by which `tor` reads this configuration and no other. */
  get arguments(): readonly string[] {
    return ["-f", join(this.folder, "torrc"), "--defaults-torrc", join(this.folder, "defaults")];
  }

  start(): void {
    const child = spawn("tor", this.arguments, {
      stdio: ["ignore", "pipe", "pipe"],
      env: TOR_ENV,
    });
    this.#child = child;
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding("utf8").on("data", (text: string) => {
        this.#log.push(...text.split("\n").filter((line) => line !== ""));
        this.#log.splice(0, this.#log.length - KEPT_LOG_LINES);
        this.#tell();
      });
    }
    child.on("exit", () => this.#tell());
  }

  get log(): string {
    return this.#log.map((line) => `${this.name}: ${line}`).join("\n");
  }

  /** Waits for a log line. Rejects when the process ends first, or with the signal's reason. */
  async logged(line: string | RegExp, signal: AbortSignal): Promise<void> {
    const matches = (each: string): boolean =>
      typeof line === "string" ? each.includes(line) : line.test(each);
    await this.#until(() => this.#log.some(matches), signal);
  }

  /** Sends a command on the control port and gives its reply. */
  async ask(command: string, signal: AbortSignal): Promise<string> {
    if (this.#control === undefined) {
      const control = connect(join(this.folder, "control"));
      this.#control = control;
      control.setEncoding("utf8").on("data", (text: string) => {
        this.#replies += text;
        this.#tell();
      });
      control.on("error", () => this.#tell());
      await once(control, "connect", { signal });
      await this.ask("AUTHENTICATE", signal);
    }
    this.#replies = "";
    this.#control.write(`${command}\r\n`);
    await this.#until(() => /^[245]\d\d /m.test(this.#replies), signal);
    const reply = this.#replies;
    if (!/^250 /m.test(reply)) throw new Error(`${this.name} answered ${command}: ${reply}`);
    return reply;
  }

  /** Waits for an event that was asked for with SETEVENTS. */
  async event(pattern: RegExp, signal: AbortSignal): Promise<void> {
    await this.#until(() => pattern.test(this.#replies), signal);
  }

  async stop(): Promise<void> {
    this.#control?.destroy();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    while (!holds()) {
      signal.throwIfAborted();
      const child = this.#child;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`${this.name} has ended\n${this.log}`);
      }
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        this.#heard.push(() => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        });
      });
    }
  }

  #tell(): void {
    for (const heard of this.#heard.splice(0)) heard();
  }
}
