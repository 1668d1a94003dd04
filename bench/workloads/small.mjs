/**
 * 100-byte messages through one link, as many in one turn of the event loop as the link takes, at most 1,024.
 */

import { countedFlood } from "../lib/measure.mjs";
import { openLink } from "../lib/open-link.mjs";

export const title = "100-byte messages, one stream, many a tick";
export const peers = [
  "testudo",
  "libp2p",
  "secret-stream",
  "hyperdht",
  "multiserver",
  "ws",
  "limit",
  "limit-each",
  "net",
];
export const metrics = [
  { key: "perSecond", title: "messages", unit: "/s" },
  { key: "cpuUs", title: "CPU both", unit: "us" },
];
export const targets = [
  { metric: "perSecond", against: "libp2p", atLeast: 30 },
  { metric: "perSecond", against: "hyperdht", atLeast: 3.8 },
  { metric: "perSecond", against: "limit", atLeast: 0.3 },
];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export const dial = (context) => measure(context, 1_024);

/**
 * @param {import("../lib/types.mjs").WorkloadContext} context
 * @param {number} perTurn
 */
export async function measure(context, perTurn) {
  const link = await openLink(context);
  const result = await countedFlood(context.remote, link, {
    body: Buffer.alloc(100, 0x61),
    durationMs: context.quick ? 400 : 800,
    warmupMs: 1_500,
    perTurn,
  });
  return { perSecond: result.perSecond, cpuUs: result.cpuUsPerMessage };
}
