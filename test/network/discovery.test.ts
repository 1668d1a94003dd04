/** Discovery over real sockets: nodes that know one address find each other, and what they keep for each other. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { defineMessage, Identity, Network, text, toUtf8 } from "@testudo/core";
import { fileStorage } from "@testudo/plugins/file-storage";
import { type Kademlia, type KademliaOptions, kademlia } from "@testudo/plugins/kademlia";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";

const COUNT = 12;
const Gossip = defineMessage({ name: "gossip in discovery's tests", opcode: 1_210, codec: text });

interface Node {
  readonly network: Network;
  readonly overlay: Kademlia;
  readonly address: string;
  readonly heard: string[];
}

async function start(options: KademliaOptions = {}, identity = Identity.generate()): Promise<Node> {
  const network = new Network({ identity, stacks: [[net(), noise()]] });
  const heard: string[] = [];
  await network.registerPlugin({
    newMessage({ message }) {
      const said = message.as(Gossip);
      if (said !== undefined) heard.push(said);
    },
  });
  // Before it looks for others it must be there itself.
  const address = await network.listen("net:127.0.0.1:0~noise");
  const overlay = await network.registerPlugin(kademlia(options));
  return { network, overlay, address, heard };
}

describe("nodes behind one address of one machine", () => {
  expectNoLeaks();

  const nodes: Node[] = [];
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "testudo-discovery-"));
    nodes.push(await start());
    const bootstrap = [(nodes[0] as Node).address];
    for (let i = 1; i < COUNT; i++) nodes.push(await start({ bootstrap }));
    await Promise.all(nodes.map(({ overlay }) => overlay.joined()));
    // Nobody is handed out before he was asked himself, and that has its own pace.
    while (nodes.some(({ overlay }) => overlay.size < COUNT - 1)) await pause(20);
  }, 30_000);
  afterAll(async () => {
    await Promise.all(nodes.map(({ network }) => network.close()));
    await rm(folder, { recursive: true });
  });
  const at = (index: number): Node => nodes[index] as Node;

  it("find each other by nothing but an id", async () => {
    for (const [from, to] of [
      [1, 11],
      [7, 3],
      [10, 2],
    ] as const) {
      const peer = await at(from).network.add(at(to).network.id);
      expect(peer.id.equals(at(to).network.id)).toBe(true);
      expect(peer.writable).toBe(true);
      await at(from).network.delete(peer);
    }
  });

  it("send broadcasts to those they added, and to nobody they met in passing", async () => {
    const [from, to] = [at(4), at(8)];
    const peer = await from.network.add(to.network.id);
    await from.overlay.lookup(new Uint8Array(32));
    expect(from.network.peers.size).toBeGreaterThan(1);
    const { sent } = await from.network.broadcast(Gossip.of("for one")).report();
    expect(sent).toEqual([peer]);
    // An answer behind it says that it has arrived, there and everywhere.
    await from.overlay.lookup(new Uint8Array(32));
    expect(nodes.filter(({ heard }) => heard.includes("for one"))).toEqual([to]);
    await from.network.delete(peer);
  });

  it("keep values when who published them is gone", async () => {
    const publisher = await start({ bootstrap: [at(0).address] });
    await publisher.overlay.joined();
    const { key, nodes: count } = await publisher.overlay.put(toUtf8("kept"));
    expect(count).toBeGreaterThan(5);
    await publisher.network.close();
    const value = await at(9).overlay.get(key);
    expect(value?.content).toEqual(toUtf8("kept"));
  });

  it("are there again after a restart without any bootstrap address", async () => {
    const identity = Identity.generate();
    const storage = fileStorage(join(folder, "overlay.bin"));
    const before = await start({ bootstrap: [at(0).address], storage }, identity);
    await before.overlay.joined();
    await before.network.close();
    const after = await start({ storage }, identity);
    await after.overlay.joined();
    expect(after.overlay.record.seq).toBeGreaterThan(0);
    const peer = await at(5).network.add(identity.id);
    expect(peer.id.equals(identity.id)).toBe(true);
    await after.network.close();
  });

  it("leave at once, whatever they are doing", async () => {
    const busy = await start({ bootstrap: [at(0).address] });
    await busy.overlay.joined();
    const work = [
      busy.overlay.lookup(new Uint8Array(32)),
      busy.overlay.put(toUtf8("never")),
      busy.network.add(at(6).network.id),
    ].map((each) =>
      each.then(
        () => "done",
        (error: { code?: string }) => error.code,
      ),
    );
    await busy.network.close();
    for (const outcome of await Promise.all(work)) {
      expect(["done", "NETWORK_CLOSED", "STREAM_CLOSED", "PEER_NOT_FOUND"]).toContain(outcome);
    }
  });
});
