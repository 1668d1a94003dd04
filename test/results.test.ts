/** docs/results: every row has its files, and what a command wrote once it writes again. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "@testudo/sim";
import { loadScenario, writeResults } from "@testudo/sim/files";
import { expect, it } from "vitest";
import { Page, ROOT } from "./support/markdown.ts";

const FOLDER = `${ROOT}/docs/results`;
const rows = new Page("docs/results/README.md").rows("file", "command");
const written = readdirSync(FOLDER).filter((name) => name.endsWith(".csv"));

it("has a row for every file, with the command and seed that wrote it", () => {
  const named = rows.flatMap(([file = ""]) => [...file.matchAll(/\(([\w.-]+\.csv)\)/g)]);
  expect(named.map(([, name]) => name).toSorted()).toEqual(written.toSorted());
  for (const [, command = "", seed] of rows) {
    const [, path = "", given] = command.match(/^testudo sim run (\S+) --seed (\d+)$/) ?? [];
    expect([path, existsSync(`${ROOT}/${path}`), given]).toEqual([path, true, seed]);
  }
});

it("is written again byte for byte", async () => {
  const scenario = await loadScenario(`${ROOT}/packages/sim/scenarios/hello-world.mjs`);
  const { nodes } = scenario;
  const result = await scenario.run({
    seed: 1,
    nodes,
    random: new Random(1),
    signal: new AbortController().signal,
    progress: () => {},
    rest: async () => {},
  });
  const folder = mkdtempSync(join(tmpdir(), "testudo-results-"));
  try {
    for (const path of await writeResults(folder, { scenario, seed: 1, nodes, result })) {
      const again = readFileSync(path, "utf8");
      expect(again).toBe(readFileSync(path.replace(folder, FOLDER), "utf8"));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
