/**
 * Conduct: what a peer may ask of us in a second, and what happens to one that keeps breaking the rules.
 *
 * What is beyond a budget is dropped. Misdeeds are weighed, and forgiven with time; a peer with too many of them is
 * closed, says why, and is not spoken to for ten minutes. Forging weighs most: whoever passes an item on has
 * checked it, so that a bad signature is always the doing of whom it came from.
 */

import type { Network, Peer } from "@testudo/core";
import { Budget } from "./budget.ts";

export interface ConductOptions {
  /** Items of one peer in a second; twice as many at once, as of all of these. Default 2,000. */
  readonly itemsPerSecond?: number;
  /** Bytes of items. Default 16 MiB. */
  readonly bytesPerSecond?: number;
  /** Messages of a reconciliation that we answer, and hellos. Default 20. */
  readonly questionsPerSecond?: number;
  /** Censuses. Default 20. */
  readonly censusesPerSecond?: number;
  /**
   * Origins that were not known, once the room for them is scarce; forty times as many at once. Default 25: few
   * enough that the floor of `seen.ts` stays behind all that is under way, whoever fills it.
   */
  readonly newOriginsPerSecond?: number;
}

export type Misdeed =
  | "a bad signature"
  | "promises that are not kept"
  | "more than its budget"
  | "more than can be taken in"
  | "pushing what is unwanted"
  | "a broken body";

const WEIGHTS: Readonly<Record<Misdeed, number>> = {
  "a bad signature": 4,
  "a broken body": 4,
  "more than its budget": 0.5,
  // Once a second at most, and forgiven in half of it: who passes on what others made up does as we do.
  "more than can be taken in": 0.05,
  "pushing what is unwanted": 0.25,
  "promises that are not kept": 0.25,
};
/** What is borne at once, and how much of it is forgiven in a second. */
const PATIENCE = 10;
const NEW_ORIGINS_AT_ONCE = 40;
const FORGIVEN = 0.1;
const BAN_MS = 600_000;
const MAX_BANNED = 1_024;

export class Conduct {
  readonly #network: Network;
  readonly #items: Budget;
  readonly #bytes: Budget;
  readonly #questions: Budget;
  readonly #censuses: Budget;
  readonly #newOrigins: Budget;
  readonly #reproaches: Budget = new Budget(1, 1);
  readonly #patience: Budget = new Budget(FORGIVEN, PATIENCE);
  readonly #banned = new Map<string, number>();

  constructor(network: Network, options: ConductOptions = {}) {
    this.#network = network;
    this.#items = new Budget(options.itemsPerSecond ?? 2_000);
    this.#bytes = new Budget(options.bytesPerSecond ?? 16_777_216);
    this.#questions = new Budget(options.questionsPerSecond ?? 20);
    this.#censuses = new Budget(options.censusesPerSecond ?? 20);
    const newOrigins = options.newOriginsPerSecond ?? 25;
    this.#newOrigins = new Budget(newOrigins, NEW_ORIGINS_AT_ONCE * newOrigins);
  }

  isBanned(id: string): boolean {
    const until = this.#banned.get(id);
    if (until === undefined) return false;
    if (until > this.#network.runtime.now()) return true;
    this.#banned.delete(id);
    return false;
  }

  /**
   * Whether a peer may bring so many items of so many bytes. What is brought late comes because somebody lacks it, as
   * much as there is: beyond the budget it waits for the next time, and that is hardly a misdeed.
   */
  mayBring(peer: Peer, items: number, bytes: number, late: boolean = false): boolean {
    const { text } = peer.id;
    const now = this.#network.runtime.now();
    const allowed = this.#items.take(text, now, items) && this.#bytes.take(text, now, bytes);
    return late ? this.#borne(peer, allowed) : this.#judged(peer, allowed);
  }

  /** Whether a peer may bring an origin that takes so much of the room that is scarce (`Seen.price`). */
  mayIntroduce(peer: Peer, price: number): boolean {
    const now = this.#network.runtime.now();
    return price === 0 || this.#borne(peer, this.#newOrigins.take(peer.id.text, now, price));
  }

  mayAsk(peer: Peer): boolean {
    return this.#judged(peer, this.#questions.take(peer.id.text, this.#network.runtime.now()));
  }

  mayCount(peer: Peer): boolean {
    return this.#judged(peer, this.#censuses.take(peer.id.text, this.#network.runtime.now()));
  }

  #judged(peer: Peer, allowed: boolean): boolean {
    if (!allowed) this.blame(peer, "more than its budget");
    return allowed;
  }

  #borne(peer: Peer, allowed: boolean): boolean {
    if (!allowed && this.#reproaches.take(peer.id.text, this.#network.runtime.now()))
      this.blame(peer, "more than can be taken in");
    return allowed;
  }

  blame(peer: Peer, misdeed: Misdeed): void {
    const now = this.#network.runtime.now();
    if (this.#patience.take(peer.id.text, now, WEIGHTS[misdeed])) return;
    if (this.#banned.size >= MAX_BANNED) {
      for (const oldest of this.#banned.keys()) {
        this.#banned.delete(oldest);
        break;
      }
    }
    this.#banned.set(peer.id.text, now + BAN_MS);
    this.#network.logger.warn({ peer: peer.id.text, misdeed }, "a peer is closed for its gossip");
    peer.close({ code: "PEER_REFUSED", text: `gossip: ${misdeed}` });
  }

  /** A peer left: its budgets start afresh; its misdeeds do not, nor that of origins, which are kept for long. */
  left(id: string): void {
    for (const budget of [this.#items, this.#bytes, this.#questions, this.#censuses])
      budget.delete(id);
  }
}
