/**
 * The KCP machine alone, in memory: MTU 1,400, windows of 1,024 segments, both ends in one thread.
 */

import { NativeKcp } from "../lib/node-kcp.mjs";
import { figuresOf } from "../lib/script.mjs";

export const title = "KCP: the machine alone, MTU 1,400, window 1,024";
export const peers = [
  "machine",
  "machine-off",
  "machine-classic",
  ...(NativeKcp === undefined ? [] : ["node-kcp"]),
];
export const metrics = [
  { key: "perSecond", title: "segments", unit: "1/s" },
  { key: "eachPerSecond", title: "each answered", unit: "1/s" },
  { key: "megabytesPerSecond", title: "throughput", unit: "MB/s" },
  { key: "cpuUs", title: "CPU", unit: "us/segment" },
];
export const targets = [
  { metric: "perSecond", peer: "machine", atLeast: 500_000 },
  { metric: "eachPerSecond", peer: "machine", atLeast: 500_000 },
];

/** @param {string} peer @param {{ quick: boolean }} options */
export const run = (peer, { quick }) =>
  figuresOf("kcp/machine.mjs", [peer, ...(quick ? ["quick"] : [])]);
