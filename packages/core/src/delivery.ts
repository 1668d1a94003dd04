/**
 * Delivery: what became of a broadcast.
 */

import type { NetworkError } from "./errors.ts";
import type { Batch } from "./outbox.ts";
import type { Peer } from "./peer.ts";

export interface DeliveryReport {
  readonly sent: Peer[];
  readonly failed: { peer: Peer | string; error: NetworkError }[];
  /** How far it went behind the neighbours. Only from plugins that disseminate: core itself cannot know. */
  readonly reach?: Reach;
}

/** What a plugin that disseminates can tell of a message's way. */
export interface Reach {
  /** Nodes known to have it, this one excepted. */
  readonly nodes: number;
  /** Whether they are all that there are, as far as the plugin knows. */
  readonly complete: boolean;
}

/** Returned at once by `broadcast`; ask `report()` only if you want to know. */
export interface Delivery {
  /** Peers whose queue has taken the message. */
  readonly queued: number;
  /** Once each peer's socket has taken it, or it is certain that it never will. Never rejects. */
  report(): Promise<DeliveryReport>;
}

/** A delivery to neighbours. */
export class PeerDelivery implements Delivery {
  /** Side by side, not in pairs: one of these is made for every broadcast to every peer. */
  readonly #peers: Peer[] = [];
  readonly #batches: Batch[] = [];
  readonly #failed: { peer: Peer | string; error: NetworkError }[] = [];
  readonly #later: Promise<void>[] = [];

  get queued(): number {
    return this.#peers.length;
  }

  add(peer: Peer, batch: Batch): void {
    this.#peers.push(peer);
    this.#batches.push(batch);
  }

  fail(peer: Peer | string, error: NetworkError): void {
    this.#failed.push({ peer, error });
  }

  /** Part of the delivery that is still being dialled; must not reject. */
  wait(later: Promise<void>): void {
    this.#later.push(later);
  }

  async report(): Promise<DeliveryReport> {
    await Promise.all(this.#later);
    const sent: Peer[] = [];
    const failed = [...this.#failed];
    for (const [index, peer] of this.#peers.entries()) {
      try {
        await this.#batches[index]?.sent;
        sent.push(peer);
      } catch (error) {
        failed.push({ peer, error: error as NetworkError });
      }
    }
    return { sent, failed };
  }
}
