/**
 * What `gossipsub` and `gossipsub-sign` share: one publishing node and one node per subscriber. Only
 * broadcasts; it has no links.
 */

import { gossipsub } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import { multiaddr } from "@multiformats/multiaddr";
import { createNode } from "./libp2p-node.mjs";
import { sleep } from "./measure.mjs";

const TOPIC = "bench";

/**
 * @param {"StrictSign" | "StrictNoSign"} globalSignaturePolicy
 * @returns {Pick<import("./types.mjs").Adapter, "listen" | "createDialer" | "createPublisher" | "createMember" | "fanoutMessages">}
 */
export function gossipPeer(globalSignaturePolicy) {
  const createSubscriber = (/** @type {boolean} */ listen, /** @type {object} */ options = {}) =>
    createNode({
      listen,
      services: {
        identify: identify(),
        pubsub: gossipsub({
          globalSignaturePolicy,
          floodPublish: true,
          batchPublish: true,
          ...options,
          allowPublishToZeroTopicPeers: true,
          // The default score bans the fifteenth peer on one host.
          scoreParams: { IPColocationFactorWeight: 0 },
        }),
      },
    });

  return {
    // It drops what its peers' buffers cannot take and says nothing, so the number is fixed.
    fanoutMessages: 400,

    async listen({ onMessage, onConnection, count = 1 }) {
      const nodes = await Promise.all(Array.from({ length: count }, () => createSubscriber(true)));
      for (const node of nodes) {
        node.addEventListener("connection:open", onConnection);
        const { pubsub } = node.services;
        pubsub.addEventListener("gossipsub:message", (/** @type {any} */ event) => {
          onMessage(event.detail.msg.data, node);
        });
        pubsub.subscribe(TOPIC);
      }
      return {
        addresses: nodes.map((node) => String(node.getMultiaddrs()[0])),
        reply: () => {
          throw new Error("gossipsub has no replies");
        },
        close: async () => {
          await Promise.all(nodes.map((node) => node.stop()));
        },
      };
    },

    createDialer: () => Promise.reject(new Error("gossipsub has no links")),

    async createPublisher({ addresses }) {
      const node = await createSubscriber(false);
      const { pubsub } = node.services;
      for (const address of addresses) await node.dial(multiaddr(String(address)));
      while (pubsub.getSubscribers(TOPIC).length < addresses.length) await sleep(20);
      /** @type {Promise<unknown>[]} */
      let pending = [];
      let sequence = 0;
      return {
        broadcast(body) {
          // Equal messages would be dropped as duplicates.
          const unique = Buffer.from(body);
          unique.writeUInt32LE(sequence++, unique.length - 4);
          pending.push(pubsub.publish(TOPIC, unique));
          return pending.length < 16;
        },
        async drain() {
          const waiting = pending;
          pending = [];
          await Promise.all(waiting);
        },
        close: () => node.stop(),
      };
    },

    async createMember({ onMessage }) {
      // Its own messages go to its mesh, as everybody else's do: the cheapest way it has.
      const node = await createSubscriber(true, { floodPublish: false });
      const { pubsub } = node.services;
      pubsub.addEventListener("gossipsub:message", (/** @type {any} */ event) => {
        if (String(event.detail.propagationSource) !== String(node.peerId)) {
          onMessage(event.detail.msg.data);
        }
      });
      pubsub.subscribe(TOPIC);
      return {
        address: String(node.getMultiaddrs()[0]),
        connect: async (to) => {
          await node.dial(multiaddr(String(to)));
        },
        publish: (body) => {
          pubsub.publish(TOPIC, body).catch((/** @type {unknown} */ error) => {
            throw error;
          });
        },
      };
    },
  };
}
