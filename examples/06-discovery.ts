/**
 * Discovery: twelve nodes know one address between them. They find each other by nothing but a key, keep a note for
 * one that leaves, and know the others again after a restart.
 *
 *     npx tsx --conditions=@testudo/source examples/06-discovery.ts
 */

import { setTimeout as pause } from "node:timers/promises";
import { fromUtf8, Identity, Network, toUtf8 } from "@testudo/core";
import { type Kademlia, type KademliaOptions, kademlia } from "@testudo/plugins/kademlia";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";

interface Node {
  network: Network;
  overlay: Kademlia;
  address: string;
}

async function start(options: KademliaOptions, identity = Identity.generate()): Promise<Node> {
  const network = new Network({ identity, stacks: [[net(), noise()]] });
  const address = await network.listen("net:127.0.0.1:0~noise");
  const overlay = await network.registerPlugin(kademlia(options));
  return { network, overlay, address };
}

const first = await start({});
const bootstrap = [first.address];
const others = await Promise.all(Array.from({ length: 11 }, () => start({ bootstrap })));
await Promise.all(others.map(({ overlay }) => overlay.joined()));
// A newcomer is asked himself before others hear of him.
while (others.some(({ overlay }) => overlay.size < 11)) await pause(20);
console.log("nodes that each of them knows:", first.overlay.size);

const [alice, bob, carol] = others as [Node, Node, Node];
const peer = await alice.network.add(bob.network.id);
console.log("alice found bob by his key:", peer.id.equals(bob.network.id));

const { key, nodes } = await alice.overlay.put(toUtf8("back at four"));
await alice.network.close();
const note = await carol.overlay.get(key);
console.log("kept by others:", nodes >= 5, "and read:", note && fromUtf8(note.content));

let kept: Uint8Array | undefined;
const save = async (bytes: Uint8Array): Promise<void> => {
  kept = bytes;
};
const storage = { load: async () => kept, save };
const dave = await start({ bootstrap, storage });
await dave.overlay.joined();
await dave.network.close();
const again = await start({ storage }, dave.network.identity);
await again.overlay.joined();
console.log("dave is back, without any address to begin with");

for (const { network } of [first, bob, carol, ...others.slice(3), again]) await network.close();
