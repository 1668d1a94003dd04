/**
 * 20 MiB through one net~shs stream and back, as fast as both ends take it: 64 KiB a write, one echo after
 * another. The time is from the first write to the last byte that came back.
 */

import { cpuUs, median, nowUs } from "../lib/measure.mjs";
import { openPipe } from "../lib/open-link.mjs";

const CHUNK = 64 * 1024;
const TIMES = 320;
const WARMUP_MS = 2_500;

export const title = "net~shs beside the original: 20 MiB echoed, one stream";
export const peers = ["testudo-shs", "multiserver-published", "multiserver-nodelay"];
export const metrics = [
  { key: "ms", title: "20 MiB", unit: "ms" },
  { key: "megabytesPerSecond", title: "there and back", unit: "MB/s" },
  { key: "cpuMs", title: "CPU both", unit: "ms" },
  { key: "dialerCpuMs", title: "of it dialer", unit: "ms" },
  { key: "firstMs", title: "just started", unit: "ms" },
];
export const targets = [
  { metric: "ms", peer: "testudo-shs", against: "multiserver-published", atMost: 1 },
  { metric: "ms", peer: "testudo-shs", against: "multiserver-nodelay", atMost: 1 },
];

/** @param {import("../lib/types.mjs").ByteWorkloadContext} context */
export async function dial(context) {
  const link = await openPipe(context);
  const { quick, remote } = context;
  const body = Buffer.alloc(CHUNK, 0x61);
  const echo = async () => {
    const start = nowUs();
    await link.echo(body, TIMES);
    return (nowUs() - start) / 1e3;
  };
  const firstMs = await echo();
  for (const until = nowUs() + WARMUP_MS * 1e3; nowUs() < until; ) await echo();
  const times = quick ? 1 : 5;
  await remote.call("mark");
  const cpuBefore = cpuUs();
  const taken = [];
  for (let i = 0; i < times; i++) taken.push(await echo());
  const dialerCpu = cpuUs() - cpuBefore;
  const listenerCpu = await remote.call("cpu");
  await link.close();
  const ms = median(taken);
  return {
    ms,
    megabytesPerSecond: (CHUNK * TIMES) / ms / 1e3,
    cpuMs: (dialerCpu + listenerCpu) / times / 1e3,
    dialerCpuMs: dialerCpu / times / 1e3,
    firstMs,
  };
}
