/**
 * Route table: the peers that are alive, by id. A peer is in it exactly while it has its one live stream.
 */

import type { LivePeer } from "./peer.ts";
import { type Runtime, randomInteger } from "./runtime.ts";

export class RouteTable {
  readonly #peers = new Map<string, LivePeer>();

  get peers(): ReadonlyMap<string, LivePeer> {
    return this.#peers;
  }

  get size(): number {
    return this.#peers.size;
  }

  get(id: string): LivePeer | undefined {
    return this.#peers.get(id);
  }

  /** The edge in: the caller has made sure that nobody else holds this id. */
  add(peer: LivePeer): void {
    if (this.#peers.has(peer.id.text))
      throw new TypeError(`peer ${peer.id.short} is already in the table`);
    this.#peers.set(peer.id.text, peer);
    peer.connected = true;
  }

  /** The edge out. False when this very peer is not in the table. */
  delete(peer: LivePeer): boolean {
    if (this.#peers.get(peer.id.text) !== peer) return false;
    this.#peers.delete(peer.id.text);
    peer.connected = false;
    return true;
  }

  writable(): LivePeer[] {
    const peers: LivePeer[] = [];
    for (const peer of this.#peers.values()) if (peer.writable) peers.push(peer);
    return peers;
  }

  /** min(n, writable) distinct writable peers, every subset equally likely (Fisher-Yates, cut short). */
  sample(n: number, runtime: Runtime): LivePeer[] {
    const peers = this.writable();
    const count = Math.min(n, peers.length);
    for (let i = 0; i < count; i++) {
      const j = i + randomInteger(runtime, peers.length - i);
      const chosen = peers[j] as LivePeer;
      peers[j] = peers[i] as LivePeer;
      peers[i] = chosen;
    }
    return peers.slice(0, Math.max(count, 0));
  }
}
