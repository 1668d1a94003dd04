/**
 * Keeper: what a node of the overlay does by itself, on its own schedule and never because a stranger came:
 * joins, checks who is alive, refreshes buckets, tells its peers of a new record, puts values again, and
 * saves its table.
 *
 * One timer. Each turn starts at most one thing of a kind, and none while the last of its kind still runs.
 */

import {
  asError,
  deferred,
  type Network,
  NetworkError,
  networkError,
  type Peer,
  type Timer,
  toBase64,
} from "@testudo/core";
import type { Storage } from "../storage.ts";
import { type Acquaintance, chooseAnchors, LASTING_MS } from "./anchors.ts";
import { Bootstrap } from "./bootstrap.ts";
import type { NodeContact } from "./contacts.ts";
import { RecordNews } from "./messages.ts";
import { nodeIdIn } from "./node-id.ts";
import type { Overlay } from "./overlay.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  MAX_ANCHORS,
  MAX_KEPT_RECORDS,
  type Snapshot,
} from "./snapshot.ts";
import type { Store } from "./store.ts";
import type { Values } from "./values.ts";

export interface KeeperOptions {
  /** Addresses to join through. */
  readonly bootstrap: readonly string[];
  readonly storage: Storage | undefined;
  /** What the storage had. */
  readonly snapshot: Snapshot | undefined;
  /** Who was not heard of for so long is asked. */
  readonly checkMs: number;
  /** A bucket that nobody looked into for so long is looked into. */
  readonly refreshMs: number;
  readonly republishMs: number;
  /** At most so long between two saves of the table. */
  readonly saveMs: number;
}

/** Between two turns. */
const TURN_MS = 1_000;
/** Nodes asked in one turn whether they are alive, and as many of those that others named. */
const CHECKS_PER_TURN = 4;
/** Nodes kept from the last time that are dialled in one turn. */
const KEPT_PER_TURN = 8;
/** Until the table is saved for the first time; then each time twice as long, up to `saveMs`: a young one changes much. */
const FIRST_SAVE_MS = 5_000;
/** What has aged is thrown out so often. */
const EXPIRE_MS = 60_000;
/** Nodes that are tried again when the table has become empty. */
const MAX_LAST_KNOWN = 64;
const ID_BYTES = 32;
/** Addresses that others found wait for their turn. */
const MAX_FOUND = 64;

export class Keeper {
  readonly #overlay: Overlay;
  readonly #network: Network;
  readonly #store: Store;
  readonly #values: Values;
  readonly #options: KeeperOptions;
  readonly #closed = new AbortController();
  readonly #busy = new Set<string>();
  readonly #found = new Set<string>();
  #timer: Timer | undefined;
  readonly #joined = deferred<void>();
  /** Our own neighbourhood was looked up, since anybody is known. */
  #settled = false;
  #settledAt = 0;
  readonly #bootstrap: Bootstrap;
  /** Anchors of the last time that are to be dialled, before anything else is done. */
  #anchors: readonly Uint8Array[];
  readonly #startedAt: number;
  /** Since when somebody is a peer. */
  readonly #metAt = new WeakMap<Peer, number>();
  #savedAt: number;
  #saveInMs: number;
  #saving: Promise<void> | undefined;
  #expiredAt: number;
  #told = -1;
  /** Whom we knew last, most trusted or nearest first: as records. */
  #known: readonly Uint8Array[];
  /** Those of them that are still to be tried in this round. */
  #untried: readonly Uint8Array[];

  constructor(overlay: Overlay, store: Store, values: Values, options: KeeperOptions) {
    this.#overlay = overlay;
    this.#network = overlay.network;
    this.#store = store;
    this.#values = values;
    this.#options = options;
    this.#bootstrap = new Bootstrap(options.bootstrap, {
      dial: (address) => this.#dial(address),
      now: () => overlay.now,
      random: (bound) => overlay.random(bound),
      logger: this.#network.logger,
      signal: this.#closed.signal,
    });
    this.#startedAt = overlay.now;
    this.#savedAt = overlay.now;
    this.#saveInMs = Math.min(FIRST_SAVE_MS, options.saveMs);
    this.#expiredAt = overlay.now;
    const { snapshot } = options;
    this.#anchors = snapshot?.anchors ?? [];
    const anchored = new Set(this.#anchors.map(idIn));
    this.#untried = (snapshot?.records ?? []).filter((bytes) => !anchored.has(idIn(bytes)));
    this.#known = [...this.#anchors, ...this.#untried];
  }

  start(): void {
    // Not in step with the others that started just now.
    this.#arm(this.#overlay.random(TURN_MS));
  }

  /**
   * Resolves after the first lookup of our own place. Rejects `NETWORK_CLOSED`, and where nobody else is known, with why
   * no bootstrap address can ever be dialled: `ADDRESS_UNSUPPORTED` or `ADDRESS_MALFORMED`.
   */
  get joined(): Promise<void> {
    return this.#joined.promise;
  }

  /** Resolves when the table is saved. */
  async stop(): Promise<void> {
    const reason = networkError("NETWORK_CLOSED", "the node leaves the overlay");
    this.#closed.abort(reason);
    this.#joined.reject(reason);
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#saving;
    await this.#save();
  }

  /** Somebody's address, from wherever: to be dialled in its turn. */
  found(address: string): void {
    if (this.#found.size < MAX_FOUND) this.#found.add(address);
  }

  /** A new peer is told where we are. */
  greet(peer: Peer): void {
    this.#metAt.set(peer, this.#overlay.now);
    if (!peer.authenticated) return;
    const record = this.#overlay.record.current();
    if (record.addresses.length > 0) this.#tell(peer, record.bytes);
  }

  #arm(delayMs: number): void {
    this.#timer = this.#network.runtime.setTimer(() => {
      this.#arm(TURN_MS);
      this.#turn();
    }, delayMs);
  }

  #turn(): void {
    const { now, table, candidates } = this.#overlay;
    const { checkMs, refreshMs, republishMs, saveMs, storage } = this.#options;
    if (this.#anchors.length > 0) {
      this.#once("anchors", () => this.#takeUpAnchors());
      return;
    }
    if (now - this.#expiredAt >= EXPIRE_MS) this.#expire(now);
    this.#news();
    for (const contact of table.due(now, checkMs, CHECKS_PER_TURN)) this.#meet(contact);
    for (const contact of candidates.take(CHECKS_PER_TURN)) this.#meet(contact);
    this.#once("dial", () => this.#dialFound());
    if (table.size === 0) {
      if (this.#settled) this.#untried = this.#known;
      this.#settled = false;
      this.#once("join", () => this.#join());
    } else {
      if (this.#untried.length > 0) this.#once("kept", () => this.#tryKnown());
      if (!this.#bootstrap.reached) this.#once("bootstrap", () => this.#dialBootstrap());
      if (!this.#settled || now - this.#settledAt >= refreshMs) {
        this.#once("join", () => this.#settle());
      } else {
        this.#once("refresh", () => this.#refresh(refreshMs));
      }
    }
    this.#once("republish", () => this.#values.republish(republishMs));
    if (storage !== undefined && now - this.#savedAt >= this.#saveInMs) {
      this.#savedAt = now;
      this.#saveInMs = Math.min(2 * this.#saveInMs, saveMs);
      this.#once("save", () => this.#save());
    }
  }

  #expire(now: number): void {
    this.#expiredAt = now;
    this.#overlay.expire();
    this.#store.expire(this.#network.runtime.wallClock());
    const nearest = this.#overlay.table.closest(this.#overlay.self.nodeId, MAX_LAST_KNOWN);
    // Should all of them seem to be gone, it may be that only we were: then these are asked first.
    if (nearest.length > 0) this.#known = nearest.map(({ record }) => record.bytes);
  }

  #meet(contact: NodeContact): void {
    this.#once(`meet ${contact.id}`, () => this.#overlay.meet(contact));
  }

  /** One of a kind at a time; what fails is tried again in a later turn. */
  #once(kind: string, work: () => Promise<unknown>): void {
    if (this.#busy.has(kind)) return;
    this.#busy.add(kind);
    work()
      .catch((thrown: unknown) => {
        const error = asError(thrown);
        if (!this.#closed.signal.aborted) {
          this.#network.logger.debug({ kind, error }, "the overlay's upkeep failed");
        }
      })
      .finally(() => this.#busy.delete(kind));
  }

  /** Our record has changed: those who stay are told. */
  #news(): void {
    const record = this.#overlay.record.current();
    if (record.seq === this.#told) return;
    const first = this.#told < 0;
    this.#told = record.seq;
    if (first || record.addresses.length === 0) return;
    for (const peer of this.#network.peers.values()) {
      if (peer.authenticated) this.#tell(peer, record.bytes);
    }
  }

  #tell(peer: Peer, record: Uint8Array): void {
    peer.send(RecordNews.of(record)).catch((error: unknown) => {
      this.#network.logger.debug({ peer: peer.id.text, error }, "a record was not sent");
    });
  }

  async #dialFound(): Promise<void> {
    const [address] = this.#found;
    if (address === undefined) return;
    this.#found.delete(address);
    await this.#dial(address);
  }

  /** Those we trusted are asked before anybody who may have come meanwhile, and before whom he would name. */
  async #takeUpAnchors(): Promise<void> {
    await Promise.allSettled(this.#anchors.map((bytes) => this.#remember(bytes)));
    this.#anchors = [];
  }

  /** Nobody is known: those kept from the last time, with them the bootstrap addresses, with growing patience. */
  async #join(): Promise<void> {
    if (this.#untried.length === 0) {
      if (!this.#bootstrap.due) return;
      this.#untried = this.#known;
    }
    await this.#tryKnown();
    if (this.#overlay.table.size === 0) await this.#dialBootstrap();
    const { hopeless } = this.#bootstrap;
    const nobody = this.#overlay.table.size === 0 && this.#untried.length === 0;
    if (nobody && hopeless !== undefined) this.#joined.reject(hopeless);
  }

  async #dialBootstrap(): Promise<void> {
    if (!this.#bootstrap.due) return;
    if (await this.#bootstrap.round()) this.#settledAt = Number.NEGATIVE_INFINITY;
  }

  async #tryKnown(): Promise<void> {
    const some = this.#untried.slice(0, KEPT_PER_TURN);
    this.#untried = this.#untried.slice(some.length);
    const { table } = this.#overlay;
    await Promise.allSettled(
      some.map((bytes) => this.#remember(bytes, (contact) => table.wants(contact))),
    );
  }

  async #remember(
    bytes: Uint8Array,
    isWanted: (contact: NodeContact) => boolean = () => true,
  ): Promise<void> {
    try {
      const contact = this.#overlay.contact(bytes, "device");
      if (contact !== undefined && isWanted(contact)) await this.#overlay.meet(contact);
    } catch (error) {
      // Its record is past, or it is gone; there are others.
      if (!(error instanceof NetworkError)) throw error;
    }
  }

  /** In passing: whether it is a node of the overlay, it says itself. */
  async #dial(address: string): Promise<void> {
    await this.#network.add(address, { passing: true, signal: this.#closed.signal });
  }

  /** Our own neighbourhood; and one bootstrap address again, so that two halves of a network that was cut do not stay two. */
  async #settle(): Promise<void> {
    const { table, self } = this.#overlay;
    // Nobody has answered yet: the checks are under way.
    if (table.closest(self.nodeId, 1).length === 0) return;
    if (this.#settled) await this.#bootstrap.any();
    const found = await this.#overlay.lookup(self.nodeId);
    if (found.length === 0) return;
    this.#settledAt = this.#overlay.now;
    if (this.#settled) return;
    this.#settled = true;
    this.#joined.resolve();
    this.#bootstrap.refresh();
  }

  async #refresh(olderThanMs: number): Promise<void> {
    const { table, self } = this.#overlay;
    const [prefix] = table.stale(this.#overlay.now, olderThanMs);
    if (prefix === undefined) return;
    const target = nodeIdIn(self.nodeId, prefix, (bound) => this.#overlay.random(bound));
    // Two paths are enough for what is done all the time, and checked again and again.
    await this.#overlay.lookup(target, { d: 2, confirm: false });
  }

  /** Whom to dial first the next time, as records. */
  #chooseAnchors(nearest: readonly NodeContact[]): Uint8Array[] {
    const { now } = this.#overlay;
    const all = nearest.map((contact): Acquaintance<NodeContact> => {
      const peer = this.#network.peers.get(contact.id);
      if (peer === undefined) return { contact };
      const { passing, side } = peer;
      return { contact, stream: { since: this.#metAt.get(peer) ?? now, passing, side } };
    });
    const random = (bound: number): number => this.#overlay.random(bound);
    const chosen = chooseAnchors(all, { now, random }).map(({ record }) => record.bytes);
    // In so short a life nobody had the time to prove himself: those of the one before stay.
    const before =
      now - this.#startedAt < LASTING_MS ? (this.#options.snapshot?.anchors ?? []) : [];
    const old = new Set(before.map(idIn));
    return [...before, ...chosen.filter((bytes) => !old.has(idIn(bytes)))].slice(0, MAX_ANCHORS);
  }

  #save(): Promise<void> {
    const saving = this.#saveNow().finally(() => {
      if (this.#saving === saving) this.#saving = undefined;
    });
    this.#saving = saving;
    return saving;
  }

  async #saveNow(): Promise<void> {
    const { storage, snapshot } = this.#options;
    if (storage === undefined) return;
    const { table, self, record } = this.#overlay;
    const nearest = table.closest(self.nodeId, MAX_KEPT_RECORDS);
    // Who was alone this time has not learnt that the others are gone.
    const alone = nearest.length === 0;
    const records = alone ? this.#known : nearest.map((contact) => contact.record.bytes);
    const anchors = alone ? (snapshot?.anchors ?? []) : this.#chooseAnchors(nearest);
    try {
      await storage.save(encodeSnapshot({ seq: record.seq, records, anchors }));
    } catch (thrown) {
      const error = asError(thrown);
      this.#network.logger.warn({ error }, "the overlay's table was not saved");
    }
  }
}

/** Whose record it is, by its first bytes; nothing is checked. */
function idIn(record: Uint8Array): string {
  return toBase64(record.subarray(0, ID_BYTES));
}

/** What was kept; nothing, and a warning, when it cannot be read. */
export async function loadSnapshot(
  network: Network,
  storage: Storage | undefined,
): Promise<Snapshot | undefined> {
  if (storage === undefined) return undefined;
  try {
    const bytes = await storage.load();
    return bytes === undefined ? undefined : decodeSnapshot(bytes);
  } catch (error) {
    network.logger.warn({ error }, "the overlay's kept table cannot be read; it starts anew");
    return undefined;
  }
}
