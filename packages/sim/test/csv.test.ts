import { expect, test } from "vitest";
import { toCsv } from "../src/csv.ts";

test("fields are quoted where RFC 4180 wants it, and lines end in LF", () => {
  const rows = [
    ["a,b", 1],
    ['say "x"', 0.25],
    ["two\nlines", -3],
    ["", 10_000],
  ];
  expect(toCsv({ columns: ["name", "k"], rows })).toBe(
    'name,k\n"a,b",1\n"say ""x""",0.25\n"two\nlines",-3\n,10000\n',
  );
});

test("a row of another length is refused", () => {
  expect(() => toCsv({ columns: ["a", "b"], rows: [[1]] })).toThrow(/1 fields .* 2 columns/);
});
