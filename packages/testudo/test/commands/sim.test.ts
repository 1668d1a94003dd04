import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Running, run } from "../support/io.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-sim-"));
afterAll(() => rmSync(folder, { recursive: true }));
const out = join(folder, "out");

function scenario(name: string, body: string): string {
  const path = join(folder, `${name}.mjs`);
  const head = `name: "${name}", about: "About ${name}", nodes: 5`;
  writeFileSync(path, `export const scenario = { ${head}, ${body} };`);
  return path;
}

const PLAIN = scenario(
  "plain",
  `async run({ seed, nodes, random, progress, rest }) {
    progress(1, 2, "half");
    await rest();
    return {
      table: { columns: ["name", "n"], rows: [["a", nodes], ["b", random.below(1_000_000)]] },
      plots: [{ title: "p", x: { label: "x" }, y: { label: "y" }, series: [{ name: "s", points: [[0, seed]] }] }],
      verdicts: [{ text: "all is well", held: true }],
      notes: ["a note"],
    };
  }`,
);

describe("testudo sim run", () => {
  test("prints the table, what held, and what it wrote", async () => {
    const first = await run(["sim", "run", PLAIN, "--seed", "3", "--nodes", "7", "--out", out]);
    expect([first.code, first.err.text]).toEqual([0, ""]);
    const { text } = first.out;
    expect(text).toMatch(/^plain: About plain\nseed 3, 7 nodes\n\nname +n\n-+ +-+\na +7\nb +\d+\n/);
    expect(text).toContain("\nheld    all is well\n");
    expect(text).toContain("\na note\n");
    expect(text).toContain(`\nwrote ${join(out, "plain.csv")}\nwrote ${join(out, "plain.svg")}\n`);
    const csv = readFileSync(join(out, "plain.csv"), "utf8");
    expect(csv).toMatch(/^name,n\na,7\nb,\d+\n$/);
    expect(readFileSync(join(out, "plain.svg"), "utf8")).toContain("plain: seed 3, 7 nodes");
    const again = await run(["sim", "run", PLAIN, "--seed", "3", "--nodes", "7", "--out", out]);
    expect(again.out.text).toBe(text);
    await run(["sim", "run", PLAIN, "--seed", "4", "--nodes", "7", "--out", out]);
    expect(readFileSync(join(out, "plain.csv"), "utf8")).not.toBe(csv);
  });

  test("--json is one document", async () => {
    const { code, out: stdout } = await run(["sim", "run", PLAIN, "--out", out, "--json"]);
    expect(code).toBe(0);
    expect(stdout.lines).toHaveLength(1);
    expect(JSON.parse(stdout.text)).toMatchObject({
      scenario: "plain",
      seed: 1,
      nodes: 5,
      table: { columns: ["name", "n"] },
      plots: [{ title: "p" }],
      verdicts: [{ text: "all is well", held: true }],
      notes: ["a note"],
      files: [join(out, "plain.csv"), join(out, "plain.svg")],
    });
  });

  test("exits with 1 when a bar is missed", async () => {
    const body = `run: () => ({ table: { columns: ["n"], rows: [[1]] }, verdicts: [
      { text: "one", held: true }, { text: "other", held: false }] })`;
    const { code, out: stdout } = await run(["sim", "run", scenario("missed", body), "--out", out]);
    expect(code).toBe(1);
    expect(stdout.text).toContain("held    one\nmissed  other\n");
    expect(existsSync(join(out, "missed.svg"))).toBe(false);
  });

  test("a signal stops it, whether or not the scenario cares", async () => {
    const file = scenario("endless", "run: () => new Promise(() => {})");
    const running = new Running(["sim", "run", file, "--out", out]);
    // The file is loaded by and by; a signal before that stops it just as well.
    await new Promise((resolve) => setImmediate(resolve));
    running.io.signal("SIGINT");
    expect(await running.code).toBe(1);
    expect(running.io.err.text).toBe("testudo: interrupted by SIGINT\n");
    expect(existsSync(join(out, "endless.csv"))).toBe(false);
  });

  test("one that waits for what never comes is told, and does not just end", async () => {
    const file = scenario("stuck", "run: () => new Promise(() => {})");
    const running = new Running(["sim", "run", file, "--out", out]);
    const tell = setInterval(() => running.io.idle(), 5);
    expect(await running.code).toBe(1);
    clearInterval(tell);
    expect(running.io.err.text).toMatch(/stuck.mjs: it waits for something that never comes/);
  });

  test.each([
    ["another word", ["sim", "walk", PLAIN], 2, /say testudo sim run/],
    ["no file", ["sim", "run"], 2, /something is missing/],
    ["a seed that is none", ["sim", "run", PLAIN, "--seed", "-1"], 2, /seed/],
    ["nodes that are none", ["sim", "run", PLAIN, "--nodes", "0"], 2, /--nodes must be/],
    ["a file that is not there", ["sim", "run", join(folder, "no.mjs")], 1, /no such file/],
    ["a file of another kind", ["sim", "run", folder], 1, /must end in .mjs or .ts/],
    [
      "a file that throws",
      ["sim", "run", scenario("thrower", "run() { throw new Error('oh') }")],
      1,
      /thrower.mjs:1:\d+: oh/,
    ],
    ["one without a table", ["sim", "run", scenario("bare", "run: () => ({})")], 1, /table: \{/],
    [
      "a folder that cannot be",
      ["sim", "run", PLAIN, "--out", join(PLAIN, "x")],
      1,
      /cannot write/,
    ],
  ])("%s is told", async (_, words, code, message) => {
    const result = await run(words);
    expect(result.code).toBe(code);
    expect(result.err.text).toMatch(message);
    expect(result.err.lines).toHaveLength(1);
  });
});
