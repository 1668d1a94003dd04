/**
 * The `testudo` command: finds the verb, reads its arguments, runs it, and turns what it threw into the
 * last line of output and an exit code.
 *
 * A command's code is loaded when it is called for, so that starting costs only what the verb needs.
 */

import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { Arguments, help } from "./arguments.ts";
import type { Command } from "./command.ts";
import { CommandError, exitCodeOf, UsageError } from "./failure.ts";
import { type Io, systemIo, written } from "./io.ts";
import { Output } from "./output.ts";

interface Entry {
  /** Absent for commands that only our own processes call. */
  readonly summary?: string;
  load(): Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  key: {
    summary: "make an identity file, or show whose it is",
    load: async () => (await import("./commands/key.ts")).key,
  },
  address: {
    summary: "take an address apart, say what is wrong with it",
    load: async () => (await import("./commands/address.ts")).address,
  },
  listen: {
    summary: "run a node: print what arrives, broadcast what is typed",
    load: async () => (await import("./commands/listen.ts")).listen,
  },
  send: {
    summary: "send one message to a node",
    load: async () => (await import("./commands/send.ts")).send,
  },
  pipe: {
    summary: "netcat over an encrypted connection",
    load: async () => (await import("./commands/pipe.ts")).pipe,
  },
  ping: {
    summary: "measure the round trip to a node",
    load: async () => (await import("./commands/ping.ts")).ping,
  },
  bench: {
    summary: "measure throughput, fan-out and latency on this machine",
    load: async () => (await import("./commands/bench.ts")).bench,
  },
  demo: {
    summary: "three nodes, one file, one kill: the main job in a few seconds",
    load: async () => (await import("./commands/demo.ts")).demo,
  },
  sim: {
    summary: "run a scenario on virtual time: thousands of nodes in one process",
    load: async () => (await import("./commands/sim.ts")).sim,
  },
  "demo-node": { load: async () => (await import("./commands/demo-node.ts")).demoNode },
  "bench-node": { load: async () => (await import("./commands/bench-node.ts")).benchNode },
};

/** How long a last line may wait for a reader that was told to leave. */
const FLUSH_MS = 2_000;

/** Runs the command that `words` name. Resolves with the exit code, once all output is handed over. */
export async function main(words: readonly string[], io: Io): Promise<number> {
  const leaving = new AbortController();
  // A server has one for each of its connections.
  setMaxListeners(0, leaving.signal);
  let stdoutFailure: Error | undefined;
  const stopSignals = io.onSignal((name) => {
    if (leaving.signal.aborted) io.exit(1);
    else leaving.abort(new CommandError("INTERRUPTED", `interrupted by ${name}`));
  });
  const onStdoutError = (error: Error): void => {
    stdoutFailure ??= error;
    leaving.abort(error);
  };
  io.stdout.on("error", onStdoutError);
  const ignore = (): void => {};
  io.stderr.on("error", ignore);
  try {
    const code = await dispatch(words, io, leaving.signal, () => stdoutFailure !== undefined);
    await flushed(io, leaving.signal);
    if (stdoutFailure === undefined) return code;
    if ("code" in stdoutFailure && stdoutFailure.code === "EPIPE") return 0;
    io.stderr.write(`testudo: cannot write to stdout: ${stdoutFailure.message}\n`);
    return 1;
  } finally {
    stopSignals();
    // The listeners for errors stay: a write that is still pending may yet fail.
  }
}

async function dispatch(
  words: readonly string[],
  io: Io,
  leave: AbortSignal,
  stdoutFailed: () => boolean,
): Promise<number> {
  const [verb = "", ...rest] = words;
  const json = words.includes("--json");
  let out = new Output(io, { json, events: verb === "pipe" ? "stderr" : "stdout" });
  try {
    if (verb === "--version") return say(io, version());
    if (verb === "--help" || verb === "-h" || words.join() === "help") return say(io, table());
    if (verb === "help") return await dispatch([rest[0] ?? "", "--help"], io, leave, stdoutFailed);
    if (verb === "") {
      if (json) throw new UsageError("which command? testudo --help lists them");
      say(io, table());
      return 2;
    }
    const entry = Object.hasOwn(COMMANDS, verb) ? COMMANDS[verb] : undefined;
    if (entry === undefined) {
      throw new UsageError(
        `there is no command ${JSON.stringify(verb)}; testudo --help lists them`,
      );
    }
    const command = await entry.load();
    const args = new Arguments(rest, command);
    if (args.flag("help")) return say(io, help(command.about, command));
    out = new Output(io, { json: args.flag("json"), events: command.events ?? "stdout" });
    return (await command.run({ args, io, out, leave })) ?? 0;
  } catch (error) {
    if (!stdoutFailed()) out.failure(error);
    return exitCodeOf(error);
  }
}

function say(io: Io, text: string): number {
  io.stdout.write(`${text}\n`);
  return 0;
}

function table(): string {
  const rows = Object.entries(COMMANDS).filter(([, { summary }]) => summary !== undefined);
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    "testudo: peer-to-peer nodes with encrypted streams, broadcasts and plugins\n",
    ...rows.map(([name, { summary }]) => `  testudo ${name.padEnd(width)}  ${summary}`),
    "",
    "  testudo <command> --help   its arguments",
    "  testudo --version",
  ].join("\n");
}

function version(): string {
  const file = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return String((JSON.parse(file) as { version?: unknown }).version);
}

async function flushed(io: Io, leave: AbortSignal): Promise<void> {
  const all = Promise.all([written(io.stdout), written(io.stderr)]);
  if (!leave.aborted) {
    await all;
    return;
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_MS);
  });
  await Promise.race([all, late]);
  clearTimeout(timer);
}

/** The whole process: what `bin/testudo.js` calls. */
export async function start(): Promise<void> {
  const io = systemIo();
  io.exit(await main(process.argv.slice(2), io));
}
