/** The scenarios of lookups through real networks, with few nodes. */

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
