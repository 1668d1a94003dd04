/**
 * Passing peers: closes those that were met in passing and that nobody uses any more
 * (docs/decisions/0011-peers-in-passing.md).
 *
 * The side that dialled closes first, so that it never asks over a stream that the other is just closing. The
 * other side waits three times as long, for dialers that forget. One timer for each of the two, however many peers.
 */

import { Deadlines } from "./deadlines.ts";
import type { LivePeer } from "./peer.ts";
import type { Runtime } from "./runtime.ts";

/** How many times longer than a dialer its listener waits. */
export const LISTENER_PATIENCE = 3;

export class PassingPeers {
  readonly #peers = new Set<LivePeer>();
  readonly #dialled: Deadlines<LivePeer>;
  readonly #arrived: Deadlines<LivePeer>;

  constructor(runtime: Runtime, idleMs: number) {
    const late = (peer: LivePeer): void => this.#late(peer);
    this.#dialled = new Deadlines(runtime, idleMs, late);
    this.#arrived = new Deadlines(runtime, LISTENER_PATIENCE * idleMs, late);
  }

  /** Somebody used it: its time begins anew. One that is lasting, or not in the table, has none. */
  used(peer: LivePeer): void {
    if (!peer.passing || !peer.connected) {
      this.forget(peer);
      return;
    }
    this.#peers.add(peer);
    this.#drop(peer);
    (peer.side === "dialer" ? this.#dialled : this.#arrived).add(peer);
  }

  /** It left, or stays for good. Without passing peers there is no timer. */
  forget(peer: LivePeer): void {
    if (!this.#peers.delete(peer)) return;
    this.#drop(peer);
    if (this.#peers.size > 0) return;
    this.#dialled.clear();
    this.#arrived.clear();
  }

  /** A move may have made the other side the dialer. */
  #drop(peer: LivePeer): void {
    this.#dialled.delete(peer);
    this.#arrived.delete(peer);
  }

  #late(peer: LivePeer): void {
    if (peer.inUse) this.used(peer);
    else peer.close({ code: "STREAM_CLOSED", text: "met in passing, and not used any more" });
  }
}
