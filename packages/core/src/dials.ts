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

export class Dials {
  readonly #start: (address: Address, signal: AbortSignal) => Promise<LivePeer>;
  readonly #underWay = new Map<string, Dial>();

  constructor(start: (address: Address, signal: AbortSignal) => Promise<LivePeer>) {
    this.#start = start;
  }

  /** The dial of this address, begun now or by an earlier caller. A caller's signal ends the caller's wait; the last one's ends the dial. */
  join(address: Address, signal?: AbortSignal): Promise<LivePeer> {
    const dial = this.#dial(address);
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
    this.#underWay.get(address)?.cancel.abort(reason());
  }

  cancelAll(reason: Error): void {
    for (const { cancel } of this.#underWay.values()) cancel.abort(reason);
  }

  #dial(address: Address): Dial {
    const present = this.#underWay.get(address.text);
    if (present !== undefined && !present.cancel.signal.aborted) return present;
    const cancel = new AbortController();
    const dial: Dial = { peer: this.#start(address, cancel.signal), cancel, callers: 0 };
    this.#underWay.set(address.text, dial);
    const forget = (): void => {
      if (this.#underWay.get(address.text) === dial) this.#underWay.delete(address.text);
    };
    dial.peer.then(forget, forget);
    return dial;
  }
}
