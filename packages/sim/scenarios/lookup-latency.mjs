/**
 * How long a lookup takes through real networks: 100 ms there and back, two such round trips for a dial; then
 * again, just after a fifth of all nodes fell silent.
 *
 *     npx testudo sim run packages/sim/scenarios/lookup-latency.mjs --seed 1
 */

import { defineScenario, World } from "@testudo/sim";
import { join, LINK, percentile, settle } from "./lib/overlay.mjs";

/** Lookups of each kind, so many of them at once. */
const LOOKUPS = 500;
const AT_ONCE = 20;
const SILENT = 0.2;

export const scenario = defineScenario({
  name: "lookup-latency",
  about: "How long lookups take, before and after a fifth of all nodes falls silent",
  nodes: 1_000,
  async run({ seed, nodes, signal, progress }) {
    const world = new World({ seed, signal, link: LINK });
    const all = await join(world, nodes, { progress });
    await settle(world, 45_000, progress);
    const sizes = all.map(({ overlay }) => overlay.size).sort((a, b) => a - b);

    const rows = [];
    const series = [];
    const measure = async (name, living) => {
      for (const kind of ["lookup", "find"]) {
        const { times, right } = await ask(
          world,
          living,
          kind,
          Math.min(LOOKUPS, 5 * nodes),
          progress,
        );
        const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
        rows.push([name, kind, times.length, p50, p99, times.at(-1), right / times.length]);
        series.push({
          name: `${kind}, ${name}`,
          points: times.map((ms, i) => [ms, (100 * (i + 1)) / times.length]),
        });
      }
    };
    await measure("all there", all);
    const silent = new Set(world.random.sample(all, Math.round(SILENT * nodes)));
    for (const { node } of silent) node.vanish();
    await measure(
      "a fifth silent",
      all.filter((each) => !silent.has(each)),
    );
    const { counters } = world;
    const { hash } = world.trace;
    await world.close();

    const [quick, , slow] = rows;
    return {
      table: {
        columns: ["when", "kind", "count", "p50_ms", "p99_ms", "max_ms", "found"],
        rows,
      },
      plots: [
        {
          title: "Lookups that are done",
          x: { label: "time (ms)", min: 0 },
          y: { label: "% of lookups", min: 0, max: 100 },
          series,
        },
      ],
      verdicts: [
        { text: "half of all lookups take at most 600 ms", held: quick[3] <= 600 },
        { text: "99 % of all lookups take at most 1,500 ms", held: quick[4] <= 1_500 },
        { text: "with a fifth silent, 99 % take at most 3,000 ms", held: slow[4] <= 3_000 },
        { text: "99 % find whom they looked for", held: rows.every((row) => row[6] >= 0.99) },
      ],
      notes: [
        "lookup: the 16 nearest, all of whom answered; find: one node's address, itself asked",
        `tables of ${sizes[0]} to ${sizes.at(-1)} nodes, ${percentile(sizes, 0.5)} in the middle`,
        `${counters.messages} messages, trace ${hash}`,
      ],
    };
  },
});

async function ask(world, living, kind, count, progress) {
  const times = [];
  let right = 0;
  const one = async () => {
    const [from, to] = world.random.sample(living, 2);
    const { id } = to.node.network;
    const began = world.now;
    if (kind === "lookup") {
      const [nearest] = await from.overlay.lookup(id);
      if (nearest?.id.equals(id)) right++;
    } else {
      const found = await from.overlay.findPeer(id, { signal: new AbortController().signal });
      if (found === to.node.address) right++;
    }
    times.push(world.now - began);
  };
  for (let done = 0; done < count; done += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - done) }, one);
    await world.during(Promise.all(some));
    await world.run(250);
    progress(done, count, `${kind}s`);
  }
  return { times: times.sort((a, b) => a - b), right };
}
