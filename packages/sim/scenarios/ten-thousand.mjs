/**
 * Ten thousand real networks in one process: each joins a random graph, and all hear one flooded message.
 *
 *     npx testudo sim run packages/sim/scenarios/ten-thousand.mjs --seed 1
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { defineMessage, text } from "@testudo/core";
import { defineScenario, World } from "@testudo/sim";

const Flood = defineMessage({ name: "flood", opcode: 1000, codec: text });

/** Each node dials so many others, so that it has twice as many links on average. */
const DIALS = 4;
/** Nodes that join at once: as many as there are already, but no more than these. */
const BATCH = 500;

export const scenario = defineScenario({
  name: "ten-thousand",
  about: "Nodes that join a random graph and hear one flooded message",
  nodes: 10_000,
  async run({ seed, nodes, signal, progress }) {
    const began = performance.now();
    const world = new World({ seed, signal, link: { latencyMs: 20, jitterMs: 60 } });
    const heard = [];
    let copies = 0;
    let said = 0;

    /** Hands on what it hears for the first time. */
    const flooder = () => {
      let done = false;
      return {
        newMessage({ message, network }) {
          if (message.as(Flood) === undefined) return;
          copies++;
          if (done) return;
          done = true;
          heard.push(world.now - said);
          network.broadcast(message);
        },
      };
    };

    const heapBefore = heapBytes();
    const all = [world.add({ name: "n0", plugins: [flooder()] })];
    while (all.length < nodes) {
      const dials = [];
      const batch = Math.min(BATCH, all.length, nodes - all.length);
      const known = [...all];
      for (let i = 0; i < batch; i++) {
        const node = world.add({ plugins: [flooder()] });
        for (const { address } of world.random.sample(known, DIALS)) {
          dials.push(node.network.add(address));
        }
        all.push(node);
      }
      await world.during(Promise.all(dials));
      progress(all.length, nodes, `${all.length} nodes joined`);
    }
    await world.run(1_000);
    const joined = performance.now();
    const heap = heapBytes() - heapBefore;
    const links = world.counters.open / 2;

    said = world.now;
    all[0].network.broadcast(Flood.of("hello"));
    await world.until(() => heard.length === nodes, 60_000);
    await world.run(1_000);
    const over = performance.now();
    const { hash } = world.trace;
    const { events } = world.clock;
    await world.close();

    const counts = new Map();
    for (const [index, ms] of heard.entries()) counts.set(Math.ceil(ms / 20) * 20, index + 1);
    const rows = [...counts].map(([ms, count]) => [ms, count, count / nodes]);
    const others = heard.length - 1;
    return {
      table: { columns: ["ms", "nodes", "part"], rows },
      plots: [
        {
          title: "Nodes that have heard the message",
          x: { label: "time since it was said (ms)", min: 0 },
          y: { label: "nodes", min: 0 },
          series: [{ name: "heard", points: rows.map(([ms, count]) => [ms, count]) }],
        },
      ],
      verdicts: [{ text: "everybody hears it", held: others === nodes - 1 }],
      notes: [
        `${links} links, ${copies} copies received, ${events} events, trace ${hash}`,
        `heap: ${(heap / nodes / 1024).toFixed(1)} KiB a node, ${(heap / 2 ** 20).toFixed(0)} MiB in all`,
        `time: ${seconds(joined - began)} s to join, ${seconds(over - joined)} s to flood`,
      ],
    };
  },
});

/** Of live objects only. */
function heapBytes() {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function seconds(ms) {
  return (ms / 1_000).toFixed(1);
}
