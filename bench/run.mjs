/**
 * Side-by-side benchmarks: `node run.mjs [--only a,b] [--peers a,b] [--rounds N] [--quick] [--json] [--profile]`.
 *
 * Runs every workload for every peer, round by round (A B C, A B C), each measurement in two fresh
 * processes, and compares the medians with the targets. This process sleeps while others measure.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { profiler } from "./lib/profile.mjs";
import { table, verdictLine, verdicts } from "./lib/report.mjs";

const WORKLOADS = [
  "handshake",
  "bulk",
  "small",
  "tick",
  "request",
  "fanout",
  "gossip",
  "survivors",
  "memory",
  "start",
  "first",
  "channel",
  "shs-echo",
  "shs-round",
  "shs-handshake",
  "kcp-machine",
  "kcp-loopback",
  "kcp-echo",
  "kcp-classic",
  "kcp-congestion",
  "kcp-amplification",
];
/** A measurement that takes longer has hung. */
const TIMEOUT_MS = 60_000;

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    peers: { type: "string" },
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    profile: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(
    "node run.mjs [--only a,b] [--peers a,b] [--rounds N] [--quick] [--json] [--profile]",
  );
  console.log(`workloads: ${WORKLOADS.join(" ")}`);
  process.exit(0);
}
const chosen = options.only?.split(",") ?? WORKLOADS;
const unknown = chosen.filter((name) => !WORKLOADS.includes(name));
if (unknown.length > 0 || !(Number(options.rounds ?? 1) >= 1)) {
  console.error(
    unknown.length > 0 ? `no workload ${unknown.join(", ")}` : "--rounds must be 1 or more",
  );
  process.exit(2);
}
const wanted = options.peers?.split(",");
/** Text for people goes to stderr when stdout is for machines. */
const say = options.json ? console.error : console.log;
const emit = (/** @type {object} */ event) => {
  if (options.json) console.log(JSON.stringify(event));
};

say(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}; median [min-max]\n`);
const all = [];
let failures = 0;
for (const name of WORKLOADS.filter((workload) => chosen.includes(workload))) {
  /** @type {import("./lib/types.mjs").Workload} */
  const workload = await import(`./workloads/${name}.mjs`);
  const peers = workload.peers.filter((peer) => wanted?.includes(peer) ?? true);
  if (peers.length === 0) continue;
  const rounds = Number(options.rounds ?? (options.quick ? 1 : (workload.rounds ?? 5)));
  /** @type {import("./lib/report.mjs").Results} */
  const results = new Map(peers.map((peer) => [peer, []]));
  say(`${workload.title} (${name}, ${rounds} ${rounds === 1 ? "round" : "rounds"})`);
  for (let round = 0; round < rounds; round++) {
    for (const peer of peers) {
      let figures = {};
      try {
        figures = await (workload.run?.(peer, { quick: options.quick }) ??
          measure(name, peer, workload.gc));
      } catch (error) {
        failures++;
        console.error(`  ${name} ${peer}: ${error instanceof Error ? error.message : error}`);
      }
      results.get(peer)?.push(figures);
      emit({ event: "figures", workload: name, peer, round, figures });
    }
  }
  say(table(workload, results));
  for (const verdict of verdicts(workload, results)) {
    all.push(verdict);
    emit({ event: "verdict", ...verdict });
    say(verdictLine(verdict));
  }
  say("");
}
const missed = all.filter(({ pass }) => !pass).length;
say(`targets met ${all.length - missed}, missed ${missed}, measurements failed ${failures}`);
process.exitCode = failures > 0 ? 1 : 0;

/**
 * One measurement in two fresh processes.
 * @param {string} workload
 * @param {string} peer
 * @param {boolean} [gc]
 * @returns {Promise<Record<string, number>>}
 */
async function measure(workload, peer, gc = false) {
  const args = ["dial", peer, workload, ...(options.quick ? ["quick"] : [])];
  const profile = options.profile ? profiler() : undefined;
  const child = fork(fileURLToPath(new URL("./worker.mjs", import.meta.url)), args, {
    execArgv: [...(gc ? ["--expose-gc"] : []), ...(profile?.flags("dial") ?? [])],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const exited = once(child, "exit");
  try {
    const [message] = await Promise.race([once(child, "message"), exited]);
    if (message?.figures !== undefined) return message.figures;
    throw new Error(message?.error ?? `the process ended with ${message}`);
  } finally {
    clearTimeout(timer);
    await exited;
    if (profile !== undefined) say(`  ${workload} ${peer}\n${profile.report()}`);
  }
}
