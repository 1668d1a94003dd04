/**
 * Connections set up, one after another and 16 at a time; a connection counts when the dialer knows whom
 * it talks to, and the figures wait until the listener has counted the same number. Each lane closes its
 * previous connection while it opens the next, so closing is part of the CPU time but never waited for.
 */

import { cpuUs, nowUs, quantile } from "../lib/measure.mjs";

const LANES = 16;
/** Dialers a lane takes turns with where one dialer holds one link: the last is free again in time. */
const TURNS = 4;
/** Closings one lane may have under way where dialers are shared. */
const CLOSINGS = 32;

export const title = "Connections set up";
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
  { key: "c16PerSecond", title: "16 at a time", unit: "/s" },
  { key: "c16P50Ms", title: "p50", unit: "ms" },
  { key: "cpuMs", title: "CPU both", unit: "ms" },
  { key: "youngPerSecond", title: "16, just started", unit: "/s" },
  { key: "youngCpuMs", title: "CPU both then", unit: "ms" },
  { key: "seqPerSecond", title: "one at a time", unit: "/s" },
  { key: "seqP50Ms", title: "p50", unit: "ms" },
  { key: "seqP99Ms", title: "p99", unit: "ms" },
];
export const targets = [
  { metric: "c16PerSecond", against: "libp2p", atLeast: 6 },
  { metric: "c16PerSecond", against: "secret-stream", atLeast: 1 },
  { metric: "cpuMs", atMost: 1.5 },
];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export const dial = (context) => measure(context, async () => {});

/**
 * @param {import("../lib/types.mjs").WorkloadContext} context
 * @param {(link: any) => Promise<void>} use  What else a connection has to do before it counts.
 */
export async function measure({ adapter, quick, environment, remote }, use) {
  const [address] = await remote.call("start", {});
  const shared = adapter.linksPerDialer === undefined && adapter.dialsPerDialer === undefined;
  const perLane = adapter.linksPerDialer === undefined ? 1 : TURNS;
  const only = shared ? await adapter.createDialer({ environment }) : undefined;
  /** @type {import("../lib/types.mjs").Dialer[][]} */
  const lanes = [];
  for (let i = 0; i < LANES; i++) {
    const dialers = [];
    for (let j = 0; j < perLane; j++)
      dialers.push(only ?? (await adapter.createDialer({ environment })));
    lanes.push(dialers);
  }

  /**
   * @param {import("../lib/types.mjs").Dialer[][]} using
   * @param {number} durationMs
   */
  async function phase(using, durationMs) {
    await remote.call("mark");
    /** @type {number[]} */
    const latencies = [];
    const cpuBefore = cpuUs();
    const start = nowUs();
    const until = start + durationMs * 1e3;
    await Promise.all(using.map((dialers) => lane(dialers, address, { until, use, latencies })));
    const elapsed = nowUs() - start;
    const { cpuUs: listenerCpu } = await remote.call("connections", latencies.length);
    return {
      perSecond: latencies.length / (elapsed / 1e6),
      cpuMs: (cpuUs() - cpuBefore + listenerCpu) / latencies.length / 1e3,
      p50: quantile(latencies, 0.5) / 1e3,
      p99: quantile(latencies, 0.99) / 1e3,
    };
  }

  const scale = quick ? 0.5 : 1;
  await phase(lanes, 400);
  const young = await phase(lanes, 1_000 * scale);
  // Long enough for every peer's code to be compiled, which takes some thousand connections. Not scaled, so
  // that a quick run measures the same thing.
  await phase(lanes, 3_000);
  const wide = await phase(lanes, 1_000 * scale);
  const narrow = await phase(lanes.slice(0, 1), 600 * scale);
  return {
    c16PerSecond: wide.perSecond,
    c16P50Ms: wide.p50,
    cpuMs: wide.cpuMs,
    youngPerSecond: young.perSecond,
    youngCpuMs: young.cpuMs,
    seqPerSecond: narrow.perSecond,
    seqP50Ms: narrow.p50,
    seqP99Ms: narrow.p99,
  };
}

/**
 * @param {import("../lib/types.mjs").Dialer[]} dialers
 * @param {unknown} address
 * @param {{ until: number, use: (link: any) => Promise<void>, latencies: number[] }} options
 */
async function lane(dialers, address, { until, use, latencies }) {
  /** Closings under way, oldest first. @type {Promise<void>[]} */
  const closing = [];
  /** @type {import("../lib/types.mjs").Link | undefined} */
  let previous;
  for (let turn = 0; nowUs() < until; turn++) {
    if (closing.length >= (dialers.length > 1 ? TURNS - 1 : CLOSINGS)) await closing.shift();
    const dialer = dialers[turn % dialers.length];
    const start = nowUs();
    const link = await dialer?.connect(address);
    await use(link);
    latencies.push(nowUs() - start);
    if (previous !== undefined) closing.push(previous.close());
    previous = link;
  }
  if (previous !== undefined) closing.push(previous.close());
  await Promise.all(closing);
}
