/** The pages: their code runs, their links lead somewhere, their tables say what the code says. */

import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { defaultLimits, ERROR_CODES, networkError, OPCODE_BLOCKS, OPCODES } from "@testudo/core";
import { gzip } from "@testudo/transports/gzip";
import { kcp } from "@testudo/transports/kcp";
import { kcpgo } from "@testudo/transports/kcpgo";
import { memory } from "@testudo/transports/memory";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise, noiseChacha } from "@testudo/transports/noise";
import { onion } from "@testudo/transports/onion";
import { shs } from "@testudo/transports/shs";
import { unix } from "@testudo/transports/unix";
import { ws } from "@testudo/transports/ws";
import { beforeAll, describe, expect, it } from "vitest";
import { KINDS, RESETS } from "../packages/core/src/channel-frame.ts";
import { encodeGoodbye } from "../packages/core/src/goodbye.ts";
import { STANDING } from "../packages/core/src/pairing.ts";
import { Page, pages, ROOT } from "./support/markdown.ts";
import { run } from "./support/run.ts";

const TIMEOUT_MS = 60_000;
/** Inside the repository, so that package names are found, and ignored by git. */
const SNIPPETS = ".tsbuild/snippets";
const all = pages();
const page = (path: string): Page => new Page(path);
const folders = (path: string): string[] =>
  readdirSync(`${ROOT}/${path}`, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
const read = (path: string): string => readFileSync(`${ROOT}/${path}`, "utf8");

describe("links", () => {
  it.each(all.map((each) => [each.path, each] as const))("of %s lead somewhere", (path, each) => {
    const dead = each.links.filter((target) => {
      if (/^https?:/.test(target)) return false;
      const [file = "", anchor] = target.split("#");
      const to = file === "" ? path : join(dirname(path), file);
      if (!existsSync(`${ROOT}/${to}`)) return true;
      return anchor !== undefined && !new Page(to).anchors.includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  it.each(all.map((each) => [each.path, each] as const))("files %s names exist", (_, each) => {
    const named = [...each.prose.matchAll(/`((?:packages|examples|test|docs|bench)\/[^`*]+)`/g)];
    expect(named.filter(([, file]) => !existsSync(`${ROOT}/${file}`))).toEqual([]);
  });
});

describe("TypeScript on the pages", () => {
  const snippets = all
    .map((each) => ({ path: each.path, code: each.code("ts") }))
    .filter(({ code }) => code.length > 0);
  const folderOf = (path: string): string => `${SNIPPETS}/${path.replace(/[^\w]+/g, "-")}`;

  beforeAll(() => {
    rmSync(`${ROOT}/${SNIPPETS}`, { recursive: true, force: true });
    for (const { path, code } of snippets) {
      const folder = `${ROOT}/${folderOf(path)}`;
      mkdirSync(folder, { recursive: true });
      const names = code.map((_, index) => `./snippet-${index + 1}.ts`);
      for (const [index, text] of code.entries()) {
        writeFileSync(join(folder, names[index] as string), text);
      }
      const imports = names.map(
        (name) => `await import("${name}");\nconsole.log("ran ${name}");\n`,
      );
      writeFileSync(join(folder, "all.ts"), imports.join(""));
    }
    const compilerOptions = {
      noEmit: true,
      composite: false,
      declaration: false,
      declarationMap: false,
      isolatedDeclarations: false,
      rewriteRelativeImportExtensions: false,
      customConditions: ["@testudo/source"],
    };
    const config = {
      extends: "../../tsconfig.json",
      compilerOptions,
      include: ["."],
      references: [],
    };
    writeFileSync(`${ROOT}/${SNIPPETS}/tsconfig.json`, JSON.stringify(config));
  });

  it.each(snippets)(
    "in $path runs, says something, and ends by itself",
    async ({ path, code }) => {
      const { code: exit, stdout, stderr } = await run(`${folderOf(path)}/all.ts`);
      expect(stderr).toBe("");
      expect(exit).toBe(0);
      const lines = stdout.trimEnd().split("\n");
      const ran = lines.filter((line) => line.startsWith("ran ./snippet-"));
      expect(ran).toHaveLength(code.length);
      expect(lines.length).toBeGreaterThanOrEqual(2 * code.length);
    },
    TIMEOUT_MS,
  );

  it(
    "passes the type check",
    async () => {
      const tsc = fileURLToPath(import.meta.resolve("typescript/package.json"));
      const arguments_ = [join(dirname(tsc), "bin/tsc"), "-p", SNIPPETS, "--pretty", "false"];
      const { stdout } = await promisify(execFile)(process.execPath, arguments_, {
        cwd: ROOT,
      }).catch((error: { stdout: string }) => error);
      // What else is wrong in the sources is for the build to say.
      expect(stdout.split("\n").filter((line) => line.startsWith(SNIPPETS))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it("is that of the examples where it says so", () => {
    const programOf = (path: string): string => read(path).replace(/^\/\*\*.*?\*\/\n\n/s, "");
    expect(page("README.md").code("ts")[0]).toBe(programOf("examples/01-echo.ts"));
    expect(page("docs/plugins.md").code("ts")[0]).toBe(programOf("examples/05-write-a-plugin.ts"));
  });
});

describe("commands on the pages", () => {
  const lines = all.flatMap((each) =>
    each.code("sh").flatMap((block) =>
      block
        .trim()
        .split("\n")
        .map((line) => ({ line })),
    ),
  );
  const launcher = `${SNIPPETS}/testudo.ts`;
  const testudo = (words: readonly string[], cwd: string) => run(launcher, words, cwd);

  beforeAll(() => {
    mkdirSync(`${ROOT}/${SNIPPETS}`, { recursive: true });
    const main = "../../packages/testudo/src/main.ts";
    writeFileSync(`${ROOT}/${launcher}`, `import { start } from "${main}";\nawait start();\n`);
  });

  it("that npm is to run exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const called = lines.flatMap(({ line }) =>
      [...line.matchAll(/npm (?:run )?([\w-]+)/g)].map(([, name = ""]) => name),
    );
    expect(called).toContain("demo");
    expect(called.filter((name) => name !== "ci" && !Object.hasOwn(scripts, name))).toEqual([]);
  });

  it("that run a file name one that exists", () => {
    const files = lines.flatMap(({ line }) => [...line.matchAll(/(\S+\.ts)\b/g)].map(([, f]) => f));
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !existsSync(`${ROOT}/${file}`))).toEqual([]);
  });

  const calls = lines
    .filter(({ line }) => line.startsWith("npx testudo "))
    .map(({ line }) => ({ line, words: wordsOf(line).slice(2) }));
  // The others wait for somebody, or have a place for a key in them.
  const ending = calls.filter(({ words: [verb = ""] }) => /^(key|address|--help)$/.test(verb));

  it.each(ending)(
    "$line does so",
    async ({ words }) => {
      const folder = mkdtempSync(join(tmpdir(), "testudo-docs-"));
      try {
        const { code, stdout, stderr } = await testudo(words, folder);
        expect(stderr).toBe("");
        expect(stdout).not.toBe("");
        expect(code).toBe(0);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    TIMEOUT_MS,
  );

  it(
    "of testudo are among its commands",
    async () => {
      const { stdout } = await testudo(["--help"], ROOT);
      expect(ending.length).toBeGreaterThan(2);
      for (const { words } of calls) {
        const [verb = ""] = words;
        if (!verb.startsWith("-")) expect(stdout).toMatch(new RegExp(`^  testudo ${verb} `, "m"));
      }
    },
    TIMEOUT_MS,
  );
});

describe("docs/limits.md", () => {
  const limits = page("docs/limits.md");

  it("has every limit with its default", () => {
    const documented = limits
      .rows("limit", "default")
      .map(([name, value]) => [name, Number(value)]);
    expect(Object.fromEntries(documented)).toEqual(defaultLimits);
    expect(documented).toHaveLength(Object.keys(defaultLimits).length);
  });

  it.each(limits.rows("bound", "value", "constant"))("%s: %s", (_, value = "", where = "") => {
    const [, constant = "", file = ""] =
      where.match(/^(\w+)` in `(\S+)$/) ?? where.match(/`(\w+)` in `(\S+)`/) ?? [];
    const [, text = ""] =
      read(file).match(new RegExp(`${constant}(?:: number)? = ([\\d_* ]+)`)) ?? [];
    const product = text
      .split("*")
      .reduce((so, factor) => so * Number(factor.replaceAll("_", "")), 1);
    expect(product).toBe(Number.parseInt(value, 10));
  });
});

describe("docs/protocol.md", () => {
  const protocol = page("docs/protocol.md");

  it("has every opcode and every block", () => {
    const rows = protocol.rows("number", "name", "what it is");
    const single = rows.filter(([number = ""]) => /^\d+$/.test(number));
    expect(single.map(([number, name]) => [name, Number(number)])).toEqual(Object.entries(OPCODES));
    const blocks = rows.flatMap(([number = "", , what = ""]) => {
      const [, start, end] = number.match(/^(\d+)-(\d+)$/) ?? [];
      const [, name] = what.match(/^block `(\w+)`$/) ?? [];
      if (name === undefined) return [];
      expect(Number(end)).toBe(Number(start) + 31);
      return [[name, Number(start)]];
    });
    expect({ ...Object.fromEntries(blocks), stream: OPCODES.welcome }).toEqual(OPCODE_BLOCKS);
  });

  it("has the number of every code that travels in a goodbye, and names those that do not", () => {
    const travelling = new Map(
      protocol.rows("code", "name").map(([number, name = ""]) => [name, Number(number)]),
    );
    const atHome = protocol
      .rows("family", "codes that stay at home")
      .flatMap(([, codes = ""]) => codes.split(", "));
    expect([...travelling.keys(), ...atHome].toSorted()).toEqual(ERROR_CODES.toSorted());
    for (const code of ERROR_CODES) {
      const [low, high] = encodeGoodbye({ code, text: "" });
      expect([code, low, high]).toEqual([code, travelling.get(code) ?? 0, 0]);
    }
  });

  it("has the kinds and resets of channels, and the bytes of welcome", () => {
    const numbered = (...columns: string[]): Record<string, number> =>
      Object.fromEntries(protocol.rows(...columns).map(([number, name]) => [name, Number(number)]));
    expect(numbered("kind", "name")).toEqual(KINDS);
    expect(numbered("reset code", "name")).toEqual(RESETS);
    const welcomes = protocol.rows("frame", "byte").filter(([frame]) => frame === "welcome");
    expect(welcomes.map(([, byte]) => Number(byte))).toEqual(Object.values(STANDING));
  });
});

describe("docs/addresses.md", () => {
  const addresses = page("docs/addresses.md");
  const namesIn = (...columns: string[]): string[] => [
    ...new Set(addresses.rows(...columns).map(([form = ""]) => form.match(/[a-z-]+/)?.[0] ?? "")),
  ];

  it("has every transport and every transform", () => {
    expect(namesIn("section", "listens")).toEqual(
      [net(), unix(), ws(), onion(), kcp(), kcpgo({ crypt: "null" }), memory()].map(
        ({ name }) => name,
      ),
    );
    const transforms = [noise(), noiseChacha(), shs(), noauth(), gzip()];
    expect(namesIn("section", "proves keys")).toEqual(transforms.map(({ name }) => name));
  });

  it("says which prove keys", () => {
    for (const transform of [noise(), noiseChacha(), shs(), noauth(), gzip()]) {
      const rows = addresses
        .rows("section", "proves keys")
        .filter(([form = ""]) => form.match(/[a-z-]+/)?.[0] === transform.name);
      for (const [, proves] of rows) expect(proves).toBe(transform.authenticates ? "yes" : "no");
    }
  });

  it("misses no folder of the package", () => {
    const documented = [...namesIn("section", "listens"), ...namesIn("section", "proves keys")];
    const others = folders("packages/transports/src").filter((name) => !documented.includes(name));
    expect(others).toEqual(["node-stream", "udp"]);
  });
});

describe("docs/plugins.md", () => {
  it("has every plugin", () => {
    const documented = page("docs/plugins.md").rows("plugin", "import");
    expect(documented.map(([name]) => name).toSorted()).toEqual(
      folders("packages/plugins/src").toSorted(),
    );
    for (const [name, from] of documented) expect(from).toBe(`@testudo/plugins/${name}`);
  });
});

describe("docs/architecture.md", () => {
  const architecture = page("docs/architecture.md");

  it("has every error code in its family", () => {
    const rows = architecture.rows("family", "codes");
    const documented = rows.flatMap(([family, codes = ""]) =>
      codes.split(", ").map((code) => [code, family]),
    );
    expect(Object.fromEntries(documented)).toEqual(
      Object.fromEntries(ERROR_CODES.map((code) => [code, networkError(code, "").name])),
    );
    expect(documented).toHaveLength(ERROR_CODES.length);
  });
});

/** A command line as a shell would cut it, without the comment behind it. */
function wordsOf(line: string): string[] {
  const [command = ""] = line.split(" #");
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? "",
  );
}
