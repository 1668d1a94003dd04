/**
 * What the peers `net`, `limit` and `limit-each` share: a TCP server and client of batch sockets.
 */

import net from "node:net";
import { BatchSocket } from "./batch-socket.mjs";
import { createIdentity, handshake } from "./handshake.mjs";
import { OneRequest } from "./one-request.mjs";

/**
 * @param {{ sealed: boolean, each?: boolean }} kind
 * @returns {Pick<import("./types.mjs").Adapter, "listen" | "createDialer">}
 */
export function rawPeer({ sealed, each = false }) {
  const settle = async (
    /** @type {net.Socket} */ socket,
    /** @type {import("./handshake.mjs").Identity | undefined} */ identity,
    /** @type {"dialer" | "listener"} */ side,
  ) =>
    identity === undefined
      ? { keys: undefined, rest: Buffer.alloc(0) }
      : await handshake(socket, identity, side);

  return {
    async listen({ onMessage, onConnection, count = 1 }) {
      const identity = sealed ? createIdentity() : undefined;
      const server = net.createServer({ noDelay: true }, (socket) => {
        socket.on("error", () => socket.destroy());
        settle(socket, identity, "listener").then(
          ({ keys, rest }) => {
            new BatchSocket(socket, { keys, rest, each, onMessage });
            onConnection();
          },
          () => socket.destroy(),
        );
      });
      await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
      const address = server.address();
      const port = typeof address === "object" ? address?.port : undefined;
      return {
        addresses: Array.from({ length: count }, () => port),
        reply: (source, body) => {
          if (source instanceof BatchSocket) source.send(body);
        },
        close: async () => {
          server.close();
        },
      };
    },

    async createDialer() {
      const identity = sealed ? createIdentity() : undefined;
      return {
        async connect(port) {
          const socket = net.connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
          await new Promise((resolve, reject) => {
            socket.once("connect", resolve).once("error", reject);
          });
          const { keys, rest } = await settle(socket, identity, "dialer");
          const asked = new OneRequest();
          const link = new BatchSocket(socket, { keys, rest, each, onMessage: asked.onMessage });
          return {
            send: (body) => link.send(body),
            drain: () => link.drain(),
            request: (body) => asked.ask(() => link.send(body)),
            close: () => link.close(),
          };
        },
        close: async () => {},
      };
    },
  };
}
