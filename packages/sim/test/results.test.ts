import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runText, writeResults } from "../src/results.ts";
import { defineScenario, type ScenarioResult } from "../src/scenario.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-sim-"));
afterAll(() => rmSync(folder, { recursive: true }));

const table = { columns: ["x"], rows: [[1]] };
const run = (name: string, result: ScenarioResult) => ({
  scenario: defineScenario({ name, about: "About it", nodes: 3, run: () => result }),
  seed: 7,
  nodes: 3,
  result,
});

test("figures and picture, in a folder that is made", async () => {
  const plot = { title: "p", x: { label: "x" }, y: { label: "y" }, series: [] };
  const into = join(folder, "docs", "results");
  const files = await writeResults(into, run("both", { table, plots: [plot] }));
  expect(files).toEqual([join(into, "both.csv"), join(into, "both.svg")]);
  expect(readFileSync(join(into, "both.csv"), "utf8")).toBe("x\n1\n");
  const svg = readFileSync(join(into, "both.svg"), "utf8");
  expect(svg).toContain("both: seed 7, 3 nodes");
  expect(svg).toContain("About it");
});

test("no picture without plots", async () => {
  const into = join(folder, "plain");
  await writeResults(into, run("plain", { table }));
  expect(readdirSync(into)).toEqual(["plain.csv"]);
});

test("one node is one node", () => {
  expect([runText({ seed: 1, nodes: 1 }), runText({ seed: 1, nodes: 2 })]).toEqual([
    "seed 1, 1 node",
    "seed 1, 2 nodes",
  ]);
});
