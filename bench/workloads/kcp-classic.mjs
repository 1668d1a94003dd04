/**
 * KCP's own test: a message every 20 ms and its echo, a thousand times, with round trips of 60 to 125 ms of which a
 * tenth is lost. Machines over an imagined path in virtual time, a hundred runs; and where root is to be had, the
 * transport and the system's TCP over the same path made of TUN devices, in real time, one run each.
 */

import { execFile } from "node:child_process";
import { accessSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { NativeKcp } from "../lib/node-kcp.mjs";
import { figuresOf } from "../lib/script.mjs";

const RUNS = 100;
const QUICK_RUNS = 20;
const PATH = { loss: 0.05, leastMs: 30, mostMs: 62.5 };
const TIMEOUT_MS = 110_000;

/** Network namespaces are Linux's, and root's. */
const namespaces = () => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  try {
    accessSync("/dev/net/tun");
    return true;
  } catch {
    return false;
  }
};

export const title = "KCP's own test: echoes at 60 to 125 ms and 10 % loss";
export const rounds = 1;
export const peers = [
  "modern",
  "classic",
  ...(NativeKcp === undefined ? [] : ["node-kcp"]),
  ...(namespaces() ? ["kcp-tun", "tcp-tun"] : []),
];
export const metrics = [
  { key: "averageMs", title: "average", unit: "ms" },
  { key: "worstMs", title: "worst of a run", unit: "ms" },
  { key: "mostMs", title: "worst of all runs", unit: "ms" },
  { key: "late", title: "runs with worse than 360 ms", unit: "%" },
];
export const targets = ["modern", "kcp-tun"].flatMap((peer) => [
  { metric: "averageMs", peer, atMost: 140 },
  { metric: "worstMs", peer, atMost: 360 },
]);

/** @param {string} peer @param {{ quick: boolean }} options */
export async function run(peer, { quick }) {
  if (!peer.endsWith("-tun")) {
    return figuresOf("kcp/echoes.mjs", [peer, String(quick ? QUICK_RUNS : RUNS)]);
  }
  const file = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
  const seed = Math.floor(Math.random() * 1e6);
  const weather = [seed, PATH.loss, PATH.leastMs, PATH.mostMs].map(String);
  const end = (/** @type {string} */ role) => [
    process.execPath,
    file("../kcp/echo.mjs"),
    role,
    peer === "kcp-tun" ? "kcp" : "net",
  ];
  const { stdout } = await promisify(execFile)(
    "python3",
    [file("../kcp/path.py"), ...weather, ...end("listen"), "--", ...end("dial")],
    { timeout: TIMEOUT_MS, maxBuffer: 1 << 20 },
  );
  /** @type {number[]} */
  const took = JSON.parse(stdout);
  return {
    averageMs: took.reduce((a, b) => a + b) / took.length,
    worstMs: Math.max(...took),
    mostMs: Math.max(...took),
  };
}
