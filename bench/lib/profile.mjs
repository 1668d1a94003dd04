/**
 * Where the time went: V8 CPU profiles of both processes, as the functions with the most time of their own,
 * and with what they call.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TOP = 20;

/** Flags for a process that is to be profiled, and what it left. */
export function profiler() {
  const directory = mkdtempSync(join(tmpdir(), "testudo-bench-"));
  return {
    flags: (/** @type {string} */ role) => [
      "--cpu-prof",
      `--cpu-prof-dir=${directory}`,
      `--cpu-prof-name=${role}.cpuprofile`,
    ],
    /** @returns {string} */
    report() {
      try {
        return readdirSync(directory)
          .filter((name) => name.endsWith(".cpuprofile"))
          .map((name) => describe(name.replace(".cpuprofile", ""), join(directory, name)))
          .join("\n");
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  };
}

/**
 * @param {string} role
 * @param {string} file
 */
function describe(role, file) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, "utf8"));
  /** @type {Map<number, { name: string, own: boolean, parent: number | undefined }>} */
  const calls = new Map();
  for (const { id, callFrame } of nodes) {
    const path = callFrame.url.split("/").slice(-3).join("/");
    const where = path === "" ? "" : ` ${path}:${callFrame.lineNumber + 1}`;
    const name = `${callFrame.functionName || "(anonymous)"}${where}`;
    calls.set(id, { name, own: callFrame.url.startsWith("file:"), parent: undefined });
  }
  for (const { id, children = [] } of nodes) {
    for (const child of children) Object.assign(calls.get(child) ?? {}, { parent: id });
  }
  /** @type {Map<string, number>} */
  const self = new Map();
  /** @type {Map<string, number>} */
  const total = new Map();
  let busy = 0;
  for (const [i, id] of samples.entries()) {
    const call = calls.get(id);
    const us = timeDeltas[i + 1] ?? 0;
    if (call === undefined || call.name === "(idle)") continue;
    busy += us;
    self.set(call.name, (self.get(call.name) ?? 0) + us);
    /** Recursion counts once. @type {Set<string>} */
    const stack = new Set();
    for (let at = call; ; ) {
      if (at.own) stack.add(at.name);
      const parent = at.parent === undefined ? undefined : calls.get(at.parent);
      if (parent === undefined) break;
      at = parent;
    }
    for (const name of stack) total.set(name, (total.get(name) ?? 0) + us);
  }
  const top = (/** @type {Map<string, number>} */ times) =>
    [...times]
      .sort((a, b) => b[1] - a[1])
      .slice(0, TOP)
      .map(([name, us]) => `    ${((100 * us) / busy).toFixed(1).padStart(5)} %  ${name}`)
      .join("\n");
  return `  ${role}: ${(busy / 1e3).toFixed(0)} ms busy, by function\n${top(self)}\n   with what they call, outside Node itself\n${top(total)}`;
}
