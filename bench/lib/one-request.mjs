/**
 * Request and reply over a link that only has messages: the next message that comes is the answer. One
 * request at a time, no ids, so it flatters every peer that has no request of its own.
 */

export class OneRequest {
  /** @type {((body: Uint8Array) => void) | undefined} */
  #waiting;

  /** @param {Uint8Array} body */
  onMessage = (body) => {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(body);
  };

  /**
   * @param {() => void} send
   * @returns {Promise<Uint8Array>}
   */
  ask(send) {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      send();
    });
  }
}
