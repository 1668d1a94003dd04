/**
 * Testudo in the original's place: `MultiServer` over net~shs, bytes and no messages.
 */

import { MultiServer } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { shs } from "@testudo/transports/shs";

export const about = "Testudo, MultiServer over net~shs, its defaults; maxPeers raised";
export const sealed = true;

const APP_KEY = Buffer.alloc(32, 7);

function createNode() {
  return new MultiServer(
    [[net({ host: "127.0.0.1", port: 0 }), shs({ appKey: APP_KEY, authenticate: () => true })]],
    { limits: { maxPeers: 100_000 } },
  );
}

/** @type {import("../lib/types.mjs").ByteAdapter["listen"]} */
export async function listen({ onConnection }) {
  const serving = await createNode().server(async (stream) => {
    onConnection();
    for await (const chunk of stream) {
      if (!stream.write(chunk)) await stream.drain();
    }
    await stream.close();
  });
  return { addresses: [...serving.addresses], close: () => serving.close() };
}

/** @type {import("../lib/types.mjs").ByteAdapter["createDialer"]} */
export async function createDialer() {
  const node = createNode();
  return {
    connect: async (address) => new EchoPipe(await node.client(String(address))),
    close: async () => {},
  };
}

/** One stream: writes its body as often as it is asked, and counts what comes back. */
class EchoPipe {
  #stream;
  #missing = 0;
  /** @type {() => void} */
  #all = () => {};
  /** @type {(error: unknown) => void} */
  #cut = () => {};
  /** Settles with the other side's goodbye, or with why there is none. @type {Promise<void>} */
  #ended;

  /** @param {import("@testudo/core").MultiStream} stream */
  constructor(stream) {
    this.#stream = stream;
    this.#ended = this.#read();
    this.#ended.then(
      () => this.#cut(new Error("the other side ended within an echo")),
      (error) => this.#cut(error),
    );
  }

  async #read() {
    for await (const chunk of this.#stream) {
      this.#missing -= chunk.length;
      if (this.#missing === 0) this.#all();
    }
  }

  /**
   * @param {Uint8Array} body
   * @param {number} times
   */
  async echo(body, times) {
    const echoed = new Promise((resolve, reject) => {
      this.#all = () => resolve(undefined);
      this.#cut = reject;
    });
    echoed.catch(() => {});
    this.#missing = body.length * times;
    for (let i = 0; i < times; i++) {
      if (!this.#stream.write(body)) await this.#stream.drain();
    }
    await echoed;
  }

  async close() {
    await this.#stream.end();
    await this.#ended;
  }
}
