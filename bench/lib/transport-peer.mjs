/**
 * A transport of Testudo by itself, as a flow of bytes: no transform, no frames, no plugins.
 */

import { hostAndPort, section } from "@testudo/core";

/**
 * @param {string} name
 * @param {() => import("@testudo/core").Transport} make
 * @returns {Pick<import("./types.mjs").FlowAdapter, "listen" | "createDialer">}
 */
export function transportPeer(name, make) {
  const at = (/** @type {number | string} */ port) => section(name, "127.0.0.1", String(port));
  return {
    async listen({ onConnection, onBytes, echo = false }) {
      const receive = async (/** @type {import("@testudo/core").Connection} */ connection) => {
        for await (const chunk of connection) {
          onBytes(chunk.length);
          if (echo && !connection.write(chunk)) await connection.drain();
        }
      };
      const listener = await make().listen?.(at(0), (connection) => {
        onConnection();
        // Every measurement ends with a cut.
        receive(connection).catch(() => {});
      });
      if (listener === undefined) throw new Error(`${name} does not listen`);
      return {
        addresses: [hostAndPort(listener.section).port],
        close: async () => {
          await listener.close();
        },
      };
    },

    async createDialer() {
      const transport = make();
      return {
        async connect(port) {
          const { signal } = new AbortController();
          const connection = await transport.dial(at(Number(port)), { signal });
          let missing = 0;
          let back = () => {};
          const read = async () => {
            for await (const chunk of connection) {
              missing -= chunk.length;
              if (missing === 0) back();
            }
          };
          read().catch(() => {});
          return {
            send: (body) => connection.write(body),
            drain: () => connection.drain(),
            echo(body) {
              const echoed = new Promise((resolve) => {
                back = () => resolve(undefined);
              });
              missing = body.length;
              connection.write(body);
              return echoed;
            },
            packetBytes: () => {
              const { statistics } = /** @type {any} */ (connection);
              return statistics?.mtu ?? 0;
            },
            close: async () => connection.abort(new Error("measured")),
          };
        },
        close: async () => {},
      };
    },
  };
}
