/**
 * One way through two KCP machines in memory, by real time: `machine.mjs PEER [quick]`. One thread does the work of both
 * ends; datagrams and acknowledgements are handed over by hand, and nothing is lost.
 */

import { Kcp } from "../../packages/transports/dist/kcp/machine.js";
import { cpuUs, nowUs } from "../lib/measure.mjs";
import { nativeKcp } from "../lib/node-kcp.mjs";
import { giveFigures } from "../lib/script.mjs";

const MTU = 1_400;
const WINDOW = 1_024;
const SEGMENT_BYTES = MTU - 24;
/** A session reads so many datagrams, or more, before it answers. */
const BATCH = 32;
const [peer = "", pace] = process.argv.slice(2);

const FAST = { noDelay: /** @type {const} */ (1), intervalMs: 10, fastResend: 2 };
/** @type {Record<string, import("../../packages/transports/src/kcp/machine.ts").KcpOptions>} */
const OPTIONS = {
  machine: FAST,
  "machine-off": { ...FAST, congestion: "off" },
  "machine-classic": { ...FAST, policy: "classic", congestion: "off" },
};
const CLASSIC = peer === "machine-classic" || peer === "node-kcp";

/** What both machines have, whoever wrote them. @param {(datagram: Uint8Array) => void} output */
function machine(output) {
  if (peer === "node-kcp") {
    const kcp = nativeKcp(1, output, { mtu: MTU, window: WINDOW, stream: true });
    return {
      send: (/** @type {Uint8Array} */ bytes) => (kcp.send(bytes) < 0 ? 0 : bytes.length),
      waiting: () => kcp.waitsnd(),
      input: (/** @type {Uint8Array} */ datagram) => kcp.input(datagram),
      update: (/** @type {number} */ now) => kcp.update(now),
      read: () => kcp.recv()?.length ?? 0,
    };
  }
  const kcp = new Kcp(1, output, {
    ...OPTIONS[peer],
    mtu: MTU,
    sendWindow: WINDOW,
    receiveWindow: WINDOW,
    stream: true,
  });
  const into = new Uint8Array(65_536);
  return {
    send: (/** @type {Uint8Array} */ bytes) => kcp.send(bytes),
    waiting: () => kcp.waitSend,
    input: (/** @type {Uint8Array} */ datagram, /** @type {number} */ now) =>
      kcp.input(datagram, now),
    update: (/** @type {number} */ now) => kcp.update(now),
    read: () => kcp.drain(into),
  };
}

/**
 * @param {number} segments
 * @param {number} batch  Datagrams taken in between two answers; the classic policy answers by time alone.
 */
function run(segments, batch) {
  /** @type {Uint8Array[]} */
  const there = [];
  /** @type {Uint8Array[]} */
  const back = [];
  /** Memory for full datagrams, as a socket's is used again. @type {Uint8Array[]} */
  const free = [];
  const copy = (/** @type {Uint8Array} */ datagram) => {
    const { length } = datagram;
    const bytes = (length === MTU ? free.pop() : undefined) ?? Buffer.alloc(length);
    bytes.set(datagram);
    return bytes;
  };
  const a = machine((datagram) => there.push(copy(datagram)));
  const b = machine((datagram) => back.push(copy(datagram)));
  const piece = Buffer.alloc(SEGMENT_BYTES * 16, 7);
  const total = segments * SEGMENT_BYTES;
  const cpu = cpuUs();
  const start = nowUs();
  let queued = 0;
  let received = 0;
  for (let turn = 1; received < total; turn++) {
    const now = turn * (CLASSIC ? 10 : 0.2);
    while (queued < total && a.waiting() < 2 * WINDOW) queued += a.send(piece);
    a.update(now);
    for (let i = 0; i < there.length; ) {
      for (const end = Math.min(i + batch, there.length); i < end; i++) {
        const datagram = there[i];
        if (datagram === undefined) break;
        b.input(datagram, now);
        if (datagram.length === MTU) free.push(datagram);
      }
      for (let size = b.read(); size > 0; size = b.read()) received += size;
      if (!CLASSIC) b.update(now);
    }
    there.length = 0;
    if (CLASSIC) b.update(now);
    for (const datagram of back) a.input(datagram, now);
    back.length = 0;
  }
  const count = received / SEGMENT_BYTES;
  return {
    perSecond: count / ((nowUs() - start) / 1e6),
    cpuUs: (cpuUs() - cpu) / count,
  };
}

await giveFigures(() => {
  const segments = pace === "quick" ? 300_000 : 1_000_000;
  run(100_000, BATCH);
  const batched = run(segments, BATCH);
  const figures = {
    perSecond: batched.perSecond,
    megabytesPerSecond: (batched.perSecond * SEGMENT_BYTES) / 1e6,
    cpuUs: batched.cpuUs,
  };
  if (CLASSIC) return figures;
  run(100_000, 1);
  return { ...figures, eachPerSecond: run(segments, 1).perSecond };
});
