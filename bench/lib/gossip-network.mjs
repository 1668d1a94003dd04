/**
 * The process of the workload `gossip`: `gossip-network.mjs PEER [quick]`. Prints its figures as JSON.
 */

import { Socket } from "node:net";
import { cpuUs, nowUs, quantile, sleep } from "./measure.mjs";

const NODES = 50;
const DEGREE = 8;
const SIZE = 1_024;
const UNDER_WAY = 16;
/** Views and meshes settle meanwhile. */
const SETTLE_MS = 5_000;
const PATIENCE_MS = 60_000;

const [peerName, pace] = process.argv.slice(2);
const messages = pace === "quick" ? 50 : 200;
/** Uncounted, and so many before: code gets hot, and trees grow. */
const warmUp = pace === "quick" ? 20 : 100;

/** The dialing end of every connection, which sees the bytes of both directions. @type {Set<Socket>} */
const sockets = new Set();
const connect = Socket.prototype.connect;
Socket.prototype.connect = /** @type {any} */ (
  function (/** @type {any[]} */ ...args) {
    sockets.add(this);
    return Reflect.apply(connect, this, args);
  }
);
const wireBytes = () => {
  let bytes = 0;
  for (const socket of sockets) bytes += socket.bytesRead + socket.bytesWritten;
  return bytes;
};

const { createMember } = await import(`../peers/${peerName}.mjs`);

/** mulberry32: the same graph and the same speakers in every run. */
let state = 5;
const random = (/** @type {number} */ below) => {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below);
};

/** What each message has still to reach, by its number; and when it was said. */
/** @type {Map<number, { missing: Set<number>, at: number }>} */
const open = new Map();
/** @type {number[]} */
const latencies = [];
let duplicates = 0;
let lastUs = 0;
let wake = () => {};

const received = (/** @type {number} */ node, /** @type {Uint8Array} */ body) => {
  const number = new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  const message = open.get(number);
  if (message?.missing.delete(node) !== true) {
    duplicates++;
    return;
  }
  if (message.missing.size > 0) return;
  lastUs = nowUs();
  latencies.push((lastUs - message.at) / 1e3);
  open.delete(number);
  wake();
};

const members = [];
for (let i = 0; i < NODES; i++) {
  members.push(
    await createMember({ onMessage: (/** @type {Uint8Array} */ body) => received(i, body) }),
  );
}
for (const [a, b] of randomGraph()) await members[a].connect(members[b].address);
await sleep(SETTLE_MS);

let said = 0;
/** @param {number} count */
async function say(count) {
  for (let i = 0; i < count; i++) {
    while (open.size >= UNDER_WAY) await woken();
    const speaker = random(NODES);
    const missing = new Set(members.keys());
    missing.delete(speaker);
    const body = Buffer.alloc(SIZE, 0x61);
    body.writeUInt32LE(said, 0);
    open.set(said++, { missing, at: nowUs() });
    members[speaker].publish(body);
  }
  while (open.size > 0) await woken();
}

// In two parts: meshes and trees settle by what travelled before, within seconds and not at once.
for (let part = 0; part < 2; part++) {
  await say(warmUp / 2);
  await sleep(2_500);
}
latencies.length = 0;
const bytesBefore = wireBytes();
const cpuBefore = cpuUs();
const start = nowUs();
await say(messages);
const cpu = cpuUs() - cpuBefore;
const end = lastUs;
await sleep(1_000);
if (duplicates > 0) throw new Error(`${duplicates} messages came twice`);
const deliveries = messages * (NODES - 1);
console.log(
  JSON.stringify({
    perSecond: deliveries / ((end - start) / 1e6),
    bytesPerByte: (wireBytes() - bytesBefore) / (deliveries * SIZE),
    cpuUs: cpu / deliveries,
    p50Ms: quantile(latencies, 0.5),
  }),
);
process.exit(0);

function woken() {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const missing = [...open.values()].reduce((sum, message) => sum + message.missing.size, 0);
      reject(new Error(`${missing} deliveries are missing`));
    }, PATIENCE_MS);
    wake = () => {
      clearTimeout(timer);
      resolve(undefined);
    };
  });
}

/** Pairs of nodes, so that each has `DEGREE` of them, or as near as chance allows. */
function randomGraph() {
  const edges = new Set();
  const degree = new Array(NODES).fill(0);
  // A ring first, so that it is connected.
  const add = (/** @type {number} */ a, /** @type {number} */ b) => {
    const edge = `${Math.min(a, b)} ${Math.max(a, b)}`;
    if (a === b || edges.has(edge) || degree[a] >= DEGREE || degree[b] >= DEGREE) return;
    edges.add(edge);
    degree[a]++;
    degree[b]++;
  };
  for (let i = 0; i < NODES; i++) add(i, (i + 1) % NODES);
  for (let i = 0; i < 100_000 && edges.size < (NODES * DEGREE) / 2; i++)
    add(random(NODES), random(NODES));
  return [...edges].map((edge) => edge.split(" ").map(Number));
}
