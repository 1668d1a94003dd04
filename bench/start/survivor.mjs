/**
 * One node of the workload `survivors`: `survivor.mjs SEED [BOOTSTRAP]`. Takes orders from its parent, and tells it
 * what it heard.
 */

import { createHash } from "node:crypto";
import { defineMessage, Identity, json, Network, PeerId } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";
import { kademlia } from "@testudo/plugins/kademlia";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";

const [seed = "", bootstrap] = process.argv.slice(2);
const News = defineMessage({ name: "news", opcode: 1001, codec: json, reach: "network" });

const identity = Identity.fromSecret(createHash("sha256").update(seed).digest());
const network = new Network({ identity, stacks: [[net(), noise()]] });
const overlay = kademlia({ bootstrap: bootstrap === undefined ? [] : [bootstrap] });
const spread = gossip({ overlay });
const say = (/** @type {unknown} */ what) => process.send?.(what);

/** @param {string} id */
async function find(id) {
  try {
    await network.add(PeerId.from(id), { passing: true, signal: AbortSignal.timeout(10_000) });
    say({ looked: id, found: true });
  } catch (error) {
    say({ looked: id, found: false, why: error instanceof Error ? error.message : String(error) });
  }
}

process.on("message", (/** @type {any} */ order) => {
  if (order.publish !== undefined) network.broadcast(News.of(order.publish));
  else if (order.find !== undefined) void find(order.find);
  else if (order.state) say({ size: overlay.size, active: spread.state?.active ?? 0 });
});
process.on("disconnect", () => process.exit());

await network.registerPlugin(overlay);
await network.registerPlugin(spread);
await network.registerPlugin({
  name: "survivor",
  newMessage({ message }) {
    const news = message.as(News);
    if (news !== undefined) say({ heard: news });
  },
});
const address = await network.listen("net:127.0.0.1:0~noise");
say({ address, id: network.id.text });
