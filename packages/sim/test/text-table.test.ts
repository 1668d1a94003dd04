import { expect, test } from "vitest";
import { toText } from "../src/text-table.ts";

test("columns of numbers stand to the right, others to the left", () => {
  const rows = [
    ["eager", 0.5, "x"],
    ["lazy", 10_000, 2],
  ];
  expect(toText({ columns: ["strategy", "n", "mixed"], rows })).toBe(
    [
      "strategy      n  mixed",
      "--------  -----  -----",
      "eager       0.5  x",
      "lazy      10000  2",
    ].join("\n"),
  );
});

test("no cell commands a terminal", () => {
  expect(toText({ columns: ["a"], rows: [["\u001b[2J"]] })).toBe("a\n----\n [2J");
});
