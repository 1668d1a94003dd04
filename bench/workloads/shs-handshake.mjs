/**
 * net~shs connections set up and ended with both goodbyes, counted as `handshake` counts: the phases, the
 * lanes and the warm-up are that workload's. Once as they are, and once with a byte sent through each and
 * back before it counts, which is what a program waits for.
 */

import { measure } from "./handshake.mjs";

export const title = "net~shs beside the original: connections set up";
export { peers } from "./shs-echo.mjs";
export const metrics = [
  { key: "c16PerSecond", title: "16 at a time", unit: "/s" },
  { key: "seqPerSecond", title: "one at a time", unit: "/s" },
  { key: "cpuMs", title: "CPU both", unit: "ms" },
  { key: "seqP50Ms", title: "p50 alone", unit: "ms" },
  { key: "echo16PerSecond", title: "16, first byte back", unit: "/s" },
  { key: "echoSeqPerSecond", title: "one, first byte back", unit: "/s" },
  { key: "echoSeqP50Ms", title: "p50 alone", unit: "ms" },
];
export const targets = ["multiserver-published", "multiserver-nodelay"].flatMap((against) =>
  ["c16PerSecond", "seqPerSecond", "echo16PerSecond", "echoSeqPerSecond"].map((metric) => ({
    metric,
    peer: "testudo-shs",
    against,
    atLeast: 1,
  })),
);

/** @param {any} context  A `ByteWorkloadContext`: of a link, `handshake` only asks that it can be closed. */
export async function dial(context) {
  const bare = await measure(context, async () => {});
  const byte = Buffer.alloc(1, 0x61);
  const used = await measure(context, (link) => link.echo(byte, 1));
  return {
    c16PerSecond: bare.c16PerSecond,
    seqPerSecond: bare.seqPerSecond,
    cpuMs: bare.cpuMs,
    seqP50Ms: bare.seqP50Ms,
    echo16PerSecond: used.c16PerSecond,
    echoSeqPerSecond: used.seqPerSecond,
    echoSeqP50Ms: used.seqP50Ms,
  };
}
