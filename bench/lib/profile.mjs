/**
 * Where the time went: V8 CPU profiles of both processes, as the functions with the most time of their own.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TOP = 15;

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
  /** @type {Map<number, string>} */
  const names = new Map();
  for (const { id, callFrame } of nodes) {
    const path = callFrame.url.split("/").slice(-3).join("/");
    const where = path === "" ? "" : ` ${path}:${callFrame.lineNumber + 1}`;
    names.set(id, `${callFrame.functionName || "(anonymous)"}${where}`);
  }
  /** @type {Map<string, number>} */
  const self = new Map();
  let busy = 0;
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? "?";
    const us = timeDeltas[i + 1] ?? 0;
    if (name === "(idle)") continue;
    busy += us;
    self.set(name, (self.get(name) ?? 0) + us);
  }
  const rows = [...self].sort((a, b) => b[1] - a[1]).slice(0, TOP);
  const lines = rows.map(
    ([name, us]) => `    ${((100 * us) / busy).toFixed(1).padStart(5)} %  ${name}`,
  );
  return `  ${role}: ${(busy / 1e3).toFixed(0)} ms busy, of it\n${lines.join("\n")}`;
}
