/**
 * ws: WebSocket messages over plain TCP. No encryption and no identity; here as the usual baseline.
 */

import { once } from "node:events";
import { WebSocket, WebSocketServer } from "ws";
import { OneRequest } from "../lib/one-request.mjs";

export const about = "ws 8.23.0 with native bufferutil, no compression, plain ws://";
export const sealed = false;

const HIGH_WATER = 1024 * 1024;

/** @type {import("../lib/types.mjs").Adapter["listen"]} */
export async function listen({ onMessage, onConnection, count = 1 }) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("connection", (socket) => {
    socket.on("message", (data) => {
      if (data instanceof Uint8Array) onMessage(data, socket);
    });
    onConnection();
  });
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    addresses: Array.from({ length: count }, () => `ws://127.0.0.1:${port}`),
    reply: (source, body) => {
      if (source instanceof WebSocket) source.send(body);
    },
    close: async () => {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}

/** @type {import("../lib/types.mjs").Adapter["createDialer"]} */
export async function createDialer() {
  return {
    async connect(address) {
      const socket = new WebSocket(String(address), { perMessageDeflate: false });
      const asked = new OneRequest();
      socket.on("message", (data) => {
        if (data instanceof Uint8Array) asked.onMessage(data);
      });
      await once(socket, "open");
      /** @type {Promise<void>} */
      let drained = Promise.resolve();
      return {
        send(body) {
          if (socket.bufferedAmount < HIGH_WATER) {
            socket.send(body);
            return true;
          }
          drained = new Promise((resolve) => socket.send(body, () => resolve()));
          return false;
        },
        drain: () => drained,
        request: (body) => asked.ask(() => socket.send(body)),
        close: () =>
          new Promise((resolve) => {
            socket.once("close", () => resolve());
            socket.close();
          }),
      };
    },
    close: async () => {},
  };
}
