/**
 * Spreading: what the plugin asks of a way to spread messages over links. `Plumtree`, `Flood` and `Delegation` are
 * three such ways, all machines.
 */

import type { Announcement } from "./plumtree.ts";

export interface Spreading<P> {
  /** Links that payload goes to. */
  readonly eager: ReadonlySet<string>;
  /** When `poll` has something to do, in ms. */
  readonly deadline: number | undefined;
  up(peer: string): void;
  down(peer: string): void;
  /** Spreads a message of ours. Returns to how many peers it was pushed. */
  broadcast(id: string, payload: P, now: number): number;
  /** Returns whether the message was new. `hops` is 1 from the origin; `Delegation` counts depth in it. */
  receivePush(from: string, id: string, payload: P, hops: number, now: number): boolean;
  receiveAnnounce(from: string, entries: readonly Announcement[], now: number): void;
  receivePrune(from: string, now: number): void;
  receiveGraft(from: string, id: string | undefined, hops: number, now: number): void;
  /** Whether it was asked for, or will be: announced, and not come. */
  awaits?(id: string): boolean;
  /** It came, and is not taken: nobody is asked for it any more. */
  refuse?(id: string): void;
  /** Does what is due. Returns when to be called next, in ms. */
  poll(now: number): number | undefined;
}

/** What `Flood` and `Delegation` call; `TreeOut` fits. */
export interface SpreadingOut<P> {
  /** Once for every message of others. */
  deliver(id: string, payload: P, from: string, hops: number): void;
  push(to: string, id: string, payload: P, hops: number): void;
}

/** Which ids were seen, the last `most` of them. */
export class LastIds {
  readonly #most: number;
  readonly #ids = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** False when it is among them. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false;
    if (this.#ids.size >= this.#most) {
      for (const oldest of this.#ids) {
        this.#ids.delete(oldest);
        break;
      }
    }
    this.#ids.add(id);
    return true;
  }
}
