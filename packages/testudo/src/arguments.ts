/**
 * Arguments: one command's options and positionals, read from the words behind its name.
 *
 * Every command declares a table; this file reads words against it and prints the same table as help. It
 * never guesses: an unknown option, a missing value or a word too many is a usage error.
 */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { UsageError } from "./failure.ts";

interface Option {
  /** What the value is called in help; without it the option is a flag. */
  readonly value?: string;
  /** One letter: `-c`. */
  readonly short?: string;
  readonly multiple?: boolean;
  readonly help: string;
}

export type OptionTable = Readonly<Record<string, Option>>;

/** What every command takes. */
const COMMON_OPTIONS: OptionTable = {
  json: { help: "one JSON object per line instead of text" },
  "log-level": {
    value: "LEVEL",
    help: "trace, debug, info, warn, error or silent, on stderr (default silent)",
  },
  help: { short: "h", help: "show this" },
};

export interface Syntax {
  /** Each way to call it, without the name of the program. */
  readonly usage: readonly string[];
  readonly options: OptionTable;
  /** How many positionals there may be: least and most. */
  readonly positionals: readonly [number, number];
}

/** The words, read. Every getter throws `UsageError` for a value that makes no sense. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

  constructor(words: readonly string[], syntax: Syntax) {
    const table: OptionTable = { ...syntax.options, ...COMMON_OPTIONS };
    const options: NonNullable<ParseArgsConfig["options"]> = {};
    for (const [name, { value, short, multiple }] of Object.entries(table)) {
      options[name] = {
        type: value === undefined ? "boolean" : "string",
        multiple: multiple === true,
        ...(short === undefined ? {} : { short }),
      };
    }
    try {
      const read = parseArgs({ args: [...words], options, allowPositionals: true });
      this.positionals = read.positionals;
      this.#values = read.values;
    } catch (error) {
      throw new UsageError(sentence(error), { cause: error });
    }
    const [least, most] = syntax.positionals;
    if (this.flag("help")) return;
    if (this.positionals.length < least || this.positionals.length > most) {
      const wrong = this.positionals.length < least ? "something is missing" : "too many words";
      throw new UsageError(`${wrong}; usage: testudo ${syntax.usage.join(" | testudo ")}`);
    }
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** Whether it was given at all. */
  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  all(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
  }

  /** The items of an option that may be repeated, or have several items with commas between. */
  list(name: string): readonly string[] {
    return this.all(name).flatMap((value) => value.split(",").map((item) => item.trim()));
  }

  whole(name: string, bounds: { least: number; most: number; fallback: number }): number {
    const text = this.text(name);
    if (text === undefined) return bounds.fallback;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= bounds.least && value <= bounds.most)) {
      throw new UsageError(
        `--${name} must be a whole number from ${bounds.least} to ${bounds.most}, not ${quoted(text)}`,
      );
    }
    return value;
  }
}

/** The help of one command. */
export function help(about: string, syntax: Syntax): string {
  const lines = [`${about}\n`, ...syntax.usage.map((usage) => `  testudo ${usage}`), ""];
  const rows = Object.entries({ ...syntax.options, ...COMMON_OPTIONS }).map(([name, option]) => {
    const short = option.short === undefined ? "" : `-${option.short}, `;
    const value = option.value === undefined ? "" : ` ${option.value}`;
    return [`${short}--${name}${value}`, option.help] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  for (const [left, right] of rows) lines.push(`  ${left.padEnd(width)}  ${right}`);
  return lines.join("\n");
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** The first sentence of what `parseArgs` says, in our style. */
function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const [first = text] = text.split(/\.\s/);
  return `${first.charAt(0).toLowerCase()}${first.slice(1)}; --help shows what there is`;
}
