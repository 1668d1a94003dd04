/** The scenarios of the overlay, with few nodes. */

import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Random } from "../src/random.ts";
import type { ScenarioResult } from "../src/scenario.ts";
import { loadScenario } from "../src/scenario-file.ts";

async function play(name: string, nodes: number): Promise<ScenarioResult> {
  const file = fileURLToPath(new URL(`../scenarios/${name}.mjs`, import.meta.url));
  const scenario = await loadScenario(file);
  return scenario.run({
    seed: 1,
    nodes,
    random: new Random(1),
    signal: new AbortController().signal,
    progress: () => {},
    rest: async () => {},
  });
}

describe("lookups through real networks", { timeout: 60_000 }, () => {
  it("are quick, and quick enough when a fifth is silent", async () => {
    const { verdicts = [] } = await play("lookup-latency", 24);
    expect(verdicts).toHaveLength(4);
    expect(verdicts.filter(({ held }) => !held)).toEqual([]);
  });
});

it("a restart among sybils ends well with all defences, and worse without each", async () => {
  const { table, verdicts = [] } = await play("eclipse", 240);
  expect(verdicts.filter(({ held }) => !held)).toEqual([]);
  const row = (name: string): readonly unknown[] =>
    table?.rows.find(([defence]) => defence === name) ?? [];
  const honest = (name: string): number => Number(row(name)[3]);
  for (const name of ["no choice", "no caps", "none"]) {
    expect(honest(name), name).toBeLessThan(honest("all"));
  }
  expect(row("no anchors")[5]).toBe(0);
});
