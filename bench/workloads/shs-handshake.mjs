/**
 * net~shs connections set up and ended with both goodbyes, counted as `handshake` counts: the phases, the
 * lanes and the warm-up are that workload's, and so is what a connection is.
 */

export const title = "net~shs beside the original: connections set up";
export { dial, metrics } from "./handshake.mjs";
export { peers } from "./shs-echo.mjs";
export const targets = [
  { metric: "c16PerSecond", peer: "testudo-shs", against: "multiserver-published", atLeast: 1 },
  { metric: "seqPerSecond", peer: "testudo-shs", against: "multiserver-published", atLeast: 1 },
  { metric: "c16PerSecond", peer: "testudo-shs", against: "multiserver-nodelay", atLeast: 1 },
  { metric: "seqPerSecond", peer: "testudo-shs", against: "multiserver-nodelay", atLeast: 1 },
];
