/**
 * Core in a browser: it bundles with no Node built-in left, takes the plain crypto provider, and stays
 * within its size. The budget is minified bytes before compression.
 */

import { fileURLToPath } from "node:url";
import { build } from "vite";
import { expect, test } from "vitest";

const BUDGET_BYTES = 200_000;

async function bundle(entry: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "silent",
    resolve: { conditions: ["@testudo/source", "browser"] },
    build: {
      write: false,
      minify: true,
      lib: {
        entry: fileURLToPath(new URL(`../packages/${entry}`, import.meta.url)),
        formats: ["es"],
        fileName: "bundle",
      },
    },
  });
  const outputs = Array.isArray(result) ? result : [result];
  return outputs
    .flatMap((each) => ("output" in each ? each.output : []))
    .map((chunk) => (chunk.type === "chunk" ? chunk.code : ""))
    .join("");
}

test.each([
  "core/src/index.ts",
  "transports/src/noise/index.ts",
  "transports/src/shs/index.ts",
  "transports/src/noauth/index.ts",
  "transports/src/memory/index.ts",
  "plugins/src/keepalive/index.ts",
  "plugins/src/latency/index.ts",
])("%s bundles for the browser without Node", async (entry) => {
  const code = await bundle(entry);
  expect(code).not.toMatch(/["']node:|__vite-browser-external/);
  expect(code.length).toBeGreaterThan(1_000);
  expect(code.length).toBeLessThan(BUDGET_BYTES);
});

test("the bundle holds the plain provider, and a Node-only room does not bundle", async () => {
  expect(await bundle("core/src/crypto/index.ts")).toMatch(/name:\s*["'`]noble["'`]/);
  const net = await bundle("transports/src/net/index.ts").catch(() => "refused");
  expect(net === "refused" || /node:|browser-external/.test(net)).toBe(true);
});
