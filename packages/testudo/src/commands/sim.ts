/**
 * `testudo sim`: runs a scenario file, prints its table, and writes figures and pictures to files. A bar that
 * was missed is exit code 1.
 *
 * A scenario is a program of the user's: it is loaded and run as it is.
 */

import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import { deferred } from "@testudo/core";
import {
  Random,
  type Scenario,
  type ScenarioContext,
  type ScenarioResult,
  toText,
} from "@testudo/sim";
import { checkResult, loadScenario, type Run, runText, writeResults } from "@testudo/sim/files";
import type { Command, CommandContext } from "../command.ts";
import { CommandError, fileTrouble, UsageError } from "../failure.ts";
import type { Io } from "../io.ts";
import { Meter } from "../meter.ts";
import { jsonLine } from "../output.ts";

const FOLDER = join("docs", "results");
const STUCK =
  "it waits for something that never comes: time moves only while world.run, until or during is awaited";

export const sim: Command = {
  about:
    "Runs the scenario that a file exports (.mjs, or .ts where Node strips types or tsx is\ninstalled), prints its table, and writes <name>.csv and <name>.svg. The same seed gives the\nsame result. Exits with 1 when a bar was missed.",
  usage: ["sim run <file> [--seed N] [--nodes N] [--out DIR]"],
  options: {
    seed: { value: "N", help: "where all randomness comes from (default 1)" },
    nodes: { value: "N", help: "how many nodes (default: the scenario's own number)" },
    out: { value: "DIR", help: `folder of the results (default ./${FOLDER}, made if need be)` },
  },
  positionals: [2, 2],
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { args, io, out, leave } = context;
  const [action, file = ""] = args.positionals;
  if (action !== "run") throw new UsageError("say testudo sim run <file>");
  const seed = args.whole("seed", { least: 0, most: 2 ** 32 - 1, fallback: 1 });
  const scenario = await load(file);
  const nodes = args.whole("nodes", { least: 1, most: 1_000_000, fallback: scenario.nodes });
  const meter = new Meter(io, out.json ? "silent" : "told");
  const run: Run = {
    scenario,
    seed,
    nodes,
    result: await play(scenario, { file, seed, nodes, signal: leave, io, meter }),
  };
  const files = await write(args.text("out") ?? FOLDER, run);
  const { table, plots = [], verdicts = [], notes = [] } = run.result;
  const { name, about } = scenario;
  if (out.json) {
    const document = { scenario: name, about, seed, nodes, table, plots, verdicts, notes, files };
    await out.lines(jsonLine(document));
  } else {
    const judged = verdicts.map(({ text, held }) => `${held ? "held  " : "missed"}  ${text}`);
    const parts = [
      [`${name}: ${about}`, runText(run)],
      [toText(table)],
      judged,
      notes,
      files.map((path) => `wrote ${path}`),
    ];
    const blocks = parts.filter((lines) => lines.length > 0).map((lines) => lines.join("\n"));
    await out.lines(blocks.join("\n\n"));
  }
  return verdicts.every(({ held }) => held) ? 0 : 1;
}

async function load(file: string): Promise<Scenario> {
  try {
    await access(file);
  } catch (error) {
    const message = `cannot read ${file}: ${fileTrouble(error)}`;
    throw new CommandError("FILE_UNREADABLE", message, { cause: error });
  }
  try {
    return await loadScenario(file);
  } catch (error) {
    throw failed(file, error);
  }
}

/** With the place in the file where it went wrong, if it was there. */
function failed(file: string, thrown: unknown): CommandError {
  const { message, stack = "" } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const name = basename(file);
  const at = stack.split("\n").find((line) => line.includes(`/${name}`));
  const place = at?.match(/(:\d+)+(?=\)?$)/)?.[0];
  const text = message.includes(file) ? message : `${file}${place ?? ""}: ${message}`;
  return new CommandError("FAILED", text, { cause: thrown });
}

interface Playing {
  readonly file: string;
  readonly seed: number;
  readonly nodes: number;
  readonly signal: AbortSignal;
  readonly io: Io;
  readonly meter: Meter;
}

/** Rejects as soon as it is interrupted, whether or not the scenario heeds the signal. */
async function play(scenario: Scenario, playing: Playing): Promise<ScenarioResult> {
  const { file, seed, nodes, signal, io, meter } = playing;
  const context: ScenarioContext = {
    seed,
    nodes,
    random: new Random(seed),
    signal,
    progress: (done, total, what) => meter.show(done, total, what),
    rest: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    },
  };
  const ended = deferred<never>();
  const interrupt = (): void => ended.reject(signal.reason);
  signal.addEventListener("abort", interrupt, { once: true });
  const stopIdle = io.onIdle(() => ended.reject(new Error(STUCK)));
  try {
    signal.throwIfAborted();
    return checkResult(scenario, await Promise.race([scenario.run(context), ended.promise]));
  } catch (error) {
    throw signal.aborted ? signal.reason : failed(file, error);
  } finally {
    stopIdle();
    signal.removeEventListener("abort", interrupt);
    meter.clear();
  }
}

async function write(folder: string, run: Run): Promise<string[]> {
  try {
    return await writeResults(folder, run);
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
    const message = `cannot write to ${folder}: ${fileTrouble(error)}`;
    throw new CommandError("FAILED", message, { cause: error });
  }
}
