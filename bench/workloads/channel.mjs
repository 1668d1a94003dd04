/**
 * Messages beside a big transfer: 100-byte messages 500 times a second on an otherwise idle stream, then the
 * same while a channel inside that stream moves 1 GiB. Latency is from `send` to the plugin, one way.
 */

import { nowUs, sleep } from "../lib/measure.mjs";
import { openLink } from "../lib/open-link.mjs";

const INTERVAL_MS = 2;
const CHUNK = 64 * 1024;

export const title = "Messages during a channel transfer";
export const peers = ["testudo"];
export const metrics = [
  { key: "idleP50Us", title: "idle p50", unit: "us" },
  { key: "idleP99Us", title: "idle p99", unit: "us" },
  { key: "busyP50Us", title: "during p50", unit: "us" },
  { key: "busyP99Us", title: "during p99", unit: "us" },
  { key: "megabytesPerSecond", title: "transfer", unit: "MB/s" },
];
export const targets = [
  { metric: "busyP99Us", against: "testudo", againstMetric: "idleP99Us", atMost: 2 },
];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export async function dial(context) {
  const link = await openLink(context);
  const { quick, remote } = context;
  const size = quick ? 512 * 1024 ** 2 : 1024 ** 3;

  /** Sends until told to stop, and gives what the listener measured. @param {() => boolean} going */
  const paced = async (going) => {
    await remote.call("latency");
    let sent = 0;
    while (going()) {
      const body = Buffer.alloc(100);
      new DataView(body.buffer, body.byteOffset).setFloat64(0, nowUs(), true);
      link.send(body);
      sent++;
      await sleep(INTERVAL_MS);
    }
    await remote.call("received", sent);
    return remote.call("latencies");
  };
  const pacedFor = (/** @type {number} */ durationMs) => {
    const until = nowUs() + durationMs * 1e3;
    return paced(() => nowUs() < until);
  };

  await pacedFor(1_500);
  const idle = await pacedFor(quick ? 500 : 2_000);

  /** Moves bytes through a channel of its own. @param {number} bytes @param {() => void} [done] */
  const transfer = async (bytes, done = () => {}) => {
    const channel = await link.openChannel?.();
    if (channel === undefined) throw new Error("this peer has no channels");
    const chunk = Buffer.alloc(CHUNK, 0x61);
    await remote.call("countBytes");
    const start = nowUs();
    for (let moved = 0; moved < bytes; moved += CHUNK) {
      if (!channel.write(chunk)) await channel.drain();
    }
    await channel.end();
    const { lastUs } = await remote.call("receivedBytes", bytes);
    done();
    return bytes / (lastUs - start);
  };
  await transfer(256 * 1024 ** 2);
  let moving = true;
  const moved = transfer(size, () => {
    moving = false;
  });
  const busy = await paced(() => moving);
  return {
    idleP50Us: idle.p50,
    idleP99Us: idle.p99,
    busyP50Us: busy.p50,
    busyP99Us: busy.p99,
    megabytesPerSecond: await moved,
  };
}
