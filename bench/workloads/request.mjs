/**
 * Requests of 100 bytes answered with the same 100 bytes, one at a time.
 */

import { cpuUs, nowUs, quantile } from "../lib/measure.mjs";
import { openLink } from "../lib/open-link.mjs";

export const title = "Request and reply, 100 bytes";
export { peers } from "./small.mjs";
export const metrics = [
  { key: "p50Us", title: "p50", unit: "us" },
  { key: "p99Us", title: "p99", unit: "us" },
  { key: "cpuUs", title: "CPU both", unit: "us" },
];
export const targets = [
  { metric: "p50Us", against: "libp2p", atMost: 0.75 },
  { metric: "p50Us", against: "limit", atMost: 1.25 },
];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export async function dial(context) {
  const link = await openLink(context);
  const { quick, remote } = context;
  await remote.call("echo");
  const body = Buffer.alloc(100, 0x61);
  const run = async (/** @type {number} */ durationMs) => {
    const latencies = [];
    const until = nowUs() + durationMs * 1e3;
    for (let start = nowUs(); start < until; ) {
      await link.request(body);
      const end = nowUs();
      latencies.push(end - start);
      start = end;
    }
    return latencies;
  };
  await run(1_500);
  await remote.call("echo");
  const cpuBefore = cpuUs();
  const latencies = await run(quick ? 400 : 800);
  const listenerCpu = await remote.call("cpu");
  return {
    p50Us: quantile(latencies, 0.5),
    p99Us: quantile(latencies, 0.99),
    cpuUs: (cpuUs() - cpuBefore + listenerCpu) / latencies.length,
  };
}
