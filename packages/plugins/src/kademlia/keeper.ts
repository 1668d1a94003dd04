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
} from "@testudo/core";
import type { Storage } from "../storage.ts";
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
  readonly saveMs: number;
}

/** Between two turns. */
const TURN_MS = 1_000;
/** Nodes asked in one turn whether they are alive, and as many of those that others named. */
const CHECKS_PER_TURN = 4;
/** Nodes kept from the last time that are dialled in one turn. */
const KEPT_PER_TURN = 8;
/** What has aged is thrown out so often. */
const EXPIRE_MS = 60_000;
/** Nodes that are tried again when the table has become empty. */
const MAX_LAST_KNOWN = 64;
/** Who is here for so long is here to stay, even in passing: nobody would have kept him for want of use. */
const LASTING_MS = 60_000;
/** Between two dials of the bootstrap addresses, while nobody is known; doubles up to the last. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

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
  /** A bootstrap address was reached once; until then we and those who came through us may be an island. */
  #reached: boolean;
  #retryMs = FIRST_RETRY_MS;
  #retryAt = 0;
  /** Since when somebody is a peer. */
  readonly #metAt = new WeakMap<Peer, number>();
  #savedAt: number;
  #saving: Promise<void> | undefined;
  #expiredAt: number;
  #told = -1;
  /** Whom we knew last, nearest or most trusted first: as records. */
  #known: readonly Uint8Array[];
  /** Those of them that are still to be tried in this round. */
  #untried: readonly Uint8Array[];

  constructor(overlay: Overlay, store: Store, values: Values, options: KeeperOptions) {
    this.#overlay = overlay;
    this.#network = overlay.network;
    this.#store = store;
    this.#values = values;
    this.#options = options;
    this.#reached = options.bootstrap.length === 0;
    this.#savedAt = overlay.now;
    this.#expiredAt = overlay.now;
    const { snapshot } = options;
    this.#known = snapshot === undefined ? [] : [...snapshot.anchors, ...snapshot.records];
    this.#untried = this.#known;
  }

  start(): void {
    // Not in step with the others that started just now.
    this.#arm(this.#overlay.random(TURN_MS));
  }

  /** Resolves after the first lookup of our own place; rejects `NETWORK_CLOSED`. */
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
      if (!this.#reached) this.#once("bootstrap", () => this.#bootstrap());
      if (!this.#settled || now - this.#settledAt >= refreshMs) {
        this.#once("join", () => this.#settle());
      } else {
        this.#once("refresh", () => this.#refresh(refreshMs));
      }
    }
    this.#once("republish", () => this.#values.republish(republishMs));
    if (storage !== undefined && now - this.#savedAt >= saveMs) {
      this.#savedAt = now;
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

  /** Nobody is known: those kept from the last time, with them the bootstrap addresses, with growing patience. */
  async #join(): Promise<void> {
    if (this.#untried.length === 0) {
      if (this.#overlay.now < this.#retryAt) return;
      this.#untried = this.#known;
    }
    await this.#tryKnown();
    if (this.#overlay.table.size === 0) await this.#bootstrap();
  }

  async #bootstrap(): Promise<void> {
    if (this.#overlay.now < this.#retryAt) return;
    this.#retryAt = this.#overlay.now + this.#retryMs;
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
    const dials = this.#options.bootstrap.map((address) => this.#dial(address));
    for (const { status } of await Promise.allSettled(dials)) {
      if (status !== "fulfilled" || this.#reached) continue;
      this.#reached = true;
      this.#settledAt = Number.NEGATIVE_INFINITY;
    }
  }

  async #tryKnown(): Promise<void> {
    const some = this.#untried.slice(0, KEPT_PER_TURN);
    this.#untried = this.#untried.slice(some.length);
    await Promise.allSettled(some.map((bytes) => this.#remember(bytes)));
  }

  async #remember(bytes: Uint8Array): Promise<void> {
    try {
      const contact = this.#overlay.contact(bytes, "device");
      if (contact !== undefined) await this.#overlay.meet(contact);
    } catch (error) {
      // Its record is past, or it is gone; there are others.
      if (!(error instanceof NetworkError)) throw error;
    }
  }

  /** In passing: whether it is a node of the overlay, it says itself. */
  async #dial(address: string): Promise<void> {
    await this.#network.add(address, { passing: true, signal: this.#closed.signal });
  }

  /** Our own neighbourhood. The first time, then others of the last time are asked, too. */
  async #settle(): Promise<void> {
    const { table, self } = this.#overlay;
    // Nobody has answered yet: the checks are under way.
    if (table.closest(self.nodeId, 1).length === 0) return;
    if (this.#settled) await this.#revisit();
    const found = await this.#overlay.lookup(self.nodeId);
    if (found.length === 0) return;
    this.#settledAt = this.#overlay.now;
    if (this.#settled) return;
    this.#settled = true;
    this.#joined.resolve();
    this.#retryMs = FIRST_RETRY_MS;
    await this.#tryKnown();
  }

  /** One bootstrap address again, so that two halves of a network that was cut do not stay two. */
  async #revisit(): Promise<void> {
    const { bootstrap } = this.#options;
    const address = bootstrap[bootstrap.length < 2 ? 0 : this.#overlay.random(bootstrap.length)];
    if (address !== undefined) await Promise.allSettled([this.#dial(address)]);
  }

  async #refresh(olderThanMs: number): Promise<void> {
    const { table, self } = this.#overlay;
    const [prefix] = table.stale(this.#overlay.now, olderThanMs);
    if (prefix === undefined) return;
    const target = nodeIdIn(self.nodeId, prefix, (bound) => this.#overlay.random(bound));
    // Two paths are enough for what is done all the time, and checked again and again.
    await this.#overlay.lookup(target, { d: 2, confirm: false });
  }

  /**
   * Whom to dial first the next time: those with whom we had a stream for long, whom we dialled ourselves before who came
   * to us, for strangers come for nothing; then the nearest of those.
   */
  #anchors(nearest: readonly NodeContact[]): NodeContact[] {
    const { now } = this.#overlay;
    const peerOf = ({ id }: NodeContact): Peer | undefined => this.#network.peers.get(id);
    const lasting = nearest.filter((contact) => {
      const peer = peerOf(contact);
      if (peer === undefined) return false;
      return !peer.passing || now - (this.#metAt.get(peer) ?? now) >= LASTING_MS;
    });
    const came = (contact: NodeContact): number => Number(peerOf(contact)?.side === "listener");
    return lasting.sort((a, b) => came(a) - came(b)).slice(0, MAX_ANCHORS);
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
    const bytesOf = (contact: NodeContact): Uint8Array => contact.record.bytes;
    // Who was alone this time has not learnt that the others are gone.
    const alone = nearest.length === 0;
    const records = alone ? this.#known : nearest.map(bytesOf);
    const anchors = alone ? (snapshot?.anchors ?? []) : this.#anchors(nearest).map(bytesOf);
    try {
      await storage.save(encodeSnapshot({ seq: record.seq, records, anchors }));
    } catch (thrown) {
      const error = asError(thrown);
      this.#network.logger.warn({ error }, "the overlay's table was not saved");
    }
  }
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
