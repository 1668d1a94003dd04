/**
 * A measurement in one fresh process that is a script of its own: `process.send({ figures })` or `{ error }`.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const TIMEOUT_MS = 120_000;

/**
 * @param {string} path  From this folder's parent.
 * @param {string[]} args
 * @param {{ execArgv?: string[] }} [options]
 * @returns {Promise<Record<string, number>>}
 */
export async function figuresOf(path, args, { execArgv = [] } = {}) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const child = fork(file, args, { execArgv });
  const exited = once(child, "exit");
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  try {
    const [message] = await Promise.race([once(child, "message"), exited]);
    if (message?.figures !== undefined) return message.figures;
    throw new Error(message?.error ?? `the process ended with ${message}`);
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
    await exited;
  }
}

/**
 * The other half: runs in the script.
 * @param {() => Promise<Record<string, number>> | Record<string, number>} measure
 */
export async function giveFigures(measure) {
  try {
    process.send?.({ figures: await measure() });
  } catch (error) {
    process.send?.({ error: error instanceof Error ? error.stack : String(error) });
  }
}
