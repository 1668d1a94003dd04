import { describe, expect, test } from "vitest";
import { Arguments, help, type Syntax } from "../src/arguments.ts";
import { UsageError } from "../src/failure.ts";

const syntax: Syntax = {
  usage: ["try <a> [b]"],
  options: {
    count: { value: "N", short: "c", help: "how many" },
    name: { value: "S", help: "a name" },
    peer: { value: "A", multiple: true, help: "a peer" },
    loud: { help: "noise" },
  },
  positionals: [1, 2],
};
const read = (...words: string[]): Arguments => new Arguments(words, syntax);
const bounds = { least: 1, most: 9, fallback: 4 };

describe("Arguments", () => {
  test("reads options, repeated options, flags and positionals in any order", () => {
    const args = read("-c", "3", "x", "--peer", "p", "--loud", "y", "--peer=q", "--name", "n");
    expect(args.positionals).toEqual(["x", "y"]);
    expect(args.whole("count", bounds)).toBe(3);
    expect(args.text("name")).toBe("n");
    expect(args.all("peer")).toEqual(["p", "q"]);
    expect(args.flag("loud")).toBe(true);
  });

  test("gives what is not there as absent", () => {
    const args = read("x");
    expect(args.whole("count", bounds)).toBe(4);
    expect(args.text("name")).toBeUndefined();
    expect(args.all("peer")).toEqual([]);
    expect(args.flag("loud")).toBe(false);
  });

  test("a lone - is a positional, and so is everything behind --", () => {
    expect(read("x", "-").positionals).toEqual(["x", "-"]);
    expect(read("x", "--", "--loud").positionals).toEqual(["x", "--loud"]);
  });

  test.each([
    ["an unknown option", ["x", "--nothing"], /unknown option '--nothing'/],
    ["a missing value", ["x", "--name"], /'--name <value>' argument missing/],
    ["a value for a flag", ["x", "--loud=1"], /does not take an argument/],
    ["too few words", [], /something is missing; usage: testudo try <a> \[b\]/],
    ["too many words", ["x", "y", "z"], /too many words/],
  ])("refuses %s", (_, words, message) => {
    expect(() => read(...words)).toThrow(UsageError);
    expect(() => read(...words)).toThrow(message);
  });

  test.each(["0", "10", "-1", "3.5", "", "x", "1e1", "99999999999999999"])(
    "refuses --count %j as a number from 1 to 9",
    (text) => {
      expect(() => read("x", `--count=${text}`).whole("count", bounds)).toThrow(UsageError);
    },
  );

  test("with --help nothing else has to make sense", () => {
    expect(read("--help").flag("help")).toBe(true);
    expect(read("-h").flag("help")).toBe(true);
  });
});

test("help shows the usage and every option, the common ones too", () => {
  const text = help("What it does.", syntax);
  expect(text).toMatch(/^What it does\.\n\n {2}testudo try <a> \[b\]\n/);
  for (const row of ["-c, --count N", "--peer A", "--loud", "--json", "--log-level LEVEL"]) {
    expect(text).toContain(row);
  }
});
