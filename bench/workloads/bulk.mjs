/**
 * 64 KiB messages through one link, one direction, as fast as the sender may.
 */

import { countedFlood } from "../lib/measure.mjs";
import { openLink } from "../lib/open-link.mjs";

const SIZE = 64 * 1024;
const GIB = 1024 ** 3;

export const title = "Bulk: 64 KiB messages, one stream";
export const peers = [
  "testudo",
  "libp2p",
  "secret-stream",
  "hyperdht",
  "multiserver",
  "ws",
  "limit",
  "net",
];
export const metrics = [
  { key: "megabytesPerSecond", title: "throughput", unit: "MB/s" },
  { key: "cpuPerGib", title: "CPU both", unit: "s/GiB" },
  { key: "senderCpuPerGib", title: "of it sender", unit: "s/GiB" },
];
export const targets = [
  { metric: "megabytesPerSecond", against: "libp2p", atLeast: 1.7 },
  { metric: "megabytesPerSecond", against: "limit", atLeast: 0.85 },
  { metric: "cpuPerGib", atMost: 2.3 },
];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export async function dial(context) {
  const link = await openLink(context);
  const result = await countedFlood(context.remote, link, {
    body: Buffer.alloc(SIZE, 0x61),
    durationMs: context.quick ? 400 : 1_000,
    warmupMs: 1_500,
    perTurn: 16,
  });
  const gib = (result.received * SIZE) / GIB;
  return {
    megabytesPerSecond: (result.perSecond * SIZE) / 1e6,
    cpuPerGib: (result.dialerCpuUs + result.listenerCpuUs) / 1e6 / gib,
    senderCpuPerGib: result.dialerCpuUs / 1e6 / gib,
  };
}
