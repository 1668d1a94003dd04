/**
 * multiserver with net and shs (secret-handshake 1, box stream), as Secure Scuttlebutt uses it.
 *
 * With TCP_NODELAY, which it does not set itself; `multiserver-published` is the one without.
 */

import { Deframer, frame, frameHeader } from "../lib/framing.mjs";
import {
  createMultiserver,
  dialMultiserver,
  forceNoDelay,
  serveMultiserver,
} from "../lib/multiserver-node.mjs";
import { OneRequest } from "../lib/one-request.mjs";

export const about =
  "multiserver 3.8.2, net~shs, chloride 2.4.1 on native sodium 3.4.1, TCP_NODELAY forced";
export const sealed = true;

const HIGH_WATER = 1024 * 1024;
/** A box holds this much; larger messages go without the copy that joins them to their length. */
const BOX = 4096;

forceNoDelay();

/** Runs a pull-stream duplex: what is sent is pulled from a queue, what arrives is cut into messages. */
class PullLink {
  /** @type {Uint8Array[]} */
  #queue = [];
  #head = 0;
  #bytes = 0;
  #ended = false;
  /** @type {((end: unknown, data?: Uint8Array) => void) | undefined} */
  #pull;
  /** @type {(() => void) | undefined} */
  #drained;
  /** @type {() => void} */
  #closed = () => {};
  closed = new Promise((resolve) => {
    this.#closed = () => resolve(undefined);
  });

  /**
   * @param {any} duplex
   * @param {(body: Uint8Array, link: PullLink) => void} onMessage
   */
  constructor(duplex, onMessage) {
    const deframer = new Deframer((body) => onMessage(body, this));
    duplex.sink((/** @type {unknown} */ end, /** @type {any} */ callback) => {
      this.#pull = callback;
      if (end) callback(end);
      else this.#serve();
    });
    // Loops while answers are immediate, so that a run of chunks never deepens the stack.
    let reading = false;
    let again = false;
    const read = () => {
      again = true;
      if (reading) return;
      reading = true;
      while (again) {
        again = false;
        duplex.source(null, (/** @type {unknown} */ end, /** @type {Uint8Array} */ chunk) => {
          if (end) {
            this.end();
            this.#closed();
            return;
          }
          deframer.push(chunk);
          read();
        });
      }
      reading = false;
    };
    read();
  }

  #serve() {
    const pull = this.#pull;
    if (pull === undefined) return;
    const next = this.#queue[this.#head];
    if (next === undefined) {
      if (!this.#ended) return;
      this.#pull = undefined;
      pull(true);
      return;
    }
    this.#pull = undefined;
    if (++this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    }
    this.#bytes -= next.length;
    if (this.#bytes < HIGH_WATER / 2) {
      this.#drained?.();
      this.#drained = undefined;
    }
    pull(null, next);
  }

  /** @param {Uint8Array} body */
  send(body) {
    if (body.length < BOX) this.#queue.push(frame(body));
    else this.#queue.push(frameHeader(body.length), body);
    this.#bytes += body.length + 4;
    this.#serve();
    return this.#bytes < HIGH_WATER;
  }

  /** @returns {Promise<void>} */
  drain() {
    if (this.#bytes < HIGH_WATER / 2) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  end() {
    this.#ended = true;
    this.#serve();
  }
}

/** @type {import("../lib/types.mjs").Adapter["listen"]} */
export async function listen({ onMessage, onConnection, count = 1 }) {
  const { address, close } = await serveMultiserver((duplex) => {
    new PullLink(duplex, onMessage);
    onConnection();
  });
  return {
    addresses: Array.from({ length: count }, () => address),
    reply: (source, body) => {
      if (source instanceof PullLink) source.send(body);
    },
    close: async () => close(),
  };
}

/** @type {import("../lib/types.mjs").Adapter["createDialer"]} */
export async function createDialer() {
  const node = createMultiserver(1);
  return {
    async connect(address) {
      const duplex = await dialMultiserver(node, address);
      const asked = new OneRequest();
      const link = new PullLink(duplex, asked.onMessage);
      return {
        send: (body) => link.send(body),
        drain: () => link.drain(),
        request: (body) => asked.ask(() => link.send(body)),
        close: async () => {
          link.end();
          await link.closed;
        },
      };
    },
    close: async () => {},
  };
}
