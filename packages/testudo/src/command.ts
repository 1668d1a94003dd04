/**
 * Command: what a verb of the command line is made of.
 */

import type { Arguments, Syntax } from "./arguments.ts";
import type { Io } from "./io.ts";
import type { Output } from "./output.ts";

export interface CommandContext {
  readonly args: Arguments;
  readonly io: Io;
  readonly out: Output;
  /** Fires at the first SIGINT or SIGTERM, and when nobody reads stdout any more. */
  readonly leave: AbortSignal;
}

export interface Command extends Syntax {
  /** What it does, in a sentence or two. */
  readonly about: string;
  /** Where its JSON goes. Default: `stdout`. */
  readonly events?: "stdout" | "stderr";
  /** Resolves when done, with 1 for a failure that has already been told; rejects for all others. */
  run(context: CommandContext): Promise<number | undefined>;
}
