/**
 * Scenario file: from the path of a file to the scenario it exports.
 *
 * `.mjs` and `.js` are loaded as they are; TypeScript where Node strips types, else through `tsx`, which is
 * loaded only then. A file that is loaded runs: it is the user's own program.
 */

import { createRequire } from "node:module";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { defineScenario, type Scenario } from "./scenario.ts";

const PLAIN: ReadonlySet<string> = new Set([".mjs", ".js"]);
const TYPED: ReadonlySet<string> = new Set([".ts", ".mts"]);

/** Of `tsx/esm/api` and `tsx/cjs/api`, what is used. */
interface Tsx {
  register(): () => Promise<void> | void;
}

/** For modules, and for `.ts` below a package.json without `"type": "module"`, which Node takes for none. */
const TSX = ["tsx/cjs/api", "tsx/esm/api"] as const;

/**
 * The export `scenario` of a file. Rejects `TypeError` for a file of another kind or without such an export,
 * `Error` for TypeScript that cannot be run here, and with whatever the file itself throws.
 */
export async function loadScenario(path: string): Promise<Scenario> {
  const kind = extname(path);
  const file = resolve(path);
  if (!PLAIN.has(kind) && !TYPED.has(kind)) {
    throw new TypeError(`${path} is no scenario file: its name must end in .mjs or .ts`);
  }
  const { href } = pathToFileURL(file);
  const module = PLAIN.has(kind) ? await load(href) : await loadTyped(href, path);
  const scenario: unknown = module["scenario"];
  if (typeof scenario !== "object" || scenario === null) {
    throw new TypeError(`${path} has no export named scenario; make one by defineScenario`);
  }
  return defineScenario(scenario as Scenario);
}

async function load(href: string): Promise<Record<string, unknown>> {
  return (await import(/* @vite-ignore */ href)) as Record<string, unknown>;
}

async function loadTyped(href: string, path: string): Promise<Record<string, unknown>> {
  if (stripsTypes(process.features)) return load(href);
  const registered = (await findTsx(href, path)).map(({ register }) => register());
  try {
    const module = await load(href);
    const exported: unknown = module["default"];
    if ("scenario" in module || typeof exported !== "object" || exported === null) return module;
    return { ...exported };
  } finally {
    for (const unregister of registered.reverse()) await unregister();
  }
}

/** Whether Node itself runs TypeScript; older versions do not know the feature. */
export function stripsTypes(features: object): boolean {
  return "typescript" in features && Boolean(features.typescript);
}

/** Beside this package, or beside the scenario. */
async function findTsx(href: string, path: string): Promise<Tsx[]> {
  try {
    return await Promise.all([import("tsx/cjs/api"), import("tsx/esm/api")]);
  } catch {
    try {
      // What is resolved is for `require`; what is wanted lies beside it.
      const { resolve: resolveFrom } = createRequire(href);
      const own = TSX.map(
        (name) => pathToFileURL(resolveFrom(name).replace(/\.cjs$/, ".mjs")).href,
      );
      return await Promise.all(own.map((each) => import(/* @vite-ignore */ each) as Promise<Tsx>));
    } catch (error) {
      throw new Error(
        `${path} is TypeScript, and Node ${process.versions.node} does not run it: install tsx (npm install --save-dev tsx), or write the scenario as .mjs`,
        { cause: error },
      );
    }
  }
}
