/**
 * One byte through a net~shs stream and back, one at a time. The original as published answers after 88 ms,
 * since Nagle's delay holds back the second half of each box until the first is acknowledged.
 */

import { cpuUs, nowUs, quantile } from "../lib/measure.mjs";
import { openPipe } from "../lib/open-link.mjs";

/** Of the original as it was first measured; a hundredth of it is the bound. */
const ORIGINAL_US = 88_000;

export const title = "net~shs beside the original: round trip of 1 byte";
export { peers } from "./shs-echo.mjs";
export const metrics = [
  { key: "p50Us", title: "p50", unit: "us" },
  { key: "p99Us", title: "p99", unit: "us" },
  { key: "cpuUs", title: "CPU both", unit: "us" },
];
export const targets = [
  { metric: "p50Us", peer: "testudo-shs", against: "multiserver-published", atMost: 0.01 },
  { metric: "p50Us", peer: "testudo-shs", atMost: ORIGINAL_US / 100 },
  { metric: "p50Us", peer: "testudo-shs", against: "multiserver-nodelay", atMost: 1 },
];

/** @param {import("../lib/types.mjs").ByteWorkloadContext} context */
export async function dial(context) {
  const link = await openPipe(context);
  const { quick, remote } = context;
  const body = Buffer.alloc(1, 0x61);
  const run = async (/** @type {number} */ durationMs) => {
    const latencies = [];
    const until = nowUs() + durationMs * 1e3;
    for (let start = nowUs(); start < until; ) {
      await link.echo(body, 1);
      const end = nowUs();
      latencies.push(end - start);
      start = end;
    }
    return latencies;
  };
  await run(2_000);
  await remote.call("mark");
  const cpuBefore = cpuUs();
  const latencies = await run(quick ? 600 : 2_000);
  const dialerCpu = cpuUs() - cpuBefore;
  const listenerCpu = await remote.call("cpu");
  await link.close();
  return {
    p50Us: quantile(latencies, 0.5),
    p99Us: quantile(latencies, 0.99),
    cpuUs: (dialerCpu + listenerCpu) / latencies.length,
  };
}
