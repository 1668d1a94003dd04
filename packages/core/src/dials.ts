/**
 * Dials: concurrent dials of one address are one dial.
 */

import type { Address } from "./address.ts";
import type { LivePeer } from "./peer.ts";

interface Dial {
  readonly peer: Promise<LivePeer>;
  readonly cancel: AbortController;
  callers: number;
}

/** `moves`: a peer that we have goes over to the new stream. */
type Start = (address: Address, signal: AbortSignal, moves: boolean) => Promise<LivePeer>;

export class Dials {
  readonly #start: Start;
  readonly #underWay = new Map<string, Dial>();

  constructor(start: Start) {
    this.#start = start;
  }

  /** The dial of this address, begun now or by an earlier caller. A caller's signal ends the caller's wait; the last one's ends the dial. */
  join(address: Address, signal?: AbortSignal, moves: boolean = false): Promise<LivePeer> {
    const dial = this.#dial(address, moves);
    dial.callers++;
    if (signal === undefined) return dial.peer;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (--dial.callers === 0) dial.cancel.abort(signal.reason);
        reject(signal.reason);
      };
      const done = (): void => signal.removeEventListener("abort", onAbort);
      dial.peer.finally(done).then(resolve, reject);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  /** Ends the dial of this address for everybody, if there is one; only then the reason is made. */
  cancel(address: string, reason: () => Error): void {
    for (const moves of [false, true]) {
      this.#underWay.get(keyOf(address, moves))?.cancel.abort(reason());
    }
  }

  cancelAll(reason: Error): void {
    for (const { cancel } of this.#underWay.values()) cancel.abort(reason);
  }

  #dial(address: Address, moves: boolean): Dial {
    const key = keyOf(address.text, moves);
    const present = this.#underWay.get(key);
    if (present !== undefined && !present.cancel.signal.aborted) return present;
    const cancel = new AbortController();
    const dial: Dial = { peer: this.#start(address, cancel.signal, moves), cancel, callers: 0 };
    this.#underWay.set(key, dial);
    const forget = (): void => {
      if (this.#underWay.get(key) === dial) this.#underWay.delete(key);
    };
    dial.peer.then(forget, forget);
    return dial;
  }
}

/** No address begins with a blank. */
function keyOf(address: string, moves: boolean): string {
  return moves ? ` ${address}` : address;
}
