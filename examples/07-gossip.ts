/**
 * Gossip: a broadcast that reaches the whole network, and what happens to those who were not there.
 *
 *     npx tsx --conditions=@testudo/source examples/07-gossip.ts
 */

import { deferred, defineMessage, text } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";
import { createNetwork } from "testudo";

// `reach: "network"` is how a type opts in; all other messages go to the neighbours, as ever.
const News = defineMessage({ name: "news", opcode: 1008, codec: text, reach: "network" });

/** A node with gossip, where it listens, and what it hears. */
async function start(wanted: number) {
  const network = createNetwork();
  const heard: string[] = [];
  const done = deferred<readonly string[]>();
  await network.registerPlugin(gossip());
  await network.registerPlugin({
    newMessage({ message }) {
      const news = message.as(News);
      if (news !== undefined && heard.push(news) === wanted) done.resolve(heard);
    },
  });
  const address = await network.listen("net:127.0.0.1:0~noise");
  return { network, address, heard: done.promise };
}

// Eight nodes in a row: each knows only the one before it.
const nodes = [await start(0)];
for (let i = 1; i < 8; i++) {
  const node = await start(1);
  await node.network.add(nodes[i - 1]?.address as string);
  nodes.push(node);
}
const [first, ...others] = nodes as [(typeof nodes)[number], ...typeof nodes];
const delivery = first.network.broadcast(News.of("the tortoise is at the first bend"));
await Promise.all(others.map(({ heard }) => heard));
const { reach } = await delivery.report();
console.log(
  `it has reached ${reach?.nodes} nodes, and ${reach?.complete ? "that is all" : "more"}`,
);

const late = await start(1);
await late.network.add(others[3]?.address as string);
console.log("one who came late:", (await late.heard).join());

for (const { network } of [...nodes, late]) await network.close();
