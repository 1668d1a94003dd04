/**
 * A listener of KCP that 100,000 datagrams reach from 500 addresses that prove nothing: what it sends to them, what it
 * keeps of them, and how an honest dialer fares meanwhile.
 */

import { figuresOf } from "../lib/script.mjs";

export const title = "KCP: 100,000 datagrams from unproved addresses";
export const rounds = 3;
export const peers = ["kcp", "kcpgo-null"];
export const metrics = [
  { key: "ratio", title: "out / in", unit: "bytes" },
  { key: "worstRatio", title: "of the worst source", unit: "bytes" },
  { key: "answers", title: "answers", unit: "" },
  { key: "strangers", title: "strangers accepted", unit: "" },
  { key: "keptKb", title: "memory kept of all", unit: "kB" },
  { key: "honestMs", title: "honest: 10 kB there and back", unit: "ms" },
];
export const targets = [
  { metric: "worstRatio", peer: "kcp", atMost: 1 },
  { metric: "strangers", peer: "kcp", atMost: 0 },
  // Ten bytes a datagram; what is kept does not grow with their number.
  { metric: "keptKb", peer: "kcp", atMost: 1_000 },
  { metric: "worstRatio", peer: "kcpgo-null", atMost: 1 },
];

/** @param {string} peer @param {{ quick: boolean }} options */
export const run = (peer, { quick }) =>
  figuresOf("kcp/flood.mjs", [peer, ...(quick ? ["quick"] : [])]);
