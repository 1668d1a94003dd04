/**
 * The smallest scenario: every node joins through the first, and the first says hello to all of them.
 *
 *     npx testudo sim run packages/sim/scenarios/hello-world.mjs --seed 1
 */

import { defineMessage, text } from "@testudo/core";
import { defineScenario, World } from "@testudo/sim";

const Hello = defineMessage({ name: "hello", opcode: 1000, codec: text });

export const scenario = defineScenario({
  name: "hello-world",
  about: "How long a greeting takes to reach everybody over links of 20 to 120 ms",
  nodes: 50,
  async run({ seed, nodes, signal }) {
    const world = new World({ seed, signal, link: { latencyMs: 20, jitterMs: 100 } });
    const first = world.add({ name: "first" });
    const heard = [];
    const ear = {
      newMessage({ message }) {
        if (message.as(Hello) !== undefined) heard.push(world.now - said);
      },
    };
    const others = Array.from({ length: nodes - 1 }, () => world.add({ plugins: [{ ...ear }] }));
    await world.during(Promise.all(others.map(({ network }) => network.add(first.address))));
    await world.run(1_000);

    const said = world.now;
    first.network.broadcast(Hello.of("hello, world"));
    await world.until(() => heard.length === others.length, 10_000);
    const { messages } = world.counters;
    await world.close();

    const rows = heard.map((ms, index) => [index + 1, Math.round(ms)]);
    return {
      table: { columns: ["nodes", "ms"], rows },
      plots: [
        {
          title: "Nodes that have heard it",
          x: { label: "time since it was said (ms)", min: 0 },
          y: { label: "nodes", min: 0 },
          series: [{ name: "heard", points: rows.map(([count, ms]) => [ms, count]) }],
        },
      ],
      verdicts: [{ text: "everybody hears it", held: heard.length === others.length }],
      notes: [`${messages} messages, trace ${world.trace.hash}`],
    };
  },
});
