/** The floors of core: docs/architecture.md gives each file one, and the imports keep to them. */

import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, expect, it } from "vitest";
import { Page, ROOT } from "./support/markdown.ts";

const SOURCES = `${ROOT}/packages/core/src`;
const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/").replace(/\.ts$/, ""));

const floors = new Map<string, number>();
for (const [floor, row = ""] of new Page("docs/architecture.md").rows("floor", "files")) {
  for (const file of row.split(/[` ]+/)) if (file !== "") floors.set(file, Number(floor));
}
const floorOf = (file: string): number => floors.get(file) ?? Number.NaN;

/** The files that a module needs at run time. */
function importsOf(file: string): string[] {
  const source = readFileSync(`${SOURCES}/${file}.ts`, "utf8");
  const found = source.matchAll(/^(?:import|export) (?!type )([^;]*?) ?from "(\.[^"]+)\.ts";$/gm);
  return [...found].flatMap(([, names = "", target = ""]) => {
    const listed = names
      .match(/^\{([^}]*)\}$/)?.[1]
      ?.split(",")
      .map((name) => name.trim());
    const typesOnly = listed?.every((name) => name === "" || name.startsWith("type ")) ?? false;
    return typesOnly ? [] : [posix.join(posix.dirname(file), target)];
  });
}

describe("floors of core", () => {
  it("are given to every file, in docs/architecture.md", () => {
    expect([...floors.keys()].toSorted()).toEqual(files.toSorted());
  });

  it("are kept: nothing is imported from a floor above, but types", () => {
    const imports = files.flatMap((file) => importsOf(file).map((target) => ({ file, target })));
    expect(imports).toContainEqual({ file: "peer", target: "channel" });
    expect(imports).toContainEqual({ file: "crypto/strict", target: "bytes" });
    expect(imports.filter(({ target }) => !floors.has(target))).toEqual([]);
    expect(imports.filter(({ file, target }) => floorOf(target) > floorOf(file))).toEqual([]);
  });
});
