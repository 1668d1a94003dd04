/**
 * A hundred thousand datagrams from addresses that prove nothing, against a listener: `flood.mjs kcp|kcpgo-null [quick]`. What
 * comes back is counted and never answered, as if the addresses were spoofed. An honest dialer connects meanwhile.
 *
 * Linux takes all of 127.0.0.0/8 for this machine, so that the sources really differ; elsewhere only their ports do.
 */

import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { section } from "@testudo/core";
import { kcp } from "@testudo/transports/kcp";
import { kcpgo } from "@testudo/transports/kcpgo";
import { encodeOpen, readId } from "../../packages/transports/dist/kcp/packet.js";
import { nextTurn, nowUs, sleep } from "../lib/measure.mjs";
import { caller } from "../lib/rpc.mjs";
import { giveFigures } from "../lib/script.mjs";

const SOURCES = 500;
const DATAGRAMS = 100_000;
const WARM_UP = 10_000;
const PER_TURN = 100;
/** How long answers may be under way at the end. */
const LAST_ANSWERS_MS = 2_000;

const [peer = "kcp", pace] = process.argv.slice(2);

/** A KCP segment of a conversation of its own. @param {number} command @param {number} length */
function segment(command, length) {
  const bytes = Buffer.alloc(24 + length);
  randomBytes(4).copy(bytes);
  bytes[4] = command;
  bytes.writeUInt16LE(1_024, 6);
  bytes.writeUInt32LE(length, 20);
  return bytes;
}

/** @param {Uint8Array} [cookie] */
const open = (cookie) =>
  encodeOpen({ id: readId(randomBytes(8), 0), mtu: 8_972, fecData: 0, fecParity: 0, cookie });

/** @param {number} type @param {number} length */
const packet = (type, length) => {
  const bytes = randomBytes(length);
  bytes[0] = type;
  return bytes;
};

/** What a source sends: one kind each, so that the kind with the most in return is seen. */
const KINDS =
  peer === "kcp"
    ? [() => open(), () => open(randomBytes(24)), () => packet(7, 17), () => packet(4, 60)]
    : [() => segment(81, 1), () => segment(81, 1_000), () => segment(83, 0), () => segment(82, 0)];

await giveFigures(async () => {
  const file = fileURLToPath(new URL("victim.mjs", import.meta.url));
  const child = fork(file, [peer], { execArgv: ["--expose-gc"] });
  try {
    return await attack(caller(child));
  } finally {
    child.kill("SIGKILL");
  }
});

/** @param {ReturnType<typeof caller>} victim */
async function attack(victim) {
  const port = await victim("start");
  const sources = await Promise.all(Array.from({ length: SOURCES }, (_, i) => source(i)));
  await flood(sources, port, WARM_UP);
  await sleep(LAST_ANSWERS_MS);
  for (const one of sources) one.bytesIn = one.bytesOut = one.answers = 0;
  const before = await victim("memory");
  const floods = flood(sources, port, pace === "quick" ? DATAGRAMS / 4 : DATAGRAMS);
  const honestMs = await dial(port);
  await floods;
  await sleep(LAST_ANSWERS_MS);
  const sum = (/** @type {"bytesIn" | "bytesOut" | "answers"} */ key) =>
    sources.reduce((total, one) => total + one[key], 0);
  return {
    ratio: sum("bytesOut") / sum("bytesIn"),
    worstRatio: Math.max(...sources.map(({ bytesIn, bytesOut }) => bytesOut / bytesIn)),
    answers: sum("answers"),
    keptKb: Math.max(0, (await victim("memory")) - before) / 1e3,
    strangers: (await victim("accepted")) - 1,
    honestMs,
  };
}

/** @param {number} i */
async function source(i) {
  const socket = createSocket("udp4");
  const address = process.platform === "linux" ? `127.${1 + (i >> 7)}.${i & 127}.9` : "127.0.0.1";
  socket.bind(0, address);
  await once(socket, "listening");
  const one = { socket, make: KINDS[i % KINDS.length], bytesIn: 0, bytesOut: 0, answers: 0 };
  socket.on("message", (answer) => {
    one.answers++;
    one.bytesOut += answer.length;
  });
  return one;
}

/**
 * @param {Awaited<ReturnType<typeof source>>[]} sources
 * @param {number} port
 * @param {number} count
 */
async function flood(sources, port, count) {
  for (let sent = 0; sent < count; ) {
    for (let i = 0; i < PER_TURN; i++, sent++) {
      const one = sources[sent % sources.length];
      const datagram = one?.make?.();
      if (one === undefined || datagram === undefined) continue;
      one.bytesIn += datagram.length;
      one.socket.send(datagram, port, "127.0.0.1");
    }
    await nextTurn();
  }
}

/** Connects, and has 10,000 bytes sent back: the milliseconds until the connection and until the last byte. @param {number} port */
async function dial(port) {
  const name = peer === "kcp" ? "kcp" : "kcpgo";
  const transport = name === "kcp" ? kcp() : kcpgo({ crypt: "null" });
  const start = nowUs();
  const signal = AbortSignal.timeout(20_000);
  const connection = await transport.dial(section(name, "127.0.0.1", String(port)), { signal });
  connection.write(Buffer.alloc(10_000, 1));
  let missing = 10_000;
  for await (const chunk of connection) {
    missing -= chunk.length;
    if (missing === 0) break;
  }
  const ms = (nowUs() - start) / 1e3;
  connection.abort(new Error("measured"));
  if (missing !== 0) throw new Error("the honest dialer did not get its bytes back");
  return ms;
}
