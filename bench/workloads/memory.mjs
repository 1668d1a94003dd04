/**
 * Resident memory of the listener per idle connection: 500 more of them on top of the first 100, after some
 * idle seconds and garbage collection. The hundred are there so that code and pools have grown before; the
 * seconds, since V8 gives the young generation that a burst of handshakes grew back only to a process that
 * has been idle.
 */

import { sleep } from "../lib/measure.mjs";

const WARM = 100;
const BURST_MS = 300;
const SETTLE_MS = 6_500;

export const title = "Memory per idle connection (listener)";
export { peers } from "./handshake.mjs";
export const gc = true;
export const rounds = 2;
export const metrics = [
  { key: "rssKb", title: "resident", unit: "kB" },
  { key: "burstKb", title: "right after a burst", unit: "kB" },
  { key: "heapKb", title: "heap + external", unit: "kB" },
  { key: "baseMib", title: "with the first 100", unit: "MiB" },
];
export const targets = [{ metric: "rssKb", atMost: 25 }];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export async function dial({ adapter, quick, environment, remote }) {
  const [address] = await remote.call("start", {});
  const connections = quick ? 300 : 500;
  const perDialer = adapter.linksPerDialer ?? Number.POSITIVE_INFINITY;
  /** Holds every link, or the garbage collector may close what nobody refers to. @type {unknown[]} */
  const held = [];
  let dialer = await adapter.createDialer({ environment });
  /** The listener's memory with so many links, right after they were made and when it has been idle. */
  const open = async (/** @type {number} */ until) => {
    while (held.length < until) {
      if (held.length > 0 && held.length % perDialer === 0) {
        dialer = await adapter.createDialer({ environment });
      }
      held.push(await dialer.connect(address));
    }
    await remote.call("connections", until);
    await sleep(BURST_MS);
    const burst = await remote.call("memory");
    await sleep(SETTLE_MS);
    return { burst, idle: await remote.call("memory") };
  };
  const before = await open(WARM);
  const after = await open(WARM + connections);
  return {
    rssKb: (after.idle.rss - before.idle.rss) / connections / 1e3,
    burstKb: (after.burst.rss - before.burst.rss) / connections / 1e3,
    heapKb: (after.idle.heap - before.idle.heap) / connections / 1e3,
    baseMib: before.idle.rss / 1024 ** 2,
  };
}
