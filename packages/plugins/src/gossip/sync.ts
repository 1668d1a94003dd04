/**
 * Sync: what two nodes lack of each other. Anti-entropy, by reconciliation with one peer at a time.
 *
 * Every `everyMs` with a random peer, and soon with a new neighbour: who comes late gets what the others have, and so
 * do the sides of a partition that healed. It is the asker who works: it asks range by range, wants what it
 * lacks, and brings what the other lacks, a bounded part of it at a time. Two that have the same are done with one
 * question of a few hundred bytes.
 */

import { type Network, NetworkError, type Peer, randomInteger, type Timer } from "@testudo/core";
import {
  type Brought,
  ItemsMessage,
  MAX_WANTED,
  ReconcileMessage,
  ReconcileReply,
  WantMessage,
} from "./messages.ts";
import { Reconciliation } from "./reconcile.ts";
import type { Window } from "./window.ts";

export interface SyncOptions {
  readonly network: Network;
  readonly window: Window;
  readonly everyMs: number;
  /** Of one question, and of all of one reconciliation together. */
  readonly questionMs: number;
  readonly patienceMs: number;
  /** Of bodies, each way, in one reconciliation. */
  readonly maxBytes: number;
  /** Somebody to reconcile with. */
  readonly any: () => Peer | undefined;
  /** Whether it answered what it was asked. */
  readonly answered: (peer: Peer, did: boolean) => void;
  readonly take: (peer: Peer, brought: readonly Brought[]) => void;
}

/** Of bodies in one message. */
const PART_BYTES = 131_072;
const HEADER_BYTES = 8;
/** Neighbours that wait for their turn. */
const MAX_WAITING = 8;
/** Others that are asked at once after one that did not answer. */
const MAX_OTHERS = 3;
/** So many items are brought as fast as they can; from there on there is a pause after each message. */
const AT_ONCE = 2_000;
const BRING_PAUSE_MS = 300;
/** When not all that came was taken. */
const WANT_PAUSE_MS = 1_000;
/** With a new neighbour, again when what was under way as it came has settled. */
const AGAIN_MS = 1_500;

export class Sync {
  readonly #options: SyncOptions;
  readonly #waiting = new Set<Peer>();
  readonly #closed = new AbortController();
  /** When we last reconciled with whom. */
  readonly #times = new WeakMap<Peer, number>();
  #again: Timer | undefined;
  /** Ends the pause that a reconciliation is in. */
  #resume: (() => void) | undefined;
  #newcomers: Peer[] = [];
  /** In a row. */
  #unanswered = 0;
  #busy = false;
  #timer: Timer | undefined;

  constructor(options: SyncOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** A new neighbour: at once by who has nothing, and when what is under way has settled. */
  meet(peer: Peer): void {
    const { network, window, everyMs } = this.#options;
    const last = this.#times.get(peer);
    if (last !== undefined && network.runtime.now() - last < everyMs) return;
    if (window.size === 0) this.with(peer);
    if (this.#newcomers.length >= MAX_WAITING || this.#closed.signal.aborted) return;
    this.#newcomers.push(peer);
    this.#again ??= network.runtime.setTimer(() => {
      this.#again = undefined;
      for (const each of this.#newcomers.splice(0)) this.with(each);
    }, AGAIN_MS);
  }

  /** As soon as there is time. */
  with(peer: Peer): void {
    if (this.#waiting.size >= MAX_WAITING || this.#closed.signal.aborted) return;
    this.#waiting.add(peer);
    void this.#run();
  }

  left(peer: Peer): void {
    this.#waiting.delete(peer);
  }

  /** Holds no timer afterwards. */
  close(): void {
    this.#closed.abort(new Error("gossip is closing"));
    this.#waiting.clear();
    this.#timer?.cancel();
    this.#again?.cancel();
    this.#resume?.();
  }

  /** What we have of what a peer wants: as much as one message may hold. */
  answer(wanted: readonly string[]): Brought[] {
    const { window, network } = this.#options;
    const now = network.runtime.now();
    const brought: Brought[] = [];
    let bytes = 0;
    for (const id of wanted) {
      const item = window.get(id);
      if (item === undefined) continue;
      bytes += HEADER_BYTES + item.bytes.length;
      if (bytes > PART_BYTES && brought.length > 0) break;
      brought.push({ ageMs: Math.min(window.ageOf(id, now), 2 ** 32 - 1), item: item.bytes });
    }
    return brought;
  }

  #schedule(): void {
    const { network, everyMs } = this.#options;
    // Not all nodes of a network in one moment.
    const delayMs = everyMs / 2 + randomInteger(network.runtime, Math.floor(everyMs) + 1);
    this.#timer = network.runtime.setTimer(() => {
      this.#schedule();
      this.#options.window.expire(network.runtime.now());
      const peer = this.#options.any();
      if (peer !== undefined) this.with(peer);
    }, delayMs);
  }

  async #run(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (const peer of this.#waiting) {
        this.#waiting.delete(peer);
        if (!peer.connected) continue;
        try {
          await this.#reconcile(peer);
          this.#unanswered = 0;
          this.#options.answered(peer, true);
        } catch (error) {
          this.#failed(peer, error);
        }
        if (this.#closed.signal.aborted) break;
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Whoever stays silent costs this round nothing but the time: somebody else is asked. */
  #failed(peer: Peer, error: unknown): void {
    const { network, any, answered } = this.#options;
    network.logger.debug({ peer: peer.id.text, error }, "a reconciliation ended early");
    if (!(error instanceof NetworkError && error.code === "REQUEST_TIMEOUT")) return;
    answered(peer, false);
    const other = this.#unanswered < MAX_OTHERS ? any() : undefined;
    this.#unanswered = other === undefined ? 0 : this.#unanswered + 1;
    if (other !== undefined) this.with(other);
  }

  async #reconcile(peer: Peer): Promise<void> {
    const { window, network, questionMs, patienceMs } = this.#options;
    const until = network.runtime.now() + patienceMs;
    const { signal } = this.#closed;
    this.#times.set(peer, network.runtime.now());
    window.settle(network.runtime.now());
    const reconciliation = new Reconciliation({ own: window.ids });
    for (let asked = reconciliation.next(); asked !== undefined; asked = reconciliation.next()) {
      const terms = { signal, timeoutMs: questionMs };
      const answered = await peer.request(ReconcileMessage.of(asked), ReconcileReply, terms);
      try {
        reconciliation.take(answered);
      } catch (error) {
        peer.close({ code: "BODY_MALFORMED", text: "gossip: an answer that does not fit" });
        throw error;
      }
      if (network.runtime.now() >= until) break;
    }
    await this.#want(peer, reconciliation.need, until);
    await this.#bring(peer, reconciliation.have, until);
  }

  async #want(peer: Peer, ids: readonly string[], until: number): Promise<void> {
    const { network, window, questionMs, maxBytes, take } = this.#options;
    const { signal } = this.#closed;
    let left = ids.filter((id) => !window.has(id));
    let bytes = 0;
    while (left.length > 0 && bytes < maxBytes && network.runtime.now() < until) {
      const asked = left.slice(0, MAX_WANTED);
      const terms = { signal, timeoutMs: questionMs };
      const brought = await peer.request(WantMessage.of(asked), ItemsMessage, terms);
      // What it did not have is not asked again; what did not fit is.
      if (brought.length === 0) left = left.slice(asked.length);
      for (const { item } of brought) bytes += item.length;
      const before = left.length;
      take(peer, brought);
      left = left.filter((id) => !window.has(id));
      const took = before - left.length;
      if (took >= brought.length) continue;
      // In its order, so that gaps are few (seen.ts): as long as some are taken, the others are beyond our budget.
      if (took === 0) left = left.slice(brought.length);
      await this.#pause(WANT_PAUSE_MS);
    }
  }

  async #bring(peer: Peer, ids: readonly string[], until: number): Promise<void> {
    const { network, maxBytes } = this.#options;
    let bytes = 0;
    let sent = 0;
    for (let at = 0; at < ids.length && bytes < maxBytes; ) {
      if (network.runtime.now() >= until || this.#closed.signal.aborted || !peer.connected) return;
      const asked = ids.slice(at, at + MAX_WANTED);
      const brought = this.answer(asked);
      // All that are gone from the window meanwhile, or the part that fits.
      at += brought.length === 0 ? asked.length : this.#reach(asked, brought);
      for (const { item } of brought) bytes += item.length;
      if (brought.length > 0) await peer.send(ItemsMessage.of(brought));
      sent += brought.length;
      if (sent >= AT_ONCE && at < ids.length) await this.#pause(BRING_PAUSE_MS);
    }
  }

  /** Whoever takes it has a budget for what we bring (conduct.ts), and so do we. */
  #pause(ms: number): Promise<void> {
    if (this.#closed.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.#resume = undefined;
        resolve();
      };
      const timer = this.#options.network.runtime.setTimer(done, ms);
      this.#resume = done;
    });
  }

  /** How far into `asked` the answer went. */
  #reach(asked: readonly string[], brought: readonly Brought[]): number {
    const last = brought.at(-1)?.item;
    const at = asked.findIndex((id) => this.#options.window.get(id)?.bytes === last);
    return at + 1;
  }
}
