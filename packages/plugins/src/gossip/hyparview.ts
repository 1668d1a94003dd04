/**
 * HyParView: whom a node is linked to, and whom else it knows. A machine after Leitao, Pereira and
 * Rodrigues (DSN 2007): messages, news of connections and `now` (ms, monotonic) in; calls on `out` out.
 *
 * The *active view* is small and symmetric: A holds B as long as B holds A. The *passive view* is an
 * address book. A lost neighbour is replaced from the passive view: asked with low priority (and refused
 * where there is no room), or with high priority by a node that has nobody. Views mix by shuffles.
 *
 * `group`: at most one neighbour of a group (a /24, an AS); whoever is in stays. `chosenAtLeast`: so many places
 * are for neighbours that this node picked itself, and strangers have them only until it did; a link is one
 * side's choice, so more than half cannot hold everywhere.
 *
 * `out` may call back at once. After `dial(to)` the host says `connected` (also when it was connected
 * already) or `unreachable`; `disconnected` when a connection to a neighbour ends. Everything a peer says
 * is checked, counted and bounded; nothing here throws because of it. Never sends payload.
 */

import { ActiveView } from "./active-view.ts";
import { Budget } from "./budget.ts";
import { isName, type MembershipMessage, namesOf } from "./membership-message.ts";
import {
  type HyParViewOptions,
  type MembershipOut,
  type MembershipSettings,
  membershipOptions,
} from "./membership-options.ts";
import { Mending } from "./mending.ts";
import { Names } from "./names.ts";
import { PassiveView } from "./passive-view.ts";
import { Walks } from "./walks.ts";
import { Wishes, type WishKind } from "./wishes.ts";

export type { MembershipMessage } from "./membership-message.ts";
export type { HyParViewOptions, MembershipOut } from "./membership-options.ts";

const MAX_CONTACTS = 16;

export class HyParView {
  readonly #options: MembershipSettings;
  readonly #out: MembershipOut;
  readonly #active: ActiveView;
  readonly #passive: PassiveView;
  readonly #contacts: Names;
  readonly #mending = new Mending();
  readonly #wishes = new Wishes();
  /** Asked in vain since the last shuffle. */
  readonly #tried = new Set<string>();
  readonly #walks: Walks;
  readonly #budget: Budget;
  #shuffled: { readonly to: string; readonly peers: readonly string[] } | undefined;

  /** Throws `RangeError` for sizes that make no sense. */
  constructor(options: HyParViewOptions) {
    const all = membershipOptions(options);
    this.#options = all;
    this.#out = options.out;
    const random = all.random;
    this.#active = new ActiveView(all, options.group);
    this.#passive = new PassiveView(all.passive, random, (name) => this.#fits(name));
    this.#contacts = new Names(MAX_CONTACTS, random);
    this.#walks = new Walks(all.walkTimeoutMs);
    this.#budget = new Budget(all.messagesPerSecond);
  }

  get active(): ReadonlySet<string> {
    return this.#active.names.all;
  }

  get passive(): ReadonlySet<string> {
    return this.#passive.all;
  }

  /** Neighbours that this node picked itself. */
  get chosen(): ReadonlySet<string> {
    return this.#active.chosen;
  }

  /** Ask `contact` to take us in; also later, to mend a network that fell apart. It is asked again whenever nobody else is left. */
  join(contact: string, now: number): void {
    if (!this.#isName(contact)) return;
    this.#contacts.add(contact);
    this.#wish(contact, "join", now);
  }

  /** Names to begin with, such as those kept from an earlier run. */
  remember(peers: Iterable<string>, now: number): void {
    for (const peer of peers) {
      if (this.#passive.isFull) break;
      this.#passive.keep(peer);
    }
    this.#fill(now);
  }

  /** Say goodbye to every neighbour. */
  leave(): void {
    this.#wishes.clear();
    this.#contacts.clear();
    this.#mending.clear();
    for (const peer of [...this.active]) this.#drop(peer, true);
    this.#passive.clear();
  }

  receive(from: string, message: MembershipMessage, now: number): void {
    if (!this.#isName(from)) return;
    if (!this.#budget.take(from, now)) {
      this.#out.penalise?.(from, "flood");
      return;
    }
    switch (message.kind) {
      case "join":
        this.#onJoin(from, now);
        break;
      case "forward-join":
        this.#onForwardJoin(from, message.peer, message.ttl, now);
        break;
      case "neighbor":
        this.#answer(from, this.#admit(from, message.priority === "high", false, now));
        break;
      case "neighbor-reply":
        this.#onReply(from, message.accepted === true, now);
        break;
      case "disconnect":
        this.#onDisconnect(from, message.leaving === true, now);
        break;
      case "shuffle":
        this.#onShuffle(from, message.origin, message.ttl, message.peers, now);
        break;
      case "shuffle-reply":
        this.#onShuffleReply(from, message.origin, message.peers, now);
        break;
    }
  }

  /** There is a connection to `peer` now. */
  connected(peer: string, now: number): void {
    const wish = this.#wishes.get(peer);
    if (wish === undefined || wish.asked) return;
    wish.asked = true;
    wish.deadline = now + this.#options.neighborTimeoutMs;
    if (wish.kind === "join") this.#out.send(peer, { kind: "join" });
    else {
      const urgent = wish.kind === "reunion" || this.#active.size === 0;
      const priority = urgent ? "high" : "low";
      this.#out.send(peer, { kind: "neighbor", priority });
    }
  }

  /** A dial came to nothing. */
  unreachable(peer: string, now: number): void {
    if (!this.#wishes.delete(peer)) return;
    this.#passive.delete(peer);
    this.#tried.add(peer);
    this.#fill(now);
  }

  /** The connection to `peer` ended. */
  disconnected(peer: string, now: number): void {
    this.#budget.delete(peer);
    this.#wishes.delete(peer);
    if (this.#active.delete(peer)) {
      this.#passive.delete(peer);
      this.#mending.lost(peer, now);
      this.#out.down(peer);
    }
    this.#fill(now);
  }

  /** No longer a neighbour, by our own wish, and not remembered; somebody else takes its place. */
  dismiss(peer: string, now: number): void {
    this.#passive.delete(peer);
    if (!this.#active.has(peer)) return;
    this.#drop(peer, true);
    this.#fill(now);
  }

  /** To be called every minute or so: mixes the views, and tries again to fill the active one. */
  shuffle(now: number): void {
    this.#tried.clear();
    this.#fill(now);
    this.#mend(now);
    const to = this.#active.names.any();
    if (to === undefined) return;
    const peers = this.#active.names.sample(this.#options.ka, to);
    peers.push(...this.#passive.sample(this.#options.kp));
    this.#shuffled = { to, peers };
    const { self: origin, arwl: ttl } = this.#options;
    this.#out.send(to, { kind: "shuffle", origin, ttl, peers });
  }

  /** Gives up what waits too long. Returns when to be called next, in ms. */
  poll(now: number): number | undefined {
    const late = this.#wishes.takeLate(now);
    for (const peer of late) {
      this.#passive.delete(peer);
      this.#tried.add(peer);
      this.#out.release(peer);
    }
    if (late.length > 0) this.#fill(now);
    return this.#wishes.deadline;
  }

  #onJoin(from: string, now: number): void {
    const admitted = this.#admit(from, true, false, now);
    this.#answer(from, admitted);
    if (!admitted) return;
    for (const peer of [...this.active]) {
      if (peer === from) continue;
      this.#out.send(peer, { kind: "forward-join", peer: from, ttl: this.#options.arwl });
    }
  }

  #onForwardJoin(from: string, newcomer: string, ttl: number, now: number): void {
    if (!this.#isLinked(from) || !this.#isName(newcomer) || newcomer === from) return;
    const left = this.#steps(ttl);
    const next =
      left === 0 || this.#active.size <= 1 ? undefined : this.#active.names.any(from, newcomer);
    if (next === undefined) {
      this.#wish(newcomer, "newcomer", now);
      return;
    }
    if (left === this.#options.prwl) this.#passive.keep(newcomer);
    this.#out.send(next, { kind: "forward-join", peer: newcomer, ttl: left - 1 });
  }

  #onReply(from: string, accepted: boolean, now: number): void {
    const wish = this.#wishes.get(from);
    if (wish?.asked === true) this.#wishes.delete(from);
    if (!accepted) {
      // Two requests crossed, and only one was granted: neither is to hold the other.
      if (this.#active.has(from)) this.#drop(from, false);
      else if (wish !== undefined) this.#out.release(from);
      this.#tried.add(from);
    } else if (this.#active.has(from)) {
      return;
    } else if (wish?.asked !== true) {
      // An answer to what was given up long ago: the other side must not count on this link.
      this.#tell(from, false);
      return;
    } else if (!this.#admit(from, wish.kind !== "fill", wish.kind !== "newcomer", now)) {
      this.#tell(from, false);
      this.#out.release(from);
    }
    this.#fill(now);
  }

  #onDisconnect(from: string, leaving: boolean, now: number): void {
    if (leaving) this.#passive.delete(from);
    if (!this.#active.has(from)) return;
    this.#lose(from, !leaving);
    // Whoever made room for another waits for newcomers or the next shuffle: those just put out, asking
    // around at once, would find each other and close their circle.
    if (leaving || this.#active.size === 0) this.#fill(now);
  }

  #onShuffle(
    from: string,
    origin: string,
    ttl: number,
    claimed: readonly string[],
    now: number,
  ): void {
    if (!this.#isLinked(from) || !this.#isName(origin)) return;
    const left = this.#steps(ttl) - 1;
    const next =
      left <= 0 || this.#active.size <= 1 ? undefined : this.#active.names.any(from, origin);
    const peers = namesOf(claimed);
    if (next !== undefined) {
      this.#walks.mark(origin, from, next, now);
      this.#out.send(next, { kind: "shuffle", origin, ttl: left, peers });
      return;
    }
    const most = this.#options.ka + this.#options.kp;
    const answer = this.#passive.sample(Math.min(peers.length, most), origin);
    this.#out.send(from, { kind: "shuffle-reply", origin, peers: answer });
    this.#passive.learn([origin, ...peers], answer);
  }

  #onShuffleReply(from: string, origin: string, claimed: readonly string[], now: number): void {
    const peers = namesOf(claimed);
    if (origin === this.#options.self) {
      const shuffled = this.#shuffled;
      if (shuffled === undefined || shuffled.to !== from) return;
      this.#shuffled = undefined;
      this.#passive.learn(peers, shuffled.peers);
      this.#fill(now);
      return;
    }
    const next = this.#walks.back(origin, from, now);
    if (next === undefined || !this.#active.has(next)) return;
    this.#out.send(next, { kind: "shuffle-reply", origin, peers });
  }

  #answer(to: string, accepted: boolean): void {
    this.#out.send(to, { kind: "neighbor-reply", accepted });
  }

  #tell(to: string, leaving: boolean): void {
    this.#out.send(to, { kind: "disconnect", leaving });
  }

  /** Whether `peer` is a neighbour, after making room for it if need be. */
  #admit(peer: string, urgent: boolean, chosen: boolean, now: number): boolean {
    if (this.#active.has(peer)) return true;
    const victim = this.#active.roomFor(peer, urgent, chosen, now);
    if (victim === false) return false;
    if (victim !== undefined) this.#drop(victim, false);
    this.#active.add(peer, chosen);
    this.#passive.delete(peer);
    this.#tried.delete(peer);
    this.#mending.found(peer);
    this.#out.up(peer);
    return true;
  }

  #drop(peer: string, leaving: boolean): void {
    this.#tell(peer, leaving);
    this.#lose(peer, !leaving);
  }

  #lose(peer: string, keep: boolean): void {
    this.#active.delete(peer);
    this.#wishes.delete(peer);
    this.#tried.add(peer);
    if (keep) this.#passive.keep(peer);
    this.#out.down(peer);
    this.#out.release(peer);
  }

  #wish(peer: string, kind: WishKind, now: number): void {
    if (peer === this.#options.self || this.#active.has(peer) || this.#wishes.has(peer)) return;
    if (this.#wishes.isFull || !this.#active.groupIsFree(peer)) return;
    this.#wishes.add(peer, kind, now + this.#options.dialTimeoutMs);
    this.#out.dial(peer);
  }

  /** Asks passive names until enough are asked to fill the active view; the contacts when nobody is left. */
  #fill(now: number): void {
    for (;;) {
      if (this.#active.free <= this.#wishes.filling || this.#wishes.isFull) return;
      const peer = this.#passive.anyThat((name) => this.#isCandidate(name));
      if (peer !== undefined) {
        this.#wish(peer, "fill", now);
        continue;
      }
      if (this.#active.size > 0 || this.#wishes.size > 0) return;
      const contact = this.#contacts.anyThat((name) => this.#isCandidate(name));
      if (contact === undefined) return;
      this.#wish(contact, "join", now);
    }
  }

  #mend(now: number): void {
    const { claim } = this.#active;
    // One in a shuffle: in a network where all views are full, most who are asked have no room either.
    const { isOurs } = this.#options;
    const ours = this.#passive.anyThat((name) => isOurs(name) && this.#isCandidate(name));
    if (ours !== undefined && claim !== undefined) this.#wish(ours, claim, now);
    const lost = this.#mending.next(now);
    if (lost !== undefined) this.#wish(lost, "reunion", now);
    const isFree = (name: string): boolean => this.#isCandidate(name);
    const isIsland = this.#mending.isIsland(this.#passive.size < this.#options.passive / 2);
    if (isIsland) {
      const contact = this.#contacts.anyThat(isFree);
      if (contact !== undefined) this.#wish(contact, "join", now);
    }
    if (!this.#mending.isRestless() && !isIsland) return;
    const other = this.#passive.anyThat(isFree);
    if (other !== undefined) this.#wish(other, "reunion", now);
  }

  #isCandidate(name: string): boolean {
    if (this.#active.has(name) || this.#tried.has(name) || this.#wishes.has(name)) return false;
    return this.#active.groupIsFree(name);
  }

  /** Only neighbours take part in walks; who is none is told so, once its request is not under way. */
  #isLinked(from: string): boolean {
    if (this.#active.has(from)) return true;
    if (!this.#wishes.has(from)) this.#tell(from, false);
    return false;
  }

  /** Steps a walk may still go, whatever it says. */
  #steps(ttl: number): number {
    return Number.isInteger(ttl) && ttl > 0 ? Math.min(ttl, this.#options.arwl) : 0;
  }

  /** Whether the passive view may hold it. */
  #fits(name: unknown): name is string {
    return this.#isName(name) && !this.#active.has(name);
  }

  #isName(name: unknown): name is string {
    return isName(name) && name !== this.#options.self;
  }
}
