/**
 * Plumtree: how a message travels along the links of the active view. A machine after Leitao, Pereira and
 * Rodrigues (SRDS 2007): messages, links and `now` (ms, monotonic) in; calls on `out` out.
 *
 * Payload goes to eager links, announcements of it to lazy ones. Whoever gets a message twice prunes the
 * later link, so that the eager links become a tree; whoever hears of a message that does not come grafts
 * an announcer back in. With `eagerLinks` of 2 or more every node keeps so many links that push to it: the
 * first is part of the tree both ways, the others push one way only, so that one silent parent costs next to nothing.
 *
 * A host checks a payload (signature, and that `id` belongs to it) before `receivePush`; it may ask `has`
 * first. Every call comes back at once; `out` may call in again. What a peer says is counted and bounded,
 * and nothing here throws because of it. `hops` is always the count at the receiver: 1 from the origin.
 */

import { Budget } from "./budget.ts";
import { Held, type HeldMessage } from "./held.ts";
import { MAX_NAME } from "./membership-message.ts";
import { type Announcer, Missing } from "./missing.ts";
import { Providers } from "./providers.ts";
import { Pruning } from "./pruning.ts";
import {
  type Announcement,
  checkTreeOptions,
  type PlumtreeOptions,
  TREE_LIMITS,
  type TreeLimits,
  type TreeOut,
} from "./tree-options.ts";

export type {
  Announcement,
  Misdeed,
  PlumtreeOptions,
  TreeLimits,
  TreeOut,
} from "./tree-options.ts";

const MAX_HOPS = 255;
const MAX_EARLY = 16;

export class Plumtree<P> {
  readonly #options: PlumtreeOptions<P>;
  readonly #limits: TreeLimits;
  readonly #out: TreeOut<P>;
  readonly #eagerLinks: number;
  readonly #batchMs: number;
  readonly #eager = new Set<string>();
  readonly #lazy = new Set<string>();
  readonly #providers: Providers;
  readonly #held: Held<P>;
  /** Asked for an eager link before there was one. */
  readonly #early = new Set<string>();
  readonly #missing: Missing;
  readonly #pruning: Pruning | undefined;
  readonly #broken = new Map<string, number>();
  readonly #pruned = new Map<string, number>();
  readonly #batches = new Map<string, Announcement[]>();
  #flushAt: number | undefined;
  readonly #announcements: Budget;
  readonly #ids: Budget;
  readonly #grafts: Budget;
  readonly #unwanted: Budget;

  /** Throws `RangeError` for times and counts that make no sense. */
  constructor(options: PlumtreeOptions<P>) {
    checkTreeOptions(options);
    this.#options = options;
    this.#limits = { ...TREE_LIMITS, ...options.limits };
    this.#held = new Held(this.#limits, options.sizeOf);
    this.#out = options.out;
    this.#eagerLinks = Math.floor(options.eagerLinks ?? 1);
    this.#providers = new Providers(this.#eagerLinks);
    this.#batchMs = options.batchMs ?? 0;
    if (options.pruneEveryMs !== undefined && this.#eagerLinks === 1) {
      this.#pruning = new Pruning(options.pruneEveryMs);
    }
    this.#missing = new Missing(this.#limits.missing, this.#limits.missingPerPeer);
    this.#announcements = new Budget(this.#limits.announcementsPerSecond);
    this.#ids = new Budget(this.#limits.idsPerSecond);
    this.#grafts = new Budget(this.#limits.graftsPerSecond);
    this.#unwanted = new Budget(this.#limits.unwantedPerSecond);
  }

  /** Links that payload goes to. */
  get eager(): ReadonlySet<string> {
    return this.#eager;
  }

  /** Links that announcements go to. */
  get lazy(): ReadonlySet<string> {
    return this.#lazy;
  }

  /** How many ids were announced and have not come. */
  get missing(): number {
    return this.#missing.size;
  }

  /** Whether a push of this id would be nothing new. */
  has(id: string): boolean {
    return this.#held.has(id) || this.#options.seen?.(id) === true;
  }

  /** Whether it was announced, and has not come. */
  awaits(id: string): boolean {
    return this.#missing.has(id);
  }

  /** It came, and the host does not take it: nobody is asked for it any more. */
  refuse(id: string): void {
    this.#missing.take(id);
  }

  /** `peer` is in the active view. */
  up(peer: string): void {
    if (this.#isLinked(peer)) return;
    this.#pruned.delete(peer);
    const asked = this.#early.delete(peer);
    const settled = this.#eager.size > 0 && this.#lazy.size > 0;
    if (this.#options.joinLazily === true && settled && !asked) {
      this.#lazy.add(peer);
      return;
    }
    const alone = this.#eager.size === 0;
    this.#eager.add(peer);
    // On the other side it may begin lazy.
    if (this.#options.joinLazily === true && alone) this.#out.graft(peer, undefined, 1);
  }

  down(peer: string): void {
    this.#early.delete(peer);
    this.#eager.delete(peer);
    this.#lazy.delete(peer);
    this.#pruned.delete(peer);
    this.#broken.delete(peer);
    this.#missing.down(peer);
    this.#batches.delete(peer);
    this.#announcements.delete(peer);
    this.#ids.delete(peer);
    this.#grafts.delete(peer);
    this.#unwanted.delete(peer);
    this.#providers.delete(peer);
  }

  /** Spreads a message of ours; one that is known already is left alone. Returns how many peers it was pushed to. */
  broadcast(id: string, payload: P, now: number): number {
    if (this.has(id)) return 0;
    this.#missing.take(id);
    this.#held.add(id, payload, 0, now);
    this.#pruning?.first(id, this.#options.rootOf?.(payload) ?? id, now);
    return this.#spread(id, payload, 0, undefined, now);
  }

  /** Returns whether the message was new. */
  receivePush(from: string, id: string, payload: P, hops: number, now: number): boolean {
    const count = hopsOf(hops);
    const held = this.#held.get(id);
    if (held !== undefined || this.#options.seen?.(id) === true) {
      this.#onDuplicate(from, id, count, held, now);
      return false;
    }
    const announcers = this.#missing.take(id);
    this.#held.add(id, payload, count, now);
    this.#pruning?.first(id, this.#options.rootOf?.(payload) ?? id, now);
    this.#onFirst(from);
    this.#spread(id, payload, count, from, now);
    this.#swap(from, count, announcers);
    this.#out.deliver(id, payload, from, count);
    return true;
  }

  receiveAnnounce(from: string, entries: readonly Announcement[], now: number): void {
    if (!this.#isLinked(from)) return;
    const count = Math.min(entries.length, this.#limits.entries);
    if (!this.#announcements.take(from, now) || !this.#ids.take(from, now, count)) {
      this.#out.penalise?.(from, "flood");
      return;
    }
    for (let at = 0; at < count; at++) {
      const entry = entries[at];
      if (entry === undefined || typeof entry.id !== "string") continue;
      if (entry.id === "" || entry.id.length > MAX_NAME) continue;
      this.#onAnnounced(from, entry.id, hopsOf(entry.hops), now);
    }
  }

  receivePrune(from: string, _now: number): void {
    if (this.#eager.delete(from)) this.#lazy.add(from);
  }

  receiveGraft(from: string, id: string | undefined, _hops: number, now: number): void {
    if (!this.#isLinked(from)) {
      // It is linked to us before we are to it.
      if (id === undefined && this.#early.size < MAX_EARLY) this.#early.add(from);
      return;
    }
    if (!this.#grafts.take(from, now)) {
      this.#out.penalise?.(from, "flood");
      return;
    }
    this.#makeEager(from);
    const held = id === undefined ? undefined : this.#held.copy(id, from);
    if (id !== undefined && held !== undefined) {
      this.#out.push(from, id, held.payload, held.hops + 1);
    }
  }

  /** Does what is due. Returns when to be called next, in ms; also to be asked after every other call. */
  poll(now: number): number | undefined {
    if (this.#flushAt !== undefined && this.#flushAt <= now) this.#flush();
    for (const { id, asked } of this.#missing.due(now)) {
      if (asked !== undefined && this.#isLinked(asked)) {
        this.#blame(asked);
        this.#out.penalise?.(asked, "promise");
      }
      this.#ask(id, now);
    }
    for (const peer of this.#pruning?.take(now) ?? [])
      if (this.#isLinked(peer)) this.#prune(peer, now);
    return this.deadline;
  }

  /** When `poll` has something to do, in ms. */
  get deadline(): number | undefined {
    let next = this.#missing.deadline;
    const flushAt = this.#flushAt;
    if (flushAt !== undefined && (next === undefined || flushAt < next)) next = flushAt;
    const pruneAt = this.#pruning?.deadline;
    if (pruneAt !== undefined && (next === undefined || pruneAt < next)) next = pruneAt;
    return next;
  }

  #onFirst(from: string): void {
    const linked = this.#isLinked(from);
    if (linked) this.#broken.delete(from);
    if (this.#eagerLinks === 1) {
      if (linked) this.#makeEager(from);
      return;
    }
    if (linked) this.#provide(from, false);
    for (const peer of this.#providers.silentSince(from)) this.#blame(peer);
  }

  /** In the tree a link that is much shorter takes the place of the one the message came by. */
  #swap(from: string, hops: number, announcers: readonly Announcer[]): void {
    const shorter = this.#shorter(from, hops, announcers);
    if (shorter === undefined || this.#eagerLinks > 1 || !this.#isLinked(from)) return;
    this.#makeEager(shorter.peer);
    this.#out.graft(shorter.peer, undefined, shorter.hops);
    this.#makeLazy(from);
    this.#out.prune(from);
  }

  #onDuplicate(
    from: string,
    id: string,
    hops: number,
    held: HeldMessage<P> | undefined,
    now: number,
  ): void {
    if (!this.#isLinked(from)) return;
    if (this.#eagerLinks > 1) {
      if (this.#providers.heard(from)) return;
      if (!this.#providers.isFull && held !== undefined && hops <= held.hops + 1) {
        this.#provide(from, false);
        return;
      }
    }
    if (this.#pruning === undefined) this.#prune(from, now);
    else this.#pruning.again(id, from);
  }

  #prune(from: string, now: number): void {
    const last = this.#pruned.get(from);
    if (last !== undefined && now - last < (this.#options.pruneBackoffMs ?? 1000)) {
      if (!this.#unwanted.take(from, now)) this.#out.penalise?.(from, "unwanted");
      return;
    }
    // Both ends let go of a link of the tree; of the others only the end that pushes.
    if (this.#eagerLinks === 1) this.#makeLazy(from);
    this.#pruned.set(from, now);
    this.#out.prune(from);
  }

  #onAnnounced(from: string, id: string, hops: number, now: number): void {
    const held = this.#held.get(id);
    if (held !== undefined) {
      // Somebody as near as our parent, and a place for one more that pushes to us.
      if (this.#eagerLinks > 1 && !this.#providers.isFull) {
        if (hops > held.hops + 1 || this.#broken.has(from)) return;
        if (this.#provide(from, false)) this.#out.graft(from, undefined, hops);
      }
      return;
    }
    if (this.#options.seen?.(id) === true) return;
    this.#missing.announced(id, from, hops, now + this.#options.timer1Ms);
  }

  /** Grafts the next announcer: the first one, but those that kept their promises before the others. */
  #ask(id: string, now: number): void {
    const rank = (peer: string): number | undefined =>
      this.#isLinked(peer) ? (this.#broken.get(peer) ?? 0) : undefined;
    const announcer = this.#missing.ask(id, rank, now + this.#options.timer2Ms);
    if (announcer === undefined) return;
    this.#makeEager(announcer.peer);
    if (this.#eagerLinks > 1) this.#provide(announcer.peer, true);
    this.#out.graft(announcer.peer, id, announcer.hops);
  }

  /** The announcer that is so much nearer than `from` that the links should be swapped. */
  #shorter(from: string, hops: number, announcers: readonly Announcer[]): Announcer | undefined {
    const { optimise } = this.#options;
    if (optimise === undefined) return undefined;
    let best: Announcer | undefined;
    for (const announcer of announcers) {
      if (announcer.peer === from || hops - announcer.hops < optimise) continue;
      if (!this.#lazy.has(announcer.peer)) continue;
      if (best === undefined || announcer.hops < best.hops) best = announcer;
    }
    return best;
  }

  #provide(peer: string, must: boolean): boolean {
    if (!this.#providers.add(peer, must)) return false;
    this.#pruned.delete(peer);
    return true;
  }

  /** To eager links the payload, to lazy ones the news of it. */
  #spread(id: string, payload: P, hops: number, from: string | undefined, now: number): number {
    let pushed = 0;
    const { parent } = this.#providers;
    for (const peer of this.#eager) {
      if (peer === from) continue;
      pushed++;
      this.#out.push(peer, id, payload, hops + 1);
    }
    let entries: Announcement[] | undefined;
    for (const peer of this.#lazy) {
      if (peer === from) continue;
      if (peer === parent) {
        // The tree's own link carries both ways, also where the parent would rather be without.
        pushed++;
        this.#out.push(peer, id, payload, hops + 1);
        continue;
      }
      entries ??= [{ id, hops: hops + 1 }];
      this.#announce(peer, entries, now);
    }
    return pushed;
  }

  #announce(peer: string, entries: Announcement[], now: number): void {
    if (this.#batchMs === 0) {
      this.#out.announce(peer, entries);
      return;
    }
    const batch = this.#batches.get(peer);
    if (batch === undefined) this.#batches.set(peer, [...entries]);
    else {
      batch.push(...entries);
      if (batch.length >= this.#limits.entries) {
        this.#batches.delete(peer);
        this.#out.announce(peer, batch);
      }
    }
    this.#flushAt ??= now + this.#batchMs;
  }

  #flush(): void {
    this.#flushAt = undefined;
    const batches = [...this.#batches];
    this.#batches.clear();
    for (const [peer, batch] of batches) this.#out.announce(peer, batch);
  }

  /** It is asked after those that were never blamed. */
  #blame(peer: string): void {
    this.#broken.set(peer, (this.#broken.get(peer) ?? 0) + 1);
  }

  #makeEager(peer: string): void {
    this.#lazy.delete(peer);
    this.#pruned.delete(peer);
    this.#eager.add(peer);
  }

  #makeLazy(peer: string): void {
    if (this.#eager.delete(peer)) this.#lazy.add(peer);
  }

  #isLinked(peer: string): boolean {
    return this.#eager.has(peer) || this.#lazy.has(peer);
  }
}

function hopsOf(hops: number): number {
  return Number.isInteger(hops) && hops > 0 ? Math.min(hops, MAX_HOPS) : MAX_HOPS;
}
