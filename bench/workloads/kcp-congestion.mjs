/**
 * KCP's congestion controls at 20 Mbit/s and 50 ms, behind a buffer that holds what the path does: one sender without
 * loss and with 1 %, then two, the second 0, 5 and 20 s later, the same. In virtual time: the same figures every run.
 */

import { figuresOf } from "../lib/script.mjs";

export const title = "KCP: 20 Mbit/s, 50 ms, a buffer of 50 ms";
export const rounds = 1;
export const peers = ["delay", "reno", "off"];
export const metrics = [
  { key: "goodput", title: "goodput", unit: "%" },
  { key: "lossyGoodput", title: "goodput at 1 % loss", unit: "%" },
  { key: "queue", title: "mean queue", unit: "% of buffer" },
  { key: "pairGoodput", title: "two: goodput", unit: "%" },
  { key: "pairQueue", title: "two: mean queue", unit: "% of buffer" },
  { key: "share", title: "two: larger share", unit: "%" },
];
export const targets = [
  { metric: "goodput", peer: "delay", atLeast: 85 },
  { metric: "lossyGoodput", peer: "delay", atLeast: 85 },
  { metric: "queue", peer: "delay", atMost: 50 },
  { metric: "pairGoodput", peer: "delay", atLeast: 85 },
  { metric: "pairQueue", peer: "delay", atMost: 50 },
  { metric: "share", peer: "delay", atMost: 60 },
];

/** @param {string} peer */
export const run = (peer) => figuresOf("kcp/bottleneck.mjs", [peer]);
