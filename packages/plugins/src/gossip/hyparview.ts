/**
 * HyParView: whom a node is linked to, and whom else it knows. A machine after Leitao, Pereira and
 * Rodrigues (DSN 2007): messages, news of connections and `now` (ms, monotonic) in; calls on `out` out.
 *
 * The *active view* is small and symmetric: A holds B as long as B holds A. The *passive view* is an
 * address book. A lost neighbour is replaced from the passive view: asked with low priority (and refused
 * where there is no room), or with high priority by a node that has nobody. Views mix by shuffles.
 *
 * Who gets in is up to two hooks. `group`: at most one neighbour of a group (a /24, an AS); whoever is in
 * stays. `chosenAtLeast`: so many places are kept for neighbours that this node picked itself, so that
 * strangers cannot fill the view by asking; a link is one side's choice, so more than half cannot hold
 * everywhere.
 *
 * `out` may call back at once. After `dial(to)` the host says `connected` (also when it was connected
 * already) or `unreachable`; `disconnected` when a connection to a neighbour ends. Everything a peer says
 * is checked, counted and bounded; nothing here throws because of it. Never sends payload.
 */

import { Budget } from "./budget.ts";
import { MAX_NAME, MAX_SHUFFLED, type MembershipMessage } from "./membership-message.ts";

export type { MembershipMessage } from "./membership-message.ts";

export interface MembershipOut {
  /** To a peer that is connected. */
  send(to: string, message: MembershipMessage): void;
  dial(to: string): void;
  /** No longer needed here; others may still use the connection. */
  release(to: string): void;
  /** A neighbour now. */
  up(peer: string): void;
  down(peer: string): void;
  /** It does more than its budget allows. */
  penalise?(peer: string, why: "flood"): void;
}

export interface HyParViewOptions {
  readonly self: string;
  /** A whole number in [0, bound). */
  readonly random: (bound: number) => number;
  readonly out: MembershipOut;
  /** Neighbours. Default 5. */
  readonly active?: number;
  /** Names kept beside them. Default 30. */
  readonly passive?: number;
  /** Steps of a random walk. Default 6. */
  readonly arwl?: number;
  /** At how many steps before its end a walk leaves the name in a passive view. Default 3. */
  readonly prwl?: number;
  /** Neighbours in a shuffle. Default 3. */
  readonly ka?: number;
  /** Passive names in a shuffle. Default 4. */
  readonly kp?: number;
  /** Default 10,000. */
  readonly dialTimeoutMs?: number;
  /** How long a request to be neighbours waits for its answer. Default 2,000. */
  readonly neighborTimeoutMs?: number;
  /** How long a walk's way back is remembered. Default 10,000. */
  readonly walkTimeoutMs?: number;
  /** Messages of one peer in a second; twice as many at once. Default 32. */
  readonly messagesPerSecond?: number;
  /** How often in a second somebody with high priority may displace another; eight times as often at once. Default 2. */
  readonly displacedPerSecond?: number;
  /** At most one neighbour of a group; `undefined`: of none. Default: nobody is of any. */
  readonly group?: (peer: string) => string | undefined;
  /** Places kept for neighbours that this node picked itself. Default 0; half of `active` is sensible. */
  readonly chosenAtLeast?: number;
}

/** Somebody we want as a neighbour. */
interface Wish {
  readonly kind: "join" | "fill" | "newcomer";
  asked: boolean;
  deadline: number;
}

interface Walk {
  readonly from: string;
  readonly to: string;
  readonly expires: number;
}

const MAX_WISHES = 16;
const MAX_WALKS = 256;
const MAX_CONTACTS = 16;

export class HyParView {
  readonly #options: Required<Omit<HyParViewOptions, "group">>;
  readonly #group: ((peer: string) => string | undefined) | undefined;
  readonly #out: MembershipOut;
  readonly #active = new Set<string>();
  readonly #chosen = new Set<string>();
  readonly #passive = new Set<string>();
  readonly #contacts = new Set<string>();
  readonly #wishes = new Map<string, Wish>();
  /** Asked in vain since the last shuffle. */
  readonly #tried = new Set<string>();
  /** By origin; the oldest first. */
  readonly #walks = new Map<string, Walk>();
  readonly #budget: Budget;
  readonly #displacements: Budget;
  #shuffled: { readonly to: string; readonly peers: readonly string[] } | undefined;

  /** Throws `RangeError` for sizes that make no sense. */
  constructor(options: HyParViewOptions) {
    const all = {
      active: 5,
      passive: 30,
      arwl: 6,
      prwl: 3,
      ka: 3,
      kp: 4,
      dialTimeoutMs: 10_000,
      neighborTimeoutMs: 2_000,
      walkTimeoutMs: 10_000,
      messagesPerSecond: 32,
      displacedPerSecond: 2,
      chosenAtLeast: 0,
      ...options,
    };
    whole(all.active, 1, "active");
    whole(all.passive, 1, "passive");
    whole(all.arwl, 1, "arwl");
    whole(all.prwl, 0, "prwl");
    whole(all.ka, 0, "ka");
    whole(all.kp, 0, "kp");
    whole(all.chosenAtLeast, 0, "chosenAtLeast");
    if (all.ka + all.kp >= MAX_SHUFFLED) throw new RangeError("ka + kp must be less than 32");
    if (all.chosenAtLeast > all.active) throw new RangeError("chosenAtLeast must fit into active");
    this.#options = all;
    this.#group = options.group;
    this.#out = options.out;
    this.#budget = new Budget(all.messagesPerSecond);
    this.#displacements = new Budget(all.displacedPerSecond, 8 * all.displacedPerSecond);
  }

  get active(): ReadonlySet<string> {
    return this.#active;
  }

  get passive(): ReadonlySet<string> {
    return this.#passive;
  }

  /** Neighbours that this node picked itself. */
  get chosen(): ReadonlySet<string> {
    return this.#chosen;
  }

  /** Ask `contact` to take us in; also later, to mend a network that fell apart. It is asked again whenever nobody else is left. */
  join(contact: string, now: number): void {
    if (!this.#isName(contact)) return;
    if (this.#contacts.size < MAX_CONTACTS) this.#contacts.add(contact);
    this.#wish(contact, "join", now);
  }

  /** Names to begin with, such as those kept from an earlier run. */
  remember(peers: Iterable<string>, now: number): void {
    for (const peer of peers) {
      if (this.#passive.size >= this.#options.passive) break;
      this.#keep(peer);
    }
    this.#fill(now);
  }

  /** Say goodbye to every neighbour. */
  leave(): void {
    this.#wishes.clear();
    this.#contacts.clear();
    this.#passive.clear();
    for (const peer of [...this.#active]) this.#drop(peer, true);
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
      const priority = this.#active.size === 0 ? "high" : "low";
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
      this.#chosen.delete(peer);
      this.#passive.delete(peer);
      this.#out.down(peer);
    }
    this.#fill(now);
  }

  /** To be called every minute or so: mixes the views, and tries again to fill the active one. */
  shuffle(now: number): void {
    this.#tried.clear();
    this.#fill(now);
    const to = this.#anyOf(this.#active);
    if (to === undefined) return;
    const peers = this.#sample(this.#active, this.#options.ka, to);
    peers.push(...this.#sample(this.#passive, this.#options.kp));
    this.#shuffled = { to, peers };
    const { self: origin, arwl: ttl } = this.#options;
    this.#out.send(to, { kind: "shuffle", origin, ttl, peers });
  }

  /** Gives up what waits too long. Returns when to be called next, in ms. */
  poll(now: number): number | undefined {
    let next: number | undefined;
    let late = false;
    for (const [peer, wish] of this.#wishes) {
      if (wish.deadline > now) {
        if (next === undefined || wish.deadline < next) next = wish.deadline;
        continue;
      }
      late = true;
      this.#wishes.delete(peer);
      this.#passive.delete(peer);
      this.#tried.add(peer);
      this.#out.release(peer);
    }
    if (!late) return next;
    this.#fill(now);
    return this.poll(now);
  }

  #onJoin(from: string, now: number): void {
    const admitted = this.#admit(from, true, false, now);
    this.#answer(from, admitted);
    if (!admitted) return;
    for (const peer of [...this.#active]) {
      if (peer === from) continue;
      this.#out.send(peer, { kind: "forward-join", peer: from, ttl: this.#options.arwl });
    }
  }

  #onForwardJoin(from: string, newcomer: string, ttl: number, now: number): void {
    if (!this.#isLinked(from) || !this.#isName(newcomer) || newcomer === from) return;
    const left = this.#steps(ttl);
    const next =
      left === 0 || this.#active.size <= 1 ? undefined : this.#anyOf(this.#active, from, newcomer);
    if (next === undefined) {
      this.#wish(newcomer, "newcomer", now);
      return;
    }
    if (left === this.#options.prwl) this.#keep(newcomer);
    this.#out.send(next, { kind: "forward-join", peer: newcomer, ttl: left - 1 });
  }

  #onReply(from: string, accepted: boolean, now: number): void {
    const wish = this.#wishes.get(from);
    if (wish?.asked === true) this.#wishes.delete(from);
    if (!accepted) {
      // Who refuses does not hold us, whatever we believed.
      if (this.#active.has(from)) this.#lose(from, true);
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
    this.#fill(now);
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
      left <= 0 || this.#active.size <= 1 ? undefined : this.#anyOf(this.#active, from, origin);
    if (next !== undefined) {
      const peers = namesOf(claimed);
      this.#markWay(origin, from, next, now);
      this.#out.send(next, { kind: "shuffle", origin, ttl: left, peers });
      return;
    }
    const peers = namesOf(claimed);
    const answer = this.#sample(
      this.#passive,
      Math.min(peers.length, this.#options.ka + this.#options.kp),
      origin,
    );
    this.#out.send(from, { kind: "shuffle-reply", origin, peers: answer });
    this.#learn([origin, ...peers], answer);
  }

  #onShuffleReply(from: string, origin: string, claimed: readonly string[], now: number): void {
    const peers = namesOf(claimed);
    if (origin === this.#options.self) {
      const shuffled = this.#shuffled;
      if (shuffled === undefined || shuffled.to !== from) return;
      this.#shuffled = undefined;
      this.#learn(peers, shuffled.peers);
      this.#fill(now);
      return;
    }
    const walk = this.#walks.get(origin);
    if (walk === undefined || walk.to !== from) return;
    this.#walks.delete(origin);
    if (walk.expires <= now || !this.#active.has(walk.from)) return;
    this.#out.send(walk.from, { kind: "shuffle-reply", origin, peers });
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
    if (!this.#groupIsFree(peer)) return false;
    const { active: places, chosenAtLeast } = this.#options;
    const crowded = !chosen && this.#active.size - this.#chosen.size >= places - chosenAtLeast;
    if (crowded || this.#active.size >= places) {
      if (!urgent || !(chosen || this.#displacements.take("", now))) return false;
      const guarded = crowded || this.#chosen.size <= chosenAtLeast;
      const unchosen = guarded ? [...this.#active].filter((p) => !this.#chosen.has(p)) : undefined;
      const victim =
        unchosen?.[this.#below(unchosen.length)] ??
        (guarded && !chosen ? undefined : this.#anyOf(this.#active));
      if (victim === undefined) return false;
      this.#drop(victim, false);
    }
    this.#active.add(peer);
    if (chosen) this.#chosen.add(peer);
    this.#passive.delete(peer);
    this.#tried.delete(peer);
    this.#out.up(peer);
    return true;
  }

  #drop(peer: string, leaving: boolean): void {
    this.#tell(peer, leaving);
    this.#lose(peer, !leaving);
  }

  #lose(peer: string, keep: boolean): void {
    this.#active.delete(peer);
    this.#chosen.delete(peer);
    this.#wishes.delete(peer);
    this.#tried.add(peer);
    if (keep) this.#keep(peer);
    this.#out.down(peer);
    this.#out.release(peer);
  }

  #wish(peer: string, kind: Wish["kind"], now: number): void {
    if (peer === this.#options.self || this.#active.has(peer) || this.#wishes.has(peer)) return;
    if (this.#wishes.size >= MAX_WISHES || !this.#groupIsFree(peer)) return;
    this.#wishes.set(peer, { kind, asked: false, deadline: now + this.#options.dialTimeoutMs });
    this.#out.dial(peer);
  }

  /** Asks passive names until enough are asked to fill the active view; the contacts when nobody is left. */
  #fill(now: number): void {
    for (;;) {
      let wanted = this.#options.active - this.#active.size;
      for (const wish of this.#wishes.values()) if (wish.kind !== "newcomer") wanted--;
      if (wanted <= 0 || this.#wishes.size >= MAX_WISHES) return;
      const peer = this.#candidate(this.#passive);
      if (peer !== undefined) {
        this.#wish(peer, "fill", now);
        continue;
      }
      if (this.#active.size > 0 || this.#wishes.size > 0) return;
      const contact = this.#candidate(this.#contacts);
      if (contact === undefined) return;
      this.#wish(contact, "join", now);
    }
  }

  #candidate(names: ReadonlySet<string>): string | undefined {
    let found: string | undefined;
    let seen = 0;
    for (const name of names) {
      if (this.#tried.has(name) || this.#wishes.has(name) || !this.#groupIsFree(name)) continue;
      seen++;
      if (this.#below(seen) === 0) found = name;
    }
    return found;
  }

  #groupIsFree(peer: string): boolean {
    const group = this.#group?.(peer);
    if (group === undefined) return true;
    for (const other of this.#active) if (this.#group?.(other) === group) return false;
    return true;
  }

  #keep(peer: string): void {
    if (!this.#isName(peer) || this.#active.has(peer) || this.#passive.has(peer)) return;
    if (this.#passive.size >= this.#options.passive) {
      const out = this.#anyOf(this.#passive);
      if (out !== undefined) this.#passive.delete(out);
    }
    this.#passive.add(peer);
  }

  /** Keeps `names`; those in `given` make room first, for another node holds them now. */
  #learn(names: readonly string[], given: readonly string[]): void {
    let at = 0;
    for (const name of names) {
      if (!this.#isName(name) || this.#active.has(name) || this.#passive.has(name)) continue;
      while (this.#passive.size >= this.#options.passive && at < given.length) {
        this.#passive.delete(given[at++] ?? "");
      }
      this.#keep(name);
    }
  }

  /** A walk that comes by twice goes back by its first way, which cannot be a circle. */
  #markWay(origin: string, from: string, to: string, now: number): void {
    const known = this.#walks.get(origin);
    const fresh = known !== undefined && known.expires > now ? known : undefined;
    if (known === undefined && this.#walks.size >= MAX_WALKS) {
      for (const oldest of this.#walks.keys()) {
        this.#walks.delete(oldest);
        break;
      }
    }
    const expires = fresh?.expires ?? now + this.#options.walkTimeoutMs;
    this.#walks.set(origin, { from: fresh?.from ?? from, to, expires });
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

  #isName(name: unknown): name is string {
    return (
      typeof name === "string" &&
      name !== "" &&
      name.length <= MAX_NAME &&
      name !== this.#options.self
    );
  }

  #below(bound: number): number {
    return bound <= 1 ? 0 : this.#options.random(bound);
  }

  #anyOf(names: ReadonlySet<string>, except?: string, alsoExcept?: string): string | undefined {
    let choices = names.size;
    if (except !== undefined && names.has(except)) choices--;
    if (alsoExcept !== undefined && alsoExcept !== except && names.has(alsoExcept)) choices--;
    if (choices <= 0) return undefined;
    let at = this.#below(choices);
    for (const name of names) {
      if (name === except || name === alsoExcept) continue;
      if (at-- === 0) return name;
    }
    return undefined;
  }

  #sample(names: ReadonlySet<string>, count: number, except?: string): string[] {
    const pool = [...names].filter((name) => name !== except);
    const taken = Math.min(count, pool.length);
    for (let i = 0; i < taken; i++) {
      const from = i + this.#below(pool.length - i);
      const held = pool[i] ?? "";
      pool[i] = pool[from] ?? "";
      pool[from] = held;
    }
    pool.length = taken;
    return pool;
  }
}

function namesOf(claimed: readonly string[]): readonly string[] {
  return Array.isArray(claimed) ? claimed.slice(0, MAX_SHUFFLED) : [];
}

function whole(value: number, least: number, name: string): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(`${name} must be a whole number from ${least}`);
  }
}
