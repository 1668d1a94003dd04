/**
 * An upgrade without a gap: a hub speaks `shs` and `noise` side by side, its old peer comes over while all
 * count aloud, and `shs` is retired. Nothing is negotiated: an address says what is spoken there.
 *
 *     npx tsx --conditions=@testudo/source examples/08-upgrade.ts
 */

import { setTimeout as pause } from "node:timers/promises";
import { defineMessage, json, Network, type Peer, type StackParts, text } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";

const Count = defineMessage<number>({ name: "count", opcode: 1008, codec: json });
const HowMany = defineMessage<number>({ name: "how many", opcode: 1009, codec: json });
const NewAddress = defineMessage({ name: "new address", opcode: 1010, codec: text });
const names = (address: string): string => address.replace(/:[^~;]*/g, "");

/** A node that listens to what its peers count, and goes where it is told to. */
async function start(...stacks: StackParts[]): Promise<Network> {
  const network = new Network({ stacks });
  const heard = new Map<Peer, number>();
  await network.registerPlugin({
    async newMessage({ message, peer, reply }) {
      const next = heard.get(peer) ?? 0;
      if (message.as(Count) === next) heard.set(peer, next + 1);
      if (message.as(HowMany) !== undefined) return reply(HowMany.of(next));
      const address = message.as(NewAddress);
      if (address?.endsWith(peer.id.text)) await network.add(address, { move: true });
    },
  });
  return network;
}

const hub = await start([net(), shs()], [net(), noise()]);
const oldAddress = await hub.listen("net:127.0.0.1:0~shs");
const newAddress = await hub.listen("net:127.0.0.1:0~noise");
const old = await start([net(), shs()], [net(), noise()]);
const young = await start([net(), noise()]);
const peers = [await old.add(oldAddress), await young.add(newAddress)];
console.log("they came by", peers.map(({ address }) => names(address)).join(" and "));
while (hub.peers.size < 2) await pause(1);
peers.push(...hub.peers.values());

let said = 0;
const counting = setInterval(() => {
  for (const peer of peers) void peer.send(Count.of(said));
  said++;
}, 1);
hub.broadcast(NewAddress.of(newAddress));
while (hub.networkState().peers.some(({ address }) => address.includes("~shs"))) await pause(1);
await hub.unlisten(oldAddress);
console.log("now all speak", [...new Set(peers.map(({ address }) => names(address)))].join());
const late = await start([net(), shs()]);
await late.add(oldAddress).catch(({ code }) => console.log("who dials the old way now:", code));
clearInterval(counting);
const heard = await Promise.all(peers.map((peer) => peer.request(HowMany.of(said), HowMany)));
const lost = heard.reduce((sum, count) => sum + said - count, 0);
console.log("numbers lost on the way:", lost);
for (const network of [hub, old, young, late]) await network.close();
