/**
 * Results: a scenario's figures as files, `<name>.csv` and `<name>.svg`.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toCsv } from "./csv.ts";
import type { Scenario, ScenarioResult } from "./scenario.ts";
import { toSvg } from "./svg.ts";

export interface Run {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly nodes: number;
  readonly result: ScenarioResult;
}

/** What stands below the title of a picture, and above a table. */
export function runText({ seed, nodes }: Pick<Run, "seed" | "nodes">): string {
  return `seed ${seed}, ${nodes} ${nodes === 1 ? "node" : "nodes"}`;
}

/** Throws `TypeError` for what is no result: a scenario may be plain JavaScript. */
export function checkResult({ name }: Scenario, result: unknown): ScenarioResult {
  const { table } = (result ?? {}) as Partial<ScenarioResult>;
  if (!Array.isArray(table?.columns) || !Array.isArray(table.rows)) {
    throw new TypeError(`${name}: run() must give { table: { columns, rows } }`);
  }
  return result as ScenarioResult;
}

/** Writes both (the picture only when there are plots) and gives their paths. The folder is made if need be. */
export async function writeResults(folder: string, run: Run): Promise<string[]> {
  const { scenario, result } = run;
  const { plots = [] } = result;
  await mkdir(folder, { recursive: true });
  const files: [path: string, text: string][] = [
    [join(folder, `${scenario.name}.csv`), toCsv(result.table)],
  ];
  if (plots.length > 0) {
    const subtitle = `${scenario.name}: ${runText(run)}`;
    files.push([
      join(folder, `${scenario.name}.svg`),
      toSvg(plots, { title: scenario.about, subtitle }),
    ]);
  }
  for (const [path, text] of files) await writeFile(path, text);
  return files.map(([path]) => path);
}
