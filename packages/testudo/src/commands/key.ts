/**
 * `testudo key`: makes an identity file, or shows whose it is. The secret is never printed.
 */

import { Identity } from "@testudo/core";
import { DynamicSolver, KeySearch } from "@testudo/plugins/kademlia/machines";
import type { Command, CommandContext } from "../command.ts";
import { UsageError } from "../failure.ts";
import { DEFAULT_KEY_FILE, readKeyFile, writeKeyFile } from "../key-file.ts";
import { Meter } from "../meter.ts";

const STATIC_BITS = 8;
const DYNAMIC_BITS = 16;
/** More would take years. */
const MOST_BITS = 32;
/** Key pairs, and hashes, between two looks at whether to go on. */
const PAIRS = 64;
const HASHES = 4_096;

export const key: Command = {
  about:
    "Makes an identity file (mode 0600, never overwritten), or shows the id in one. With --puzzle\nthe id is one that cost work, as some networks want it.",
  usage: [
    "key new [--file F] [--puzzle] [--static-bits N] [--dynamic-bits N]",
    "key show [--file F]",
  ],
  options: {
    file: { value: "F", help: `the file (default ./${DEFAULT_KEY_FILE})` },
    puzzle: { help: "search an id that solves the puzzles of kademlia" },
    "static-bits": {
      value: "N",
      help: `bits of the static puzzle, each twice the work (default ${STATIC_BITS})`,
    },
    "dynamic-bits": {
      value: "N",
      help: `bits of the dynamic puzzle, solved anew at each start (default ${DYNAMIC_BITS})`,
    },
  },
  positionals: [1, 1],
  run,
};

async function run(context: CommandContext): Promise<undefined> {
  const { args, out } = context;
  const [action] = args.positionals;
  const file = args.text("file") ?? DEFAULT_KEY_FILE;
  const given = ["puzzle", "static-bits", "dynamic-bits"].filter((name) => args.has(name));
  if (given.length > 0 && (action !== "new" || !args.flag("puzzle"))) {
    throw new UsageError(`--${given[0]} belongs to testudo key new --puzzle`);
  }
  if (action === "new" && args.flag("puzzle")) {
    await solve(context, file);
    return;
  }
  let identity: Identity;
  if (action === "new") {
    identity = Identity.generate();
    await writeKeyFile(file, identity);
  } else if (action === "show") {
    identity = await readKeyFile(file, (text) => out.note(text));
  } else {
    throw new UsageError("say testudo key new or testudo key show");
  }
  await out.event("key", { id: identity.id.text, file }, identity.id.text);
}

async function solve({ args, io, out, leave }: CommandContext, file: string): Promise<void> {
  const bits = { least: 0, most: MOST_BITS };
  const staticBits = args.whole("static-bits", { ...bits, fallback: STATIC_BITS });
  const dynamicBits = args.whole("dynamic-bits", { ...bits, fallback: DYNAMIC_BITS });
  const meter = new Meter(io, out.json ? "silent" : "told");
  try {
    const search = new KeySearch({ staticBits, generate: () => Identity.generate() });
    const identity = await inSlices(leave, meter, search, PAIRS, "keys tried");
    // Before the rest: what has been found is not lost to an interruption.
    await writeKeyFile(file, identity);
    const { publicKey, id } = identity;
    const solver = new DynamicSolver({ publicKey, dynamicBits });
    const began = performance.now();
    await inSlices(leave, meter, solver, HASHES, "solutions tried");
    const dynamicMs = Math.round(performance.now() - began);
    meter.clear();
    const work = { staticBits, dynamicBits, keys: search.tries, hashes: solver.tries, dynamicMs };
    await out.event("key", { id: id.text, file, ...work }, id.text);
    if (out.json) return;
    out.note(
      `${search.tries} keys tried for ${staticBits} bits; the dynamic puzzle's ${dynamicBits} bits took ` +
        `${solver.tries} hashes and ${dynamicMs} ms, and are solved again at each start`,
    );
  } finally {
    meter.clear();
  }
}

interface Search<T> {
  readonly tries: number;
  readonly expected: number;
  run(budget: number): T | undefined;
}

/** Rejects with the signal's reason when it is interrupted. */
async function inSlices<T>(
  leave: AbortSignal,
  meter: Meter,
  search: Search<T>,
  budget: number,
  what: string,
): Promise<T> {
  for (;;) {
    leave.throwIfAborted();
    const found = search.run(budget);
    if (found !== undefined) return found;
    // Luck has no memory: what is shown is how likely it was to have been found by now.
    const likely = Math.round(1_000 * (1 - Math.exp(-search.tries / search.expected)));
    meter.show(likely, 1_000, `${search.tries} ${what}, about ${search.expected} are needed`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
