import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { loadScenario, stripsTypes } from "../src/scenario-file.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-sim-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const BESIDE = join(folder, "plain", "node_modules");
const BODY = `{ name: "small", about: "Small", nodes: 2, run: () => ({ table: { columns: [], rows: [] } }) }`;

describe("a scenario file", () => {
  test("is a module with an export of that name", async () => {
    const { name, nodes } = await loadScenario(file("a.mjs", `export const scenario = ${BODY};`));
    expect([name, nodes]).toEqual(["small", 2]);
  });

  test("may be TypeScript", async () => {
    const text = `const nodes: number = 2;\nexport const scenario = { ...${BODY}, nodes } as const;`;
    expect((await loadScenario(file("b.ts", text))).name).toBe("small");
  });

  test("may be TypeScript where package.json does not say that files are modules", async () => {
    const text = `import { defineScenario } from "@testudo/sim";\nimport { basename } from "node:path";\nexport const scenario = defineScenario({ ...${BODY}, name: basename("a/plain") as string });`;
    mkdirSync(join(folder, "plain"));
    symlinkSync(join(import.meta.dirname, "../../../node_modules"), BESIDE);
    file("plain/package.json", `{ "name": "plain" }`);
    expect((await loadScenario(file("plain/a.ts", text))).name).toBe("plain");
  });

  test.each([
    ["of another kind", "c.json", "{}", /must end in .mjs or .ts/],
    ["without the export", "d.mjs", "export const other = 1;", /no export named scenario/],
    ["with something else in it", "e.mjs", "export const scenario = {};", /scenario.name/],
    ["that throws", "f.mjs", `throw new Error("broken");`, /broken/],
  ])("%s is refused", async (_, name, text, message) => {
    await expect(loadScenario(file(name, text))).rejects.toThrow(message);
  });
});

test("whether Node runs TypeScript is asked of Node", () => {
  expect(stripsTypes({})).toBe(false);
  expect(stripsTypes({ typescript: false })).toBe(false);
  expect(stripsTypes({ typescript: "strip" })).toBe(true);
});

test.runIf(!stripsTypes(process.features))(
  "TypeScript without tsx is told what to install",
  async () => {
    vi.doMock("tsx/esm/api", () => {
      throw new Error("not installed");
    });
    try {
      const path = file("g.ts", `export const scenario = ${BODY};`);
      await expect(loadScenario(path)).rejects.toThrow(/npm install --save-dev tsx/);
    } finally {
      vi.doUnmock("tsx/esm/api");
    }
  },
);
