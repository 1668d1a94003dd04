/**
 * Testudo over net~noise: everything through the public API, messages received by a plugin.
 */

import { bytes, defineMessage, Network } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";

export const about =
  "Testudo, net~noise (Noise XX, AES-256-GCM), checksummed frames, messages received by a plugin; maxPeers raised";
export const sealed = true;
/** A pair of nodes has one live stream, so a second link needs a second identity. */
export const linksPerDialer = 1;

const ADDRESS = "net:127.0.0.1:0~noise";
const Bench = defineMessage({ name: "bench", opcode: 1000, codec: bytes });
const News = defineMessage({ name: "bench news", opcode: 1001, codec: bytes, reach: "network" });
/** A sender waits for the oldest of so many windows before it sends on. */
const WINDOWS = 4;
const WINDOW_BYTES = 256 * 1024;

const createNode = () => new Network({ stacks: [[net(), noise()]], limits: { maxPeers: 100_000 } });

/** Lets a sender have `WINDOWS` windows under way. */
class Pacer {
  /** @type {Promise<unknown>[]} */
  #marks = [];
  #bytes = 0;

  /**
   * @param {number} size
   * @param {() => Promise<unknown>} mark  Settles when everything so far is handed over; asked once a window.
   */
  sent(size, mark) {
    this.#bytes += size;
    if (this.#bytes >= WINDOW_BYTES) {
      this.#bytes = 0;
      this.#marks.push(mark());
    }
    return this.#marks.length < WINDOWS;
  }

  async drain() {
    await this.#marks.shift();
  }
}

/** @type {import("../lib/types.mjs").Adapter["listen"]} */
export async function listen({ onMessage, onConnection, onBytes, count = 1 }) {
  const nodes = Array.from({ length: count }, createNode);
  /** @type {import("@testudo/core").Plugin} */
  const plugin = {
    name: "bench",
    newMessage(context) {
      const body = context.message.as(Bench);
      if (body !== undefined) onMessage(body, context);
    },
    nodeAdded: () => onConnection(),
  };
  const addresses = [];
  for (const node of nodes) {
    await node.registerPlugin({ ...plugin });
    node.handleChannel("bench", async (channel) => {
      for await (const chunk of channel) onBytes(chunk.length);
      await channel.close();
    });
    addresses.push(await node.listen(ADDRESS));
  }
  return {
    addresses,
    reply: (source, body) => {
      const context = /** @type {import("@testudo/core").MessageContext} */ (source);
      context.reply(Bench.of(body));
    },
    close: async () => {
      await Promise.all(nodes.map((node) => node.close()));
    },
  };
}

/** @type {import("../lib/types.mjs").Adapter["createDialer"]} */
export async function createDialer() {
  const node = createNode();
  return {
    async connect(address) {
      const peer = await node.add(String(address));
      const pacer = new Pacer();
      return {
        send(body) {
          const sent = peer.send(Bench.of(body));
          return pacer.sent(body.length, () => sent);
        },
        drain: () => pacer.drain(),
        request: (body) => peer.request(Bench.of(body), Bench),
        openChannel: () => peer.openChannel("bench"),
        close: () => node.delete(peer),
      };
    },
    close: () => node.close(),
  };
}

/** @type {NonNullable<import("../lib/types.mjs").Adapter["createPublisher"]>} */
export async function createPublisher({ addresses }) {
  const node = createNode();
  for (const address of addresses) await node.add(String(address));
  const pacer = new Pacer();
  return {
    broadcast(body) {
      const delivery = node.broadcast(Bench.of(body));
      if (delivery.queued !== addresses.length) throw new Error("a peer refused a broadcast");
      // Per link, as a single sender paces itself.
      return pacer.sent(body.length, () => delivery.report());
    },
    drain: () => pacer.drain(),
    close: () => node.close(),
  };
}

/** For `gossip`: one node of a network. @type {NonNullable<import("../lib/types.mjs").Adapter["createMember"]>} */
export async function createMember({ onMessage }) {
  // Only here: the other workloads measure a node without it.
  const { gossip } = await import("@testudo/plugins/gossip");
  const node = createNode();
  await node.registerPlugin(gossip());
  await node.registerPlugin({
    name: "bench",
    newMessage({ message }) {
      const body = message.as(News);
      if (body !== undefined) onMessage(body);
    },
  });
  const address = await node.listen(ADDRESS);
  return {
    address,
    connect: async (to) => {
      await node.add(String(to));
    },
    publish: (body) => {
      node.broadcast(News.of(body));
    },
  };
}
