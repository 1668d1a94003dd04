/**
 * Dials: concurrent dials of one address, or of one id, are one dial.
 */

import type { Address } from "./address.ts";
import type { PeerId } from "./identity.ts";
import type { LivePeer } from "./peer.ts";

/** Where to, or to whom. */
export type Target = Address | PeerId;

export interface DialTerms {
  readonly signal: AbortSignal;
  /** A peer that we have goes over to the new stream. */
  readonly moves: boolean;
  /** Whether, as of now, nobody who waits for this dial wants the peer to stay. */
  readonly passing: () => boolean;
}

export interface JoinOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default: false. */
  readonly moves?: boolean;
  /** Default: false. */
  readonly passing?: boolean;
}

interface Dial {
  readonly peer: Promise<LivePeer>;
  readonly cancel: AbortController;
  callers: number;
  /** Those of them that want the peer to stay. */
  lasting: number;
}

type Start = (target: Target, terms: DialTerms) => Promise<LivePeer>;

export class Dials {
  readonly #start: Start;
  readonly #underWay = new Map<string, Dial>();

  constructor(start: Start) {
    this.#start = start;
  }

  /** The dial of this target, begun now or by an earlier caller. A caller's signal ends the caller's wait; the last one's ends the dial. */
  join(target: Target, options: JoinOptions = {}): Promise<LivePeer> {
    const { signal, moves = false, passing = false } = options;
    const dial = this.#dial(target, moves);
    dial.callers++;
    if (!passing) dial.lasting++;
    if (signal === undefined) return dial.peer;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (!passing) dial.lasting--;
        if (--dial.callers === 0) dial.cancel.abort(signal.reason);
        reject(signal.reason);
      };
      const done = (): void => signal.removeEventListener("abort", onAbort);
      dial.peer.finally(done).then(resolve, reject);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  /** Ends the dial of this address or id for everybody, if there is one; only then the reason is made. */
  cancel(target: string, reason: () => Error): void {
    for (const moves of [false, true]) {
      this.#underWay.get(keyOf(target, moves))?.cancel.abort(reason());
    }
  }

  cancelAll(reason: Error): void {
    for (const { cancel } of this.#underWay.values()) cancel.abort(reason);
  }

  #dial(target: Target, moves: boolean): Dial {
    const key = keyOf(target.text, moves);
    const present = this.#underWay.get(key);
    if (present !== undefined && !present.cancel.signal.aborted) return present;
    const cancel = new AbortController();
    const passing = (): boolean => dial.lasting === 0;
    const peer = this.#start(target, { signal: cancel.signal, moves, passing });
    const dial: Dial = { peer, cancel, callers: 0, lasting: 0 };
    this.#underWay.set(key, dial);
    const forget = (): void => {
      if (this.#underWay.get(key) === dial) this.#underWay.delete(key);
    };
    dial.peer.then(forget, forget);
    return dial;
  }
}

/** No address begins with a blank. */
function keyOf(target: string, moves: boolean): string {
  return moves ? ` ${target}` : target;
}
