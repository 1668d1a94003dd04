/**
 * Output: what a command says, as JSON lines or as text for people.
 *
 * With `--json` an event is one object a line on the command's event stream (stdout, for `pipe` stderr)
 * and nothing else is on that stream. What peers send is cleaned of control characters before it reaches a terminal.
 */

import { isUtf8 } from "node:buffer";
import type { Writable } from "node:stream";
import { failureOf } from "./failure.ts";
import { type Io, writeTo } from "./io.ts";

/** C0 and C1 controls, line separators, and the marks that turn the direction of text. */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** JSON.stringify escapes the lower ones itself. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u2028\u2029]/g;

/** One line of text, safe on a terminal: `␊` stands for a line feed. */
export function clean(text: string): string {
  return text.replace(UNSAFE, (mark) => {
    const code = mark.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : "\ufffd";
  });
}

/** A body's exact text, a leading byte order mark included; `undefined` when it is not valid UTF-8. */
export function textOf(body: Uint8Array): string | undefined {
  if (!isUtf8(body)) return undefined;
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
}

export class Output {
  readonly json: boolean;
  readonly #events: Writable;
  readonly #stderr: Writable;

  constructor(io: Io, options: { json: boolean; events: "stdout" | "stderr" }) {
    this.json = options.json;
    this.#stderr = io.stderr;
    this.#events = options.events === "stdout" ? io.stdout : io.stderr;
  }

  /**
   * Something happened. `text` is its form for people, one line; without it they are told nothing. Gives
   * a promise only when the reader is slow: it resolves when writing is welcome again, and never rejects.
   */
  event(name: string, fields: object, text?: string): Promise<void> | undefined {
    if (this.json) return this.#put(this.#events, jsonLine({ event: name, ...fields }));
    return text === undefined ? undefined : this.#put(this.#events, clean(text));
  }

  /** Lines for people that are the result itself, as they are. */
  lines(text: string): Promise<void> | undefined {
    return this.#put(this.#events, text);
  }

  /** A remark for people, on stderr in both forms. */
  note(text: string): void {
    void this.#put(this.#stderr, `testudo: ${clean(text)}`);
  }

  /** What went wrong: a line saying what to do, with one more for each of several attempts, or `{"event":"error",…}`. */
  failure(thrown: unknown): void {
    const failure = failureOf(thrown);
    if (this.json) {
      void this.#put(this.#events, jsonLine({ event: "error", ...failure }));
      return;
    }
    const { attempts = [], message } = failure;
    if (attempts.length < 2) {
      this.note(message);
      return;
    }
    // The message has all of this in one sentence.
    const listening = attempts.some(({ stage }) => stage === "listen");
    this.note(
      listening
        ? `${attempts.length} listeners failed, so none is open`
        : `none of ${attempts.length} alternatives worked`,
    );
    for (const { address, stage, message } of attempts) {
      void this.#put(this.#stderr, clean(`  ${address}: ${stage}: ${message}`));
    }
  }

  #put(stream: Writable, line: string): Promise<void> | undefined {
    // Whoever owns the stream hears of its failure by the stream's own event.
    return writeTo(stream, `${line}\n`)?.catch(() => {});
  }
}

export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(
    UNSAFE_IN_JSON,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
