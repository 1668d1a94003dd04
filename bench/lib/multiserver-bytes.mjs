/**
 * What `multiserver-published` and `multiserver-nodelay` share: the original as a pipe of bytes. Its
 * listener joins each duplex to itself, which is how its own documentation echoes.
 */

import { createMultiserver, dialMultiserver, serveMultiserver } from "./multiserver-node.mjs";

/** @type {import("./types.mjs").ByteAdapter["listen"]} */
export async function listen({ onConnection }) {
  const { address, close } = await serveMultiserver((duplex) => {
    onConnection();
    duplex.sink(duplex.source);
  });
  return { addresses: [address], close: async () => close() };
}

/** @type {import("./types.mjs").ByteAdapter["createDialer"]} */
export async function createDialer() {
  const node = createMultiserver(1);
  return {
    connect: async (address) => new PullPipe(await dialMultiserver(node, address)),
    close: async () => {},
  };
}

/** One duplex: gives out its body as often as it is pulled, and counts what comes back. */
class PullPipe {
  /** @type {((end: unknown, data?: Uint8Array) => void) | undefined} */
  #pull;
  /** @type {Uint8Array} */
  #body = Buffer.alloc(0);
  #left = 0;
  #ending = false;
  #missing = 0;
  /** @type {() => void} */
  #all = () => {};
  /** @type {(error: unknown) => void} */
  #cut = () => {};
  /** Settles with the other side's goodbye, or with why there is none. @type {Promise<void>} */
  #ended;

  /** @param {any} duplex */
  constructor(duplex) {
    duplex.sink((/** @type {unknown} */ end, /** @type {any} */ callback) => {
      this.#pull = callback;
      if (end) callback(end);
      else this.#serve();
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#read(duplex.source, (end) => (end === true ? resolve() : reject(end)));
    });
    this.#ended.then(
      () => this.#cut(new Error("the other side ended within an echo")),
      (error) => this.#cut(error),
    );
  }

  /**
   * Loops while answers are immediate, so that a run of chunks never deepens the stack.
   * @param {any} source
   * @param {(end: unknown) => void} over
   */
  #read(source, over) {
    let reading = false;
    let again = false;
    const read = () => {
      again = true;
      if (reading) return;
      reading = true;
      while (again) {
        again = false;
        source(null, (/** @type {unknown} */ end, /** @type {Uint8Array} */ chunk) => {
          if (end) {
            over(end);
            return;
          }
          this.#missing -= chunk.length;
          if (this.#missing === 0) this.#all();
          read();
        });
      }
      reading = false;
    };
    read();
  }

  #serve() {
    const pull = this.#pull;
    if (pull === undefined || (this.#left === 0 && !this.#ending)) return;
    this.#pull = undefined;
    if (this.#left === 0) {
      pull(true);
      return;
    }
    this.#left--;
    pull(null, this.#body);
  }

  /**
   * @param {Uint8Array} body
   * @param {number} times
   * @returns {Promise<any>}
   */
  echo(body, times) {
    const echoed = new Promise((resolve, reject) => {
      this.#all = () => resolve(undefined);
      this.#cut = reject;
    });
    this.#missing = body.length * times;
    this.#body = body;
    this.#left = times;
    this.#serve();
    return echoed;
  }

  /** @returns {Promise<void>} */
  close() {
    this.#ending = true;
    this.#serve();
    return this.#ended;
  }
}
