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

/** Of `tsx/esm/api`, what is used. */
interface Tsx {
  register(): () => Promise<void>;
}

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
  const { register } = await findTsx(href, path);
  const unregister = register();
  try {
    return await load(href);
  } finally {
    await unregister();
  }
}

/** Whether Node itself runs TypeScript; older versions do not know the feature. */
export function stripsTypes(features: object): boolean {
  return "typescript" in features && Boolean(features.typescript);
}

/** Beside this package, or beside the scenario. */
async function findTsx(href: string, path: string): Promise<Tsx> {
  try {
    return await import("tsx/esm/api");
  } catch {
    try {
      const own = createRequire(href).resolve("tsx/esm/api");
      return (await import(/* @vite-ignore */ pathToFileURL(own).href)) as Tsx;
    } catch (error) {
      throw new Error(
        `${path} is TypeScript, and Node ${process.versions.node} does not run it: install tsx (npm install --save-dev tsx), or write the scenario as .mjs`,
        { cause: error },
      );
    }
  }
}
