/**
 * KCP's own test in virtual time: `echoes.mjs PEER RUNS`. As the C implementation's: a tenth of the round trips is lost,
 * half of it each way, in order.
 */

import { giveFigures } from "../lib/script.mjs";
import { FAST, joined, KcpEnd, kcpEchoes, NativeEnd } from "../lib/virtual.mjs";

const WEATHER = { lossRate: 0.05, inOrder: true };
const BOUND_MS = 360;
const [peer, runs] = process.argv.slice(2);

/** @type {Record<string, import("../../packages/transports/src/kcp/machine.ts").KcpOptions>} */
const OPTIONS = {
  modern: FAST,
  classic: { ...FAST, policy: "classic", congestion: "off", sendWindow: 128, receiveWindow: 128 },
};

/** @param {number} seed */
function echoes(seed) {
  if (peer !== "node-kcp") {
    const options = OPTIONS[peer ?? ""];
    return kcpEchoes(WEATHER, seed, {}, (time, there, back) =>
      joined(new KcpEnd(time, there, 7, options ?? {}), new KcpEnd(time, back, 7, options ?? {})),
    );
  }
  return kcpEchoes(WEATHER, seed, {}, (time, there, back) =>
    joined(new NativeEnd(time, there, 7, {}), new NativeEnd(time, back, 7, {})),
  );
}

await giveFigures(() => {
  const worst = [];
  let sum = 0;
  let count = 0;
  for (let seed = 1; seed <= Number(runs); seed++) {
    const took = echoes(seed);
    sum += took.reduce((a, b) => a + b);
    count += took.length;
    worst.push(Math.max(...took));
  }
  worst.sort((a, b) => a - b);
  return {
    averageMs: sum / count,
    worstMs: worst[worst.length >> 1] ?? Number.NaN,
    mostMs: worst.at(-1) ?? Number.NaN,
    late: (100 * worst.filter((each) => each > BOUND_MS).length) / worst.length,
  };
});
