/**
 * @hyperswarm/secret-stream over TCP: Noise XX and libsodium's secretstream.
 */

import net from "node:net";
import NoiseSecretStream from "@hyperswarm/secret-stream";
import { acceptSecret, secretLink } from "../lib/secret-link.mjs";

export const about = "@hyperswarm/secret-stream 6.9.2 (native sodium) over node:net with noDelay";
export const sealed = true;

/** @type {import("../lib/types.mjs").Adapter["listen"]} */
export async function listen({ onMessage, onConnection, count = 1 }) {
  const keyPair = NoiseSecretStream.keyPair();
  const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    acceptSecret(new NoiseSecretStream(false, socket, { keyPair }), { onMessage, onConnection });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    addresses: Array.from({ length: count }, () => port),
    reply: (source, body) => {
      if (source instanceof NoiseSecretStream) source.write(body);
    },
    close: async () => {
      server.close();
    },
  };
}

/** @type {import("../lib/types.mjs").Adapter["createDialer"]} */
export async function createDialer() {
  const keyPair = NoiseSecretStream.keyPair();
  return {
    connect(port) {
      const socket = net.connect({
        port: Number(port),
        host: "127.0.0.1",
        noDelay: true,
        allowHalfOpen: true,
      });
      return secretLink(new NoiseSecretStream(true, socket, { keyPair }));
    },
    close: async () => {},
  };
}
