/**
 * The original: multiserver with net and shs as published, and the one option it leaves out.
 */

import { randomBytes } from "node:crypto";
import net from "node:net";
import chloride from "chloride";
import MultiServer from "multiserver";
import Net from "multiserver/plugins/net.js";
import Shs from "multiserver/plugins/shs.js";

const APP_KEY = Buffer.alloc(32, 7);
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * A node with a key of its own that admits everybody.
 * @param {number} port
 */
export function createMultiserver(port) {
  const keys = chloride.crypto_sign_seed_keypair(randomBytes(32));
  return MultiServer([
    [
      Net({ host: "127.0.0.1", port, scope: "device" }),
      Shs({
        keys,
        appKey: APP_KEY,
        timeout: HANDSHAKE_TIMEOUT_MS,
        auth: (/** @type {unknown} */ _key, /** @type {any} */ done) => done(null, true),
      }),
    ],
  ]);
}

/**
 * Listens on a free port; `onStream` gets each pull-stream duplex.
 * @param {(duplex: any) => void} onStream
 * @returns {Promise<{ address: string, close: () => void }>}
 */
export async function serveMultiserver(onStream) {
  const server = createMultiserver(await freePort());
  /** @type {() => void} */
  const close = await new Promise((resolve, reject) => {
    const stop = server.server(onStream, null, (/** @type {Error | undefined} */ error) =>
      error ? reject(error) : resolve(() => stop()),
    );
  });
  return { address: server.stringify("device"), close };
}

/**
 * @param {ReturnType<typeof createMultiserver>} node
 * @param {unknown} address
 * @returns {Promise<any>}
 */
export function dialMultiserver(node, address) {
  return new Promise((resolve, reject) => {
    node.client(address, (/** @type {Error | null} */ error, /** @type {unknown} */ duplex) =>
      error ? reject(error) : resolve(duplex),
    );
  });
}

/**
 * Sets TCP_NODELAY on all sockets of this process. The original never does, and writes a box in two parts:
 * 88 ms a round trip. Forced from outside where a comparison is to be with the code and not with that omission.
 */
export function forceNoDelay() {
  const { createServer, connect } = net;
  net.createServer = /** @type {any} */ (
    (/** @type {any} */ options, /** @type {any} */ handler) =>
      createServer({ ...options, noDelay: true }, handler)
  );
  net.connect = /** @type {any} */ (
    (/** @type {any} */ options) => connect({ ...options, noDelay: true })
  );
}

/** multiserver takes port 0 for "any of the dynamic ones", without looking. */
async function freePort() {
  const probe = net.createServer({});
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
