import { expect, test } from "vitest";
import { defineScenario, type Scenario } from "../src/scenario.ts";

const fit: Scenario = {
  name: "two-words",
  about: "A sentence",
  nodes: 3,
  run: () => ({ table: { columns: [], rows: [] } }),
};

test("gives back what is a scenario", () => {
  expect(defineScenario(fit)).toBe(fit);
});

test.each([
  ["name", { name: "Two Words" }],
  ["name", { name: "../up" }],
  ["about", { about: "" }],
  ["nodes", { nodes: 0 }],
  ["nodes", { nodes: 1.5 }],
  ["run", { run: undefined }],
])("names the %s that is wrong", (field, change) => {
  const wrong = { ...fit, ...change } as unknown as Scenario;
  expect(() => defineScenario(wrong)).toThrow(new RegExp(`scenario\\.${field}`));
});
