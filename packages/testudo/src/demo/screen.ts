/**
 * Screen: what the demo shows while it runs. On a terminal one line that changes, else a line for every
 * quarter of the file.
 */

import type { CommandContext } from "../command.ts";

export interface Progress {
  readonly sent: number;
  /** Of the file, 0 to 1. */
  readonly part: number;
  readonly received: readonly { readonly name: string; readonly messages: number }[];
}

const BAR_WIDTH = 20;

export class Screen {
  readonly #context: CommandContext;
  readonly #live: boolean;
  #drawn = false;
  #quarters = 0;

  constructor(context: CommandContext) {
    this.#context = context;
    this.#live = context.io.terminal.stdout && !context.out.json;
  }

  /** A line that stays. */
  say(name: string, fields: object, text: string): void {
    this.#erase();
    void this.#context.out.event(name, fields, text);
  }

  /** How far it is. */
  progress(progress: Progress): void {
    const { sent, part, received } = progress;
    const counts = received.map(({ name, messages }) => `${name} ${messages}`).join(", ");
    if (this.#live) {
      const full = Math.round(part * BAR_WIDTH);
      const bar = `${"#".repeat(full)}${"-".repeat(BAR_WIDTH - full)}`;
      const { io } = this.#context;
      this.#erase();
      io.stdout.write(`  [${bar}] sent ${sent}, received: ${counts}`.slice(0, io.columns - 1));
      this.#drawn = true;
      return;
    }
    const quarters = Math.floor(part * 4);
    if (quarters <= this.#quarters) return;
    this.#quarters = quarters;
    this.say("progress", progress, `  ${quarters * 25} %: sent ${sent}, received: ${counts}`);
  }

  #erase(): void {
    if (this.#drawn) this.#context.io.stdout.write("\r\u001b[K");
    this.#drawn = false;
  }
}
