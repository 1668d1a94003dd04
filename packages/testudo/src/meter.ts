/**
 * Meter: how far a long run is, on stderr. On a terminal one line that changes, else a line every few seconds.
 * A run that is over within a second says nothing.
 */

import type { Io } from "./io.ts";
import { clean } from "./output.ts";

const QUIET_MS = 1_000;
const REDRAW_MS = 100;
const LINE_MS = 5_000;

export class Meter {
  readonly #io: Io;
  readonly #silent: boolean;
  readonly #now: () => number;
  readonly #live: boolean;
  readonly #started: number;
  #due: number;
  #drawn = false;

  /** `now`: milliseconds, monotonic. */
  constructor(io: Io, mode: "told" | "silent", now: () => number = () => performance.now()) {
    this.#io = io;
    this.#silent = mode === "silent";
    this.#now = now;
    this.#live = io.terminal.stderr;
    this.#started = now();
    this.#due = this.#started + QUIET_MS;
  }

  /** May be called often. */
  show(done: number, total: number, what: string = ""): void {
    if (this.#silent) return;
    const now = this.#now();
    if (now < this.#due) return;
    this.#due = now + (this.#live ? REDRAW_MS : LINE_MS);
    const seconds = Math.round((now - this.#started) / 1_000);
    const part = total > 0 ? Math.floor((100 * Math.min(done, total)) / total) : 0;
    const text = clean(
      `${String(part).padStart(3)} %  ${what === "" ? "" : `${what}, `}${seconds} s`,
    );
    this.clear();
    if (this.#live) this.#io.stderr.write(text.slice(0, this.#io.columns - 1));
    else this.#io.stderr.write(`testudo: ${text}\n`);
    this.#drawn = this.#live;
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#drawn) this.#io.stderr.write("\r\u001b[K");
    this.#drawn = false;
  }
}
