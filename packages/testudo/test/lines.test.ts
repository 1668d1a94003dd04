import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Line, linesOf } from "../src/lines.ts";

async function* chunked(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function read(chunks: readonly (string | Uint8Array)[], maxBytes = 1_000): Promise<string[]> {
  const bytes = chunks.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk));
  const lines: Line[] = [];
  for await (const some of linesOf(chunked(bytes), maxBytes)) lines.push(...some);
  return lines.map((line) => `${Buffer.from(line.bytes)}${line.whole ? "" : "…"}`);
}

describe("linesOf", () => {
  test.each([
    [[], []],
    [["a\nb\n"], ["a", "b"]],
    [["a\nb"], ["a", "b"]],
    [["\n\n"], ["", ""]],
    [["a\r\nb\r\n"], ["a", "b"]],
    [["a\rb\n"], ["a\rb"]],
    [
      ["a", "b", "\nc", "\n"],
      ["ab", "c"],
    ],
    [
      ["a\r", "\nb"],
      ["a", "b"],
    ],
    [["a", ""], ["a"]],
  ])("%j is %j", async (chunks, lines) => {
    expect(await read(chunks)).toEqual(lines);
  });

  test("a line over the bound comes in pieces, and only the last is whole", async () => {
    expect(await read(["abcdefg\nhi"], 3)).toEqual(["abc…", "def…", "g", "hi"]);
    expect(await read(["abc\n"], 3)).toEqual(["abc"]);
    expect(await read(["ab", "cd", "ef"], 3)).toEqual(["abc…", "def"]);
  });

  test("however it is cut into chunks, the same lines come out", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("a", "b", "é", "\n", "\r\n"), { maxLength: 40 }),
        fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 6 }),
        async (parts, cuts) => {
          const whole = Buffer.from(parts.join(""));
          const edges = [0, ...cuts.map((cut) => Math.min(cut, whole.length)), whole.length];
          edges.sort((a, b) => a - b);
          const chunks = edges.slice(1).map((end, i) => whole.subarray(edges[i], end));
          const expected = whole.toString().split(/\r?\n/);
          if (expected.at(-1) === "") expected.pop();
          expect(await read(chunks)).toEqual(expected);
        },
      ),
    );
  });
});
