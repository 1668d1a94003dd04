/**
 * KCP's own test: a message every 20 ms and its echo, a thousand times, with round trips of 60 to 125 ms of which a
 * tenth is lost. Machines over an imagined path in virtual time, a hundred runs; and where root is to be had, the
 * transport and the system's TCP over the same path made of TUN devices, in real time, one run each.
 */

import { spawn } from "node:child_process";
import { accessSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { NativeKcp } from "../lib/node-kcp.mjs";
import { figuresOf } from "../lib/script.mjs";

const RUNS = 100;
const QUICK_RUNS = 20;
/** The whole of a round trip: half of the loss, of the delay and of what it varies by is each way's. */
const WEATHER = { lossRate: 0.05, delayMs: 30, jitterMs: 32.5, inOrder: true };
const TIMEOUT_MS = 60_000;

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

const file = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));

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
  { metric: "mostMs", peer, atMost: 360 },
]);

/** @param {string} peer @param {{ quick: boolean }} options */
export async function run(peer, { quick }) {
  if (!peer.endsWith("-tun")) {
    return figuresOf("kcp/echoes.mjs", [peer, String(quick ? QUICK_RUNS : RUNS)]);
  }
  return overTun(peer === "kcp-tun" ? "kcp" : "net");
}

/**
 * One transport between two namespaces, with the tests' bad link between them.
 * @param {"kcp" | "net"} name
 */
async function overTun(name) {
  /** @type {import("node:child_process").ChildProcess[]} */
  const children = [];
  /** A process, and the first line that it says. @param {string} command @param {string[]} args */
  const start = async (command, ...args) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    children.push(child);
    for await (const line of createInterface({ input: child.stdout })) return line;
    throw new Error(`${command} said nothing`);
  };
  const timer = setTimeout(() => {
    for (const child of children) child.kill("SIGKILL");
  }, TIMEOUT_MS);
  try {
    const seed = Math.floor(Math.random() * 1e6);
    const link = [file("../../test/netns/link.py"), JSON.stringify({ ...WEATHER, seed })];
    const { dialer, listener, error } = JSON.parse(await start("python3", ...link));
    if (error !== undefined) throw new Error(error);
    const end = [process.execPath, file("../kcp/echo.mjs")];
    await start("nsenter", `--net=${listener}`, ...end, "listen", name);
    const said = await start("nsenter", `--net=${dialer}`, ...end, "dial", name);
    /** @type {number[]} */
    const took = JSON.parse(said);
    return {
      averageMs: took.reduce((a, b) => a + b) / took.length,
      worstMs: Math.max(...took),
      mostMs: Math.max(...took),
    };
  } finally {
    clearTimeout(timer);
    for (const child of children) child.kill("SIGKILL");
  }
}
