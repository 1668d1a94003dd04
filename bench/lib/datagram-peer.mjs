/**
 * Plain UDP of node:dgram: the limit for whatever runs above it. So that nothing is lost, the listener says now and
 * then how much it has, and the dialer never has more under way than the listener's socket holds. A datagram that
 * is lost all the same fails the measurement, since the bytes never add up.
 */

import { createSocket } from "node:dgram";
import { once } from "node:events";

const KERNEL_BUFFER_BYTES = 4 * 1024 * 1024;
const MOST_WINDOW = 2 * 1024 * 1024;
/** The kernel counts a small datagram for more than it holds. */
const WINDOW_PER_BUFFER = 1 / 4;
/** The listener speaks up so many times a window. */
const WORDS = 8;

/**
 * @param {number} size  Bytes of a full datagram.
 * @returns {Pick<import("./types.mjs").FlowAdapter, "listen" | "createDialer">}
 */
export function datagramPeer(size) {
  return {
    async listen({ onConnection, onBytes, echo = false }) {
      const socket = await bound();
      const window = Math.min(MOST_WINDOW, socket.getRecvBufferSize() * WINDOW_PER_BUFFER);
      let received = 0;
      let said = 0;
      socket.on("message", (datagram, { port, address }) => {
        if (received === 0) onConnection();
        received += datagram.length;
        onBytes(datagram.length);
        if (echo) socket.send(datagram, port, address);
        else if (received - said >= window / WORDS) {
          said = received;
          const word = Buffer.allocUnsafe(8);
          word.writeDoubleLE(received, 0);
          socket.send(word, port, address);
        }
      });
      return {
        addresses: [{ port: socket.address().port, window }],
        close: async () => {
          socket.close();
        },
      };
    },

    async createDialer() {
      return {
        async connect(address) {
          const { port, window } = /** @type {{ port: number, window: number }} */ (address);
          const socket = await bound();
          const connected = once(socket, "connect");
          socket.connect(port, "127.0.0.1");
          await connected;
          let sent = 0;
          let arrived = 0;
          let echoing = false;
          let answered = () => {};
          socket.on("message", (answer) => {
            if (!echoing) arrived = answer.readDoubleLE(0);
            answered();
          });
          return {
            send(body) {
              for (let at = 0; at < body.length; at += size) {
                socket.send(body, at, Math.min(size, body.length - at));
              }
              sent += body.length;
              return sent - arrived < window;
            },
            async drain() {
              while (sent - arrived >= window) {
                await new Promise((resolve) => {
                  answered = () => resolve(undefined);
                });
              }
            },
            echo(body) {
              echoing = true;
              const echoed = new Promise((resolve) => {
                answered = () => resolve(undefined);
              });
              socket.send(body);
              return /** @type {Promise<any>} */ (echoed);
            },
            packetBytes: () => size,
            close: async () => {
              socket.close();
            },
          };
        },
        close: async () => {},
      };
    },
  };
}

async function bound() {
  const socket = createSocket({
    type: "udp4",
    recvBufferSize: KERNEL_BUFFER_BYTES,
    sendBufferSize: KERNEL_BUFFER_BYTES,
    // Addresses are IPs already: Node's own look-up would cost a turn for each datagram.
    lookup: (host, _options, found) => found(null, host, 4),
  });
  const listening = once(socket, "listening");
  socket.bind(0, "127.0.0.1");
  await listening;
  return socket;
}
