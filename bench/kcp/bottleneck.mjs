/**
 * KCP's congestion controls at a bottleneck of 20 Mbit/s and 50 ms with a buffer of 50 ms, in virtual time:
 * `bottleneck.mjs delay|reno|off`.
 */

import { giveFigures } from "../lib/script.mjs";
import { shareBottleneck } from "../lib/virtual.mjs";

const LOSS = 0.01;
const SECOND_STARTS_MS = [0, 5_000, 20_000];
const [control] = process.argv.slice(2);
const options = control === "reno" || control === "off" ? { congestion: control } : {};

await giveFigures(() => {
  const clean = shareBottleneck({ options });
  const lossy = shareBottleneck({ lossRate: LOSS, options });
  const pairs = [0, LOSS].flatMap((lossRate) =>
    SECOND_STARTS_MS.map((later) => shareBottleneck({ lossRate, starts: [0, later], options })),
  );
  return {
    goodput: 100 * clean.goodput,
    lossyGoodput: 100 * lossy.goodput,
    queue: 100 * Math.max(clean.queue, lossy.queue),
    pairQueue: 100 * Math.max(...pairs.map(({ queue }) => queue)),
    pairGoodput: 100 * Math.min(...pairs.map(({ goodput }) => goodput)),
    share: 100 * Math.max(...pairs.flatMap(({ shares }) => shares)),
  };
});
