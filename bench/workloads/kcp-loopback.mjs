/**
 * KCP beside plain UDP: bytes one way over loopback, as fast as the sender may. The dgram peers send datagrams of the
 * same size as kcp does, behind a window that loses none.
 */

import { cpuUs, flood, nowUs } from "../lib/measure.mjs";
import { openFlow } from "../lib/open-link.mjs";

const SIZE = 64 * 1024;
const GIB = 1024 ** 3;

export const title = "KCP: one way over loopback";
export const peers = ["kcp", "kcp-1400", "kcpgo", "kcpgo-null", "dgram", "dgram-1400", "net-bytes"];
export const metrics = [
  { key: "megabytesPerSecond", title: "throughput", unit: "MB/s" },
  { key: "cpuPerGib", title: "CPU both", unit: "s/GiB" },
  { key: "packetBytes", title: "datagram", unit: "bytes" },
];
export const targets = [
  { metric: "megabytesPerSecond", peer: "kcp", atLeast: 100 },
  { metric: "megabytesPerSecond", peer: "kcp", against: "dgram", atLeast: 0.5 },
  { metric: "packetBytes", peer: "kcp", against: "dgram", atLeast: 1 },
  { metric: "megabytesPerSecond", peer: "kcp-1400", against: "dgram-1400", atLeast: 0.5 },
];

/** @param {import("../lib/types.mjs").FlowWorkloadContext} context */
export async function dial(context) {
  const { quick, remote } = context;
  const link = await openFlow(context, { echo: false });
  const body = Buffer.alloc(SIZE, 0x61);
  const run = async (/** @type {number} */ durationMs) => {
    await remote.call("countBytes");
    const start = nowUs();
    const bytes = (await flood(link, { body, durationMs, perTurn: 16 })) * SIZE;
    const { lastUs } = await remote.call("receivedBytes", bytes);
    return { bytes, seconds: (lastUs - start) / 1e6 };
  };
  await run(1_500);
  await remote.call("mark");
  const cpuBefore = cpuUs();
  const { bytes, seconds } = await run(quick ? 400 : 2_000);
  const dialerCpu = cpuUs() - cpuBefore;
  const listenerCpu = await remote.call("cpu");
  const packetBytes = link.packetBytes();
  await link.close();
  return {
    megabytesPerSecond: bytes / 1e6 / seconds,
    cpuPerGib: (dialerCpu + listenerCpu) / 1e6 / (bytes / GIB),
    packetBytes: packetBytes > 0 ? packetBytes : Number.NaN,
  };
}
