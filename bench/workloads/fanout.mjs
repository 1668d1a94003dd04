/**
 * One publisher, 32 subscribers in the second process: 1 KiB broadcasts as fast as they are taken, at most
 * 16 a tick, then 50 a second for their latency from `broadcast` to arrival, over all deliveries.
 *
 * Peers without a broadcast of their own loop over 32 connections to one listener; Testudo and gossipsub
 * have 32 nodes there.
 */

import { countedFlood, nowUs, sleep } from "../lib/measure.mjs";

const SUBSCRIBERS = 32;
const SIZE = 1024;
const INTERVAL_MS = 20;

export const title = "Fan-out: 1 KiB to 32 peers";
export const peers = [
  "testudo",
  "libp2p",
  "gossipsub",
  "gossipsub-sign",
  "secret-stream",
  "hyperdht",
  "multiserver",
  "ws",
  "limit",
  "net",
];
export const metrics = [
  { key: "perSecond", title: "deliveries", unit: "/s" },
  { key: "cpuUs", title: "CPU both", unit: "us" },
  { key: "p50Us", title: "p50 at 50/s", unit: "us" },
  { key: "p99Us", title: "p99 at 50/s", unit: "us" },
];
export const targets = [
  { metric: "perSecond", against: "libp2p", atLeast: 15 },
  { metric: "perSecond", against: "secret-stream", atLeast: 4 },
  { metric: "p50Us", against: "limit", atMost: 1.3 },
  { metric: "p99Us", against: "limit", atMost: 1.5 },
];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export async function dial({ adapter, quick, environment, remote }) {
  const addresses = await remote.call("start", { count: SUBSCRIBERS });
  const publisher = await (adapter.createPublisher === undefined
    ? loopPublisher(await adapter.createDialer({ environment }), addresses)
    : adapter.createPublisher({ addresses, environment }));
  const sink = {
    send: (/** @type {Uint8Array} */ body) => publisher.broadcast(body),
    drain: () => publisher.drain(),
  };
  const rate = await countedFlood(remote, sink, {
    body: Buffer.alloc(SIZE, 0x61),
    durationMs: quick ? 400 : 1_000,
    warmupMs: 1_500,
    perTurn: 16,
    copies: SUBSCRIBERS,
    maximum: adapter.fanoutMessages,
  });

  const paced = async (/** @type {number} */ messages) => {
    await remote.call("latency");
    const start = nowUs();
    for (let i = 0; i < messages; i++) {
      const wait = start + i * INTERVAL_MS * 1e3 - nowUs();
      if (wait > 0) await sleep(wait / 1e3);
      const body = Buffer.alloc(SIZE, 0x61);
      new DataView(body.buffer, body.byteOffset).setFloat64(0, nowUs(), true);
      publisher.broadcast(body);
    }
    await publisher.drain();
    await remote.call("received", messages * SUBSCRIBERS);
    return remote.call("latencies");
  };
  await paced(10);
  const { p50, p99 } = await paced(quick ? 30 : 75);
  return { perSecond: rate.perSecond, cpuUs: rate.cpuUsPerMessage, p50Us: p50, p99Us: p99 };
}

/**
 * @param {import("../lib/types.mjs").Dialer} dialer
 * @param {unknown[]} addresses
 * @returns {Promise<import("../lib/types.mjs").Publisher>}
 */
async function loopPublisher(dialer, addresses) {
  /** @type {import("../lib/types.mjs").Link[]} */
  const links = [];
  for (const address of addresses) {
    const link = await dialer.connect(address);
    await link.ready?.();
    links.push(link);
  }
  /** @type {import("../lib/types.mjs").Link[]} */
  let full = [];
  return {
    broadcast(body) {
      for (const link of links) {
        if (!link.send(body)) full.push(link);
      }
      return full.length === 0;
    },
    async drain() {
      const waiting = full;
      full = [];
      await Promise.all(waiting.map((link) => link.drain()));
    },
    close: async () => {
      await Promise.all(links.map((link) => link.close()));
    },
  };
}
