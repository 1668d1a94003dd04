import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROGRAM } from "../../src/demo/program.ts";
import { ROOT } from "../support/bin.ts";
import { Running, run, TestIo } from "../support/io.ts";

let folder = "";
let file = "";
const LINES = 412;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testudo-demo-"));
  file = join(folder, "text.md");
  await writeFile(file, Array.from({ length: LINES }, (_, i) => `line ${i}\n`).join(""));
});
afterAll(() => rm(folder, { recursive: true }));

describe("demo", { timeout: 30_000 }, () => {
  test("streams, verifies, kills, and ends with the figures and the program", async () => {
    const { code, out, err } = await run(["demo", "--file", file, "--rate", "0"]);
    expect([code, err.text]).toEqual([0, ""]);
    const text = out.text;
    expect(text.endsWith(`${PROGRAM}\n`)).toBe(true);
    const figures = text.slice(text.indexOf("\nmessages") + 1).split("\n");
    expect(figures.slice(0, 5)).toEqual([
      `messages ${LINES}`,
      `deliveries ${2 * LINES}`,
      "losses 0",
      expect.stringMatching(/^p50 \d+(\.\d+)? ms$/),
      expect.stringMatching(/^p99 \d+(\.\d+)? ms$/),
    ]);
    for (const [pattern, times] of [
      [/stacks: net~noise, kcp~noise, net~shs \(kcp: over UDP\)\n/g, 1],
      [/process \d+ {2}net:127\.0\.0\.1:\d+~(noise|shs):/g, 2],
      [/two {4}process \d+ {2}kcp:127\.0\.0\.1:\d+~noise:/g, 1],
      [/connected over (net~noise|net~shs)\n/g, 2],
      [/one and two connected over kcp~noise\n/g, 1],
      [new RegExp(`verified ${LINES} of ${LINES}`, "g"), 2],
      [/killing three \(SIGKILL\)/g, 1],
      [/(one|two) noticed: three left: .* \(TRUNCATED\)/g, 2],
    ] as const) {
      expect(text.match(pattern)).toHaveLength(times);
    }
  });

  test("with JSON, one object a line", async () => {
    const { code, out } = await run(["demo", "--file", file, "--rate", "1000", "--json"]);
    expect(code).toBe(0);
    const kinds = out.events.map(({ event }) => event);
    expect(kinds.filter((kind) => kind !== "progress")).toEqual([
      "nodes",
      ...Array(3).fill("node"),
      ...Array(3).fill("connected"),
      "streaming",
      ...Array(2).fill("verified"),
      "killing",
      ...Array(2).fill("noticed"),
      "result",
    ]);
    expect(out.events.at(-1)).toEqual({
      event: "result",
      messages: LINES,
      deliveries: 2 * LINES,
      losses: 0,
      p50Ms: expect.any(Number),
      p99Ms: expect.any(Number),
      program: PROGRAM,
    });
    expect(kinds).toContain("progress");
  });

  test("an interruption ends all of it", async () => {
    const io = new TestIo();
    io.terminal = { stdin: true, stdout: true, stderr: true };
    const command = new Running(["demo", "--file", file, "--rate", "10"], io);
    await io.out.until(() => io.out.text.includes("sent 1"));
    expect(await command.stop()).toBe(1);
    expect(io.err.text).toContain("interrupted");
  });

  test("a file that cannot be read is told before anything is started", async () => {
    for (const path of [join(folder, "none"), folder]) {
      const { code, out } = await run(["demo", "--file", path, "--json"]);
      expect(code).toBe(1);
      expect(out.events).toMatchObject([{ event: "error", code: "FILE_UNREADABLE" }]);
    }
  });
});

test("the printed program runs, and does the same", () => {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ["--input-type=module", "-", file],
    {
      input: PROGRAM,
      cwd: ROOT,
      encoding: "utf8",
    },
  );
  expect(status).toBe(0);
  expect(stderr).toBe("");
  const lines = stdout.trimEnd().split("\n");
  expect(lines.slice(0, 2).every((line) => / left: closed by the peer/.test(line))).toBe(true);
  expect(lines.at(-1)).toBe(`messages ${LINES + 1} deliveries ${2 * (LINES + 1)} losses 0`);
});
