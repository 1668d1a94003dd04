/**
 * 60 processes, each a node with discovery and gossip, joined through one of them. 18 are killed at one moment with
 * SIGKILL. Then survivors publish, twenty messages in the first second, and look each other up by id.
 *
 * Counted: how many of the deliveries due had come 5 s after the kill; when the last one came; how many lookups,
 * begun in the first 25 s, had reached their node 30 s after the kill.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { nowUs, sleep } from "../lib/measure.mjs";

const NODES = 60;
const KILLED = 18;
const MESSAGES = 20;
const LOOKUPS_EACH = 5;
const SHUFFLE_MS = 60_000;
const SETTLE_MS = 120_000;

export const title = "60 processes, 18 killed at once: gossip and lookups of the survivors";
export const peers = ["testudo"];
export const rounds = 1;
export const metrics = [
  { key: "within5s", title: "delivered within 5 s", unit: "%" },
  { key: "allMs", title: "all delivered after", unit: "ms" },
  { key: "lookups", title: "lookups found within 30 s", unit: "%" },
];
export const targets = [
  { metric: "within5s", atLeast: 99 },
  { metric: "allMs", atMost: 2 * SHUFFLE_MS },
  { metric: "lookups", atLeast: 99 },
];

const SCRIPT = fileURLToPath(new URL("../start/survivor.mjs", import.meta.url));

/** @param {string} seed @param {string[]} bootstrap */
async function start(seed, ...bootstrap) {
  const child = fork(SCRIPT, [seed, ...bootstrap], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  /** @type {{ child: typeof child, id: string, address: string, size: number, active: number, heard: Map<number, number>, looked: Map<string, number>, why: string[] }} */
  const node = {
    child,
    id: "",
    address: "",
    size: 0,
    active: 0,
    heard: new Map(),
    looked: new Map(),
    why: [],
  };
  child.on("message", (/** @type {any} */ said) => {
    if (said.heard !== undefined) node.heard.set(said.heard, nowUs());
    else if (said.looked !== undefined && said.found) node.looked.set(said.looked, nowUs());
    else if (said.looked !== undefined) node.why.push(said.why);
    else Object.assign(node, said);
  });
  await Promise.race([
    once(child, "message"),
    once(child, "exit").then(() => Promise.reject(new Error("a node ended at its start"))),
  ]);
  return node;
}

/** @param {string} _peer @param {{ quick: boolean }} options */
export async function run(_peer, { quick }) {
  const count = quick ? 20 : NODES;
  const first = await start("0");
  const nodes = [first];
  try {
    for (let i = 1; i < count; i++) nodes.push(await start(String(i), first.address));
    await settled(nodes);
    return await measure(nodes, quick ? 6 : KILLED);
  } finally {
    for (const { child } of nodes) child.kill("SIGKILL");
  }
}

/** @param {Awaited<ReturnType<typeof start>>[]} nodes */
async function settled(nodes) {
  const end = nowUs() + SETTLE_MS * 1e3;
  for (;;) {
    for (const { child } of nodes) child.send({ state: true });
    await sleep(500);
    if (nodes.every(({ size, active }) => size >= 10 && active >= 2)) break;
    if (nowUs() > end) throw new Error("the nodes did not come together");
  }
  // Once through a network that nobody harms, so that the trees have grown.
  for (let i = 0; i < 20; i++) {
    nodes[(7 * i) % nodes.length]?.child.send({ publish: -1 - i });
    await sleep(50);
  }
  await sleep(3_000);
}

/** @param {Awaited<ReturnType<typeof start>>[]} nodes @param {number} killed */
async function measure(nodes, killed) {
  const victims = nodes
    .filter((_, i) => i > 0 && i % Math.floor(nodes.length / killed) === 1)
    .slice(0, killed);
  const alive = nodes.filter((node) => !victims.includes(node));
  for (const { child } of victims) child.kill("SIGKILL");
  const at = nowUs();
  const deadline = (/** @type {number} */ ms) => sleep(Math.max(0, ms - (nowUs() - at) / 1e3));
  /** @type {Map<number, (typeof alive)[number]>} */
  const publishers = new Map();
  for (let i = 0; i < MESSAGES; i++) {
    const from = alive[(11 * i) % alive.length];
    if (from === undefined) continue;
    publishers.set(i, from);
    from.child.send({ publish: i });
    await sleep(50);
  }
  let asked = 0;
  for (const [i, node] of alive.entries()) {
    for (let j = 1; j <= LOOKUPS_EACH; j++) {
      const target = alive[(i + 1 + 3 * j) % alive.length];
      if (target === undefined || target === node) continue;
      node.child.send({ find: target.id });
      asked++;
    }
    await sleep(250);
  }
  await deadline(30_000);
  const found = alive.reduce((sum, { looked }) => sum + looked.size, 0);
  for (const { why } of alive) for (const each of why.slice(0, 1)) console.error(`lookup: ${each}`);
  const times = () =>
    [...publishers].flatMap(([i, from]) =>
      alive
        .filter((node) => node !== from)
        .map((node) => node.heard.get(i) ?? Number.POSITIVE_INFINITY),
    );
  while (times().includes(Number.POSITIVE_INFINITY) && nowUs() - at < 2_000 * SHUFFLE_MS)
    await sleep(200);
  const all = times().map((time) => (time - at) / 1e3);
  return {
    within5s: (100 * all.filter((ms) => ms <= 5_000).length) / all.length,
    allMs: Math.max(...all),
    lookups: (100 * found) / asked,
  };
}
