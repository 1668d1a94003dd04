/**
 * Lines: bytes split at line feeds, with a bound.
 *
 * A carriage return in front of the line feed belongs to the end of the line. A line longer than the bound
 * comes in pieces, so that no input makes the process grow.
 */

import { concat } from "@testudo/core";

export interface Line {
  readonly bytes: Uint8Array;
  /** False for a piece that the rest of its line follows. */
  readonly whole: boolean;
}

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** The lines that each chunk of `source` completes; what follows the last line feed is a line unless it is empty. */
export async function* linesOf(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<readonly Line[]> {
  const splitter = new Splitter(maxBytes);
  for await (const chunk of source) {
    const lines = splitter.push(chunk);
    if (lines.length > 0) yield lines;
  }
  const rest = splitter.end();
  if (rest !== undefined) yield [rest];
}

class Splitter {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): Line[] {
    const lines: Line[] = [];
    let at = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, at);
      this.#keep(chunk.subarray(at, end < 0 ? chunk.length : end), lines);
      if (end < 0) return lines;
      lines.push({ bytes: withoutReturn(this.#take()), whole: true });
      at = end + 1;
    }
  }

  end(): Line | undefined {
    return this.#length === 0 ? undefined : { bytes: this.#take(), whole: true };
  }

  #keep(bytes: Uint8Array, lines: Line[]): void {
    let rest = bytes;
    while (this.#length + rest.length > this.#maxBytes) {
      const room = this.#maxBytes - this.#length;
      this.#add(rest.subarray(0, room));
      lines.push({ bytes: this.#take(), whole: false });
      rest = rest.subarray(room);
    }
    this.#add(rest);
  }

  #add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#length += bytes.length;
  }

  #take(): Uint8Array {
    const [only, ...more] = this.#pieces;
    const line =
      only === undefined ? new Uint8Array(0) : more.length === 0 ? only : concat(only, ...more);
    this.#pieces = [];
    this.#length = 0;
    return line;
  }
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
