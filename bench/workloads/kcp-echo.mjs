/**
 * KCP beside plain UDP: 100 bytes there and back over loopback, one at a time.
 */

import { cpuUs, nowUs, quantile } from "../lib/measure.mjs";
import { openFlow } from "../lib/open-link.mjs";

export const title = "KCP: echo of 100 bytes over loopback";
export const peers = ["kcp", "kcpgo", "dgram", "net-bytes"];
export const metrics = [
  { key: "p50Us", title: "p50", unit: "us" },
  { key: "p99Us", title: "p99", unit: "us" },
  { key: "cpuUs", title: "CPU both", unit: "us" },
];
export const targets = [{ metric: "p50Us", peer: "kcp", against: "dgram", atMost: 4 }];

/** @param {import("../lib/types.mjs").FlowWorkloadContext} context */
export async function dial(context) {
  const { quick, remote } = context;
  const link = await openFlow(context, { echo: true });
  const body = Buffer.alloc(100, 0x61);
  const run = async (/** @type {number} */ durationMs) => {
    const latencies = [];
    const until = nowUs() + durationMs * 1e3;
    for (let start = nowUs(); start < until; ) {
      await link.echo(body);
      const end = nowUs();
      latencies.push(end - start);
      start = end;
    }
    return latencies;
  };
  await run(1_500);
  await remote.call("mark");
  const cpuBefore = cpuUs();
  const latencies = await run(quick ? 400 : 1_500);
  const dialerCpu = cpuUs() - cpuBefore;
  const listenerCpu = await remote.call("cpu");
  await link.close();
  return {
    p50Us: quantile(latencies, 0.5),
    p99Us: quantile(latencies, 0.99),
    cpuUs: (dialerCpu + listenerCpu) / latencies.length,
  };
}
