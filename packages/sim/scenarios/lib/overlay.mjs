/**
 * An overlay for scenarios: real networks with the plugin `kademlia`, which join one after another, each through
 * one node that is there already, on links of 100 ms there and back. A dial costs two such round trips.
 */

import { kademlia } from "@testudo/plugins/kademlia";

export const LINK = { latencyMs: 50 };
/** Nodes that join at once, and how long until the next do. */
const WAVE = 50;
const WAVE_MS = 1_000;

/**
 * Resolves with all nodes, when each has found its place. `options`: of the plugin, for the node with this index;
 * `wrap`: what is registered in the plugin's place.
 */
export async function join(world, count, { options = () => ({}), wrap, progress }) {
  const all = [];
  while (all.length < count) {
    const known = [...all];
    const wave = Math.min(Math.max(known.length, 1), WAVE, count - all.length);
    for (let i = 0; i < wave; i++) {
      const bootstrap = known.length === 0 ? [] : [world.random.pick(known).node.address];
      const overlay = kademlia({ bootstrap, ...options(all.length) });
      const plugin = wrap?.(overlay, all.length) ?? overlay;
      all.push({ overlay, node: world.add({ plugins: [plugin] }) });
    }
    await world.run(WAVE_MS);
    progress(all.length, count, `${all.length} nodes are there`);
  }
  await world.during(Promise.all(all.map(({ overlay }) => overlay.joined())), 600_000);
  return all;
}

/** Lets time pass until the tables have filled. */
export async function settle(world, ms, progress) {
  for (let past = 0; past < ms; past += 5_000) {
    await world.run(5_000);
    progress(past + 5_000, ms, "tables fill");
  }
}

/** The value below which the part `p` of the sorted numbers lies. */
export function percentile(sorted, p) {
  return sorted[Math.min(Math.ceil(p * sorted.length), sorted.length) - 1] ?? Number.NaN;
}
