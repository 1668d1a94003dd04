/**
 * hyperdht: secret streams over UDX (its own reliable transport on UDP), found through a local DHT of
 * four nodes in a process of its own.
 */

import DHT from "hyperdht";
import createTestnet from "hyperdht/testnet.js";
import { acceptSecret, secretLink } from "../lib/secret-link.mjs";

export const about = "hyperdht 6.34.0 (native UDX and sodium), four-node local DHT";
export const sealed = true;

/** @type {NonNullable<import("../lib/types.mjs").Adapter["environment"]>} */
export async function environment() {
  const testnet = await createTestnet(4);
  return { info: { bootstrap: testnet.bootstrap }, close: () => testnet.destroy() };
}

/** @param {unknown} info */
function createNode(info) {
  const { bootstrap } = /** @type {{ bootstrap: unknown }} */ (info);
  return new DHT({ bootstrap, host: "127.0.0.1", ephemeral: true });
}

/** @type {import("../lib/types.mjs").Adapter["listen"]} */
export async function listen({ onMessage, onConnection, count = 1, environment: info }) {
  const node = createNode(info);
  const server = node.createServer((/** @type {any} */ stream) => {
    acceptSecret(stream, { onMessage, onConnection });
  });
  const keyPair = DHT.keyPair();
  await server.listen(keyPair);
  const key = keyPair.publicKey.toString("hex");
  return {
    addresses: Array.from({ length: count }, () => key),
    reply: (source, body) => {
      /** @type {any} */ (source).write(body);
    },
    close: () => node.destroy({ force: true }),
  };
}

/** @type {import("../lib/types.mjs").Adapter["createDialer"]} */
export async function createDialer({ environment: info }) {
  const node = createNode(info);
  await node.fullyBootstrapped();
  return {
    connect: (key) => secretLink(node.connect(Buffer.from(String(key), "hex"))),
    close: () => node.destroy({ force: true }),
  };
}
