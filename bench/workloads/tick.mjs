/**
 * 100-byte messages through one link, one in each turn of the event loop: nothing can be batched.
 */

import { measure } from "./small.mjs";

export const title = "100-byte messages, one stream, one a tick";
export { metrics, peers } from "./small.mjs";
export const targets = [
  { metric: "perSecond", against: "libp2p", atLeast: 2 },
  { metric: "perSecond", atLeast: 100_000 },
];

/** @param {import("../lib/types.mjs").WorkloadContext} context */
export const dial = (context) => measure(context, 1);
