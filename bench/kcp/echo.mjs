/**
 * KCP's own test over real sockets: `echo.mjs listen kcp|net` and `echo.mjs dial kcp|net`, at 10.99.0.2. A message of 12
 * bytes every 20 ms, a thousand of them, and their echoes; prints the round trips in milliseconds as JSON.
 */

import { section } from "@testudo/core";
import { kcp } from "@testudo/transports/kcp";
import { net } from "@testudo/transports/net";

const MESSAGES = 1_000;
const EVERY_MS = 20;
const SIZE = 12;
const [role, name = ""] = process.argv.slice(2);
const transport = name === "kcp" ? kcp() : net();
const at = section(name, "10.99.0.2", "7000");

if (role === "listen") {
  await transport.listen?.(at, async (connection) => {
    for await (const chunk of connection) connection.write(chunk);
  });
  console.log("ready");
} else {
  const connection = await transport.dial(at, { signal: AbortSignal.timeout(30_000) });
  /** @type {number[]} */
  const sentAt = [];
  /** @type {number[]} */
  const took = [];
  const timer = setInterval(() => {
    sentAt.push(performance.now());
    connection.write(Buffer.alloc(SIZE, sentAt.length));
    if (sentAt.length === MESSAGES) clearInterval(timer);
  }, EVERY_MS);
  let bytes = 0;
  for await (const chunk of connection) {
    const now = performance.now();
    bytes += chunk.length;
    while ((took.length + 1) * SIZE <= bytes) took.push(now - (sentAt[took.length] ?? 0));
    if (took.length === MESSAGES) break;
  }
  console.log(JSON.stringify(took));
  process.exit(0);
}
