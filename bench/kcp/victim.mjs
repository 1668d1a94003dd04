/**
 * A listener under a flood, in a process of its own so that its memory can be told: `victim.mjs kcp|kcpgo-null`. Sends
 * back what its connections say. Needs --expose-gc.
 */

import { hostAndPort, section } from "@testudo/core";
import { kcp } from "@testudo/transports/kcp";
import { kcpgo } from "@testudo/transports/kcpgo";
import { sleep } from "../lib/measure.mjs";
import { serve } from "../lib/rpc.mjs";

const name = process.argv[2] === "kcp" ? "kcp" : "kcpgo";
const transport = name === "kcp" ? kcp() : kcpgo({ crypt: "null" });
let accepted = 0;
let ended = 0;

/** @param {import("@testudo/core").Connection} connection */
async function echo(connection) {
  for await (const chunk of connection) connection.write(chunk);
  await connection.end();
}

serve({
  async start() {
    const listener = await transport.listen?.(section(name, "127.0.0.1", "0"), (connection) => {
      accepted++;
      const over = () => ended++;
      echo(connection).then(over, over);
    });
    return listener === undefined ? undefined : hostAndPort(listener.section).port;
  },
  /** Bytes in use once what is not has been let go. */
  async memory() {
    for (let i = 0; i < 4; i++) {
      globalThis.gc?.();
      await sleep(50);
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  },
  accepted: () => accepted,
  ended: () => ended,
});
