/**
 * From the start of a process to its listening: a script that imports one peer, listens, and says so.
 * `testudo-command` is `testudo listen`. hyperdht is missing: it listens only where a DHT is.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { nowUs } from "../lib/measure.mjs";

export const title = "Process start to listening";
export const peers = [
  "testudo",
  "testudo-command",
  "libp2p",
  "secret-stream",
  "multiserver",
  "ws",
  "limit",
  "net",
];
export const rounds = 9;
export const metrics = [{ key: "ms", title: "start", unit: "ms" }];
export const targets = [
  { metric: "ms", atMost: 100 },
  { metric: "ms", peer: "testudo-command", atMost: 100 },
];

const file = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @param {string} peer */
export async function run(peer) {
  const command =
    peer === "testudo-command"
      ? [file("../../packages/testudo/bin/testudo.js"), "listen", "net:127.0.0.1:0~noise", "--json"]
      : [file("../start/listen.mjs"), peer];
  const start = nowUs();
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  try {
    const said = await Promise.race([
      once(child.stdout, "data").then(() => true),
      ended.then(() => false),
    ]);
    const ms = (nowUs() - start) / 1e3;
    if (!said) throw new Error(`${peer} ended without listening`);
    return { ms };
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
