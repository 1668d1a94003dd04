/**
 * A network that gossips: 50 nodes in one process over loopback TCP, a random graph of degree 8, 200 messages of
 * 1 KiB from nodes drawn at random, 16 under way at most. Counted from the first message to the last delivery, when
 * every node has every message; a message that comes twice fails the measurement. Both check a signature a delivery
 * (`gossipsub` alone does not sign).
 *
 * The bytes are those of all sockets, in both directions, each counted once, from the first message to a second
 * after the last delivery, over the bytes of the messages delivered.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const TIMEOUT_MS = 120_000;

export const title = "Gossip: 50 nodes, 200 messages of 1 KiB to all";
export const peers = ["testudo", "gossipsub-sign", "gossipsub"];
export const rounds = 3;
export const metrics = [
  { key: "perSecond", title: "deliveries", unit: "/s" },
  { key: "bytesPerByte", title: "wire bytes a byte", unit: "" },
  { key: "cpuUs", title: "CPU a delivery", unit: "us" },
  { key: "p50Ms", title: "p50 to all", unit: "ms" },
];
export const targets = [
  { metric: "perSecond", against: "gossipsub-sign", atLeast: 5 },
  { metric: "bytesPerByte", atMost: 1.5 },
];

/**
 * @param {string} peer
 * @param {{ quick: boolean }} options
 */
export async function run(peer, { quick }) {
  const script = fileURLToPath(new URL("../lib/gossip-network.mjs", import.meta.url));
  const args = [...process.execArgv, script, peer, ...(quick ? ["quick"] : [])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
    said += text;
  });
  const [code] = await once(child, "close");
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${peer} ended with ${code}`);
  return JSON.parse(said);
}
