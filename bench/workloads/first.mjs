/**
 * Two Testudo processes started at the same moment over net~noise: when the first one's plugin has the
 * second one's broadcast, from that start.
 */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { Identity } from "@testudo/core";
import { nowUs } from "../lib/measure.mjs";

export const title = "Two processes: first broadcast received";
export const peers = ["testudo"];
export const rounds = 9;
export const metrics = [{ key: "ms", title: "after start", unit: "ms" }];
export const targets = [{ metric: "ms", atMost: 250 }];

const SCRIPT = fileURLToPath(new URL("../start/first.mjs", import.meta.url));
const TIMEOUT_MS = 10_000;

export async function run() {
  const secret = randomBytes(32);
  const key = Buffer.from(Identity.fromSecret(secret).publicKey).toString("base64");
  const port = await freePort();
  const start = nowUs();
  const children = [
    ["listen", String(port), secret.toString("hex")],
    ["dial", `net:127.0.0.1:${port}~noise:${key}`],
  ].map((args) =>
    spawn(process.execPath, [SCRIPT, ...args], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  const ended = Promise.all(children.map((child) => once(child, "exit")));
  const timer = setTimeout(() => children[0]?.kill("SIGKILL"), TIMEOUT_MS);
  try {
    const output = children[0]?.stdout;
    const said = await Promise.race([
      output === undefined ? ended : once(output, "data"),
      once(children[0] ?? process, "exit").then(() => undefined),
    ]);
    if (said === undefined) throw new Error("no broadcast was received");
    return { ms: (Number(said[0]) - start) / 1e3 };
  } finally {
    clearTimeout(timer);
    for (const child of children) child.kill("SIGKILL");
    await ended;
  }
}

/** @returns {Promise<number>} */
async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
