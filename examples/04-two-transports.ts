/**
 * Two stacks, one node: it speaks `noise` to new peers and `shs` to old ones, side by side. One address
 * names both ways; each peer takes the first one it can speak. Nothing is negotiated.
 *
 *     npx tsx --conditions=@testudo/source examples/04-two-transports.ts
 */

import { defineMessage, Network, type StackParts, text } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";

const Hello = defineMessage({ name: "hello", opcode: 1005, codec: text });
const News = defineMessage({ name: "news", opcode: 1006, codec: text });
const names = (address: string): string => address.replace(/:[^~;]*/g, "");

const node = new Network({
  stacks: [
    [net(), noise()],
    [net(), shs()],
  ],
});
await node.registerPlugin({
  name: "greeter",
  newMessage({ message, peer, reply }) {
    const name = message.as(Hello);
    if (name !== undefined) return reply(Hello.of(`${name}, you came by ${names(peer.address)}`));
  },
});
const address = await node.listen("net:127.0.0.1:0~noise;net:127.0.0.1:0~shs");
console.log("listening on", names(address));

/** A peer that speaks one stack only. */
async function join(name: string, stack: StackParts): Promise<Network> {
  const network = new Network({ stacks: [stack] });
  await network.registerPlugin({
    name,
    newMessage({ message }) {
      console.log(`${name} reads: ${message.as(News)}`);
    },
  });
  const peer = await network.add(address);
  console.log(await peer.request(Hello.of(name), Hello));
  return network;
}

const young = await join("the new peer", [net(), noise()]);
const old = await join("the old peer", [net(), shs()]);

const { sent } = await node.broadcast(News.of("one node, two stacks")).report();
console.log("sent to", sent.length, "peers");
// A close is polite: what was sent arrives first.
await node.close();
await Promise.all([young.close(), old.close()]);
