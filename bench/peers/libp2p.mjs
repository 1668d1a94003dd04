/**
 * libp2p for Node: one protocol stream a link, messages with a length in front.
 */

import { multiaddr } from "@multiformats/multiaddr";
import { Uint8ArrayList } from "uint8arraylist";
import { Deframer, frame, frameHeader } from "../lib/framing.mjs";
import { createNode } from "../lib/libp2p-node.mjs";
import { OneRequest } from "../lib/one-request.mjs";

export const about =
  "libp2p 3.3.11, @libp2p/tcp + @libp2p/noise (native) + @libp2p/yamux, connection limits raised, Promise.withResolvers polyfilled";
export const sealed = true;
/** The dial queue merges concurrent dials of one address. */
export const dialsPerDialer = 1;

const PROTOCOL = "/bench/1.0.0";
const JOIN_BELOW = 4096;

/**
 * @param {any} stream
 * @param {(body: Uint8Array) => void} onMessage
 */
function receive(stream, onMessage) {
  const deframer = new Deframer(onMessage);
  stream.addEventListener("message", (/** @type {any} */ event) => {
    if (event.data instanceof Uint8Array) deframer.push(event.data);
    else for (const chunk of event.data) deframer.push(chunk);
  });
}

/**
 * @param {any} stream
 * @param {Uint8Array} body
 * @returns {boolean}
 */
function send(stream, body) {
  if (body.length < JOIN_BELOW) return stream.send(frame(body));
  return stream.send(new Uint8ArrayList(frameHeader(body.length), body));
}

/**
 * `stream.onDrain()` hands out its first promise again and again, resolved; the event tells the truth.
 * @param {any} stream
 * @returns {Promise<void>}
 */
function drain(stream) {
  if (!stream.writableNeedsDrain) return Promise.resolve();
  return new Promise((resolve) => {
    stream.addEventListener("drain", () => resolve(), { once: true });
  });
}

/** @type {import("../lib/types.mjs").Adapter["listen"]} */
export async function listen({ onMessage, onConnection, count = 1 }) {
  const node = await createNode({ listen: true });
  node.addEventListener("connection:open", onConnection);
  await node.handle(PROTOCOL, (/** @type {any} */ stream) => {
    receive(stream, (body) => onMessage(body, stream));
  });
  const address = String(node.getMultiaddrs()[0]);
  return {
    addresses: Array.from({ length: count }, () => address),
    reply: (source, body) => {
      send(source, body);
    },
    close: () => node.stop(),
  };
}

/** @type {import("../lib/types.mjs").Adapter["createDialer"]} */
export async function createDialer() {
  const node = await createNode({ listen: false });
  return {
    async connect(address) {
      const connection = await node.dial(multiaddr(String(address)), { force: true });
      const asked = new OneRequest();
      /** @type {any} */
      let stream;
      return {
        async ready() {
          stream = await connection.newStream(PROTOCOL);
          receive(stream, asked.onMessage);
        },
        send: (body) => send(stream, body),
        drain: () => drain(stream),
        request: (body) => asked.ask(() => send(stream, body)),
        close: () => connection.close(),
      };
    },
    close: () => node.stop(),
  };
}
