/**
 * Lookup: finds the nodes closest to a target over d disjoint paths (S/Kademlia, section 4.4), so that an
 * adversary has to stand on every path to spoil it. A machine: it says whom to ask, and is told what came.
 *
 *     for (let ask = lookup.next(); ask !== undefined; ask = lookup.next()) send(ask.contact);
 *     // on each answer: lookup.answered(contact, contacts, terminal); on a timeout: lookup.failed(contact)
 *
 * - The seeds are dealt round; a node is asked by one path only, and a path's seeds are its own, whoever else
 *   hears of them, as long as it goes on.
 * - A path ends when somebody on it holds the target among its siblings, when nobody among the k closest it
 *   heard of is left to ask, or when it has asked `perPath` nodes. With `confirm`, also when the s closest it heard
 *   of are all being asked, by whatever path: what lies behind them leads away from the target.
 * - Then the nodes that the paths found closest are asked themselves (`confirm`), path by path in turn, so
 *   that a liar's inventions crowd out nobody's finds, and what they name is found, too: who hides the target
 *   from the paths by naming all its neighbours must not win. Only who has answered is in the result.
 * - That begins while paths still run, with the finds of a path that ended. And a path asks, beside what it asks
 *   anyway, whom it knows and the result could hold. Such an answer counts on that path as any other, so that the
 *   paths stay disjoint; it only comes sooner. At most 2 * s nodes are asked so, and at once no more than a path's
 *   share of s, or the first path to hear of them would leave nothing to the others.
 * - Who is slow is waited for only while fewer than s have answered.
 *
 * However much is answered, a lookup asks at most d * perPath + 4 * s nodes, and remembers at most
 * max(k, s) contacts of each answer.
 */

import { Nearest } from "./nearest.ts";
import { type Contact, Target } from "./node-id.ts";

export interface LookupOptions<C extends Contact> {
  /** 32 bytes. */
  readonly target: Uint8Array;
  /** This node: never asked. */
  readonly self: Contact;
  /** The closest that are known, at best k of them. */
  readonly seeds: readonly C[];
  /** Paths. Default 8. */
  readonly d?: number;
  /** How many of the closest a path keeps. Default 16. */
  readonly k?: number;
  /** How many nodes the result has at most. Default 16. */
  readonly s?: number;
  /** Queries under way on one path. Default 1. */
  readonly alpha?: number;
  /** Queries of one path in all. Default 32. */
  readonly perPath?: number;
  /** Ask the nodes that were found, too: needed to store something on them. Default true. */
  readonly confirm?: boolean;
}

/** Whom to ask next. `path` is d for a node that is asked only because others named it as found. */
export interface Query<C extends Contact> {
  readonly contact: C;
  readonly path: number;
}

interface Path<C extends Contact> {
  /** The k closest heard of on this path, asked or not. */
  readonly list: Nearest<C>;
  /** The s closest that the answers named: what this path found. */
  readonly finds: Nearest<C>;
  asked: number;
  /** Queries that hold a place of alpha. */
  flying: number;
  /** Queries that may still be answered: those, the early ones, and the slow ones. */
  open: number;
  /** Of those, the early ones. */
  early: number;
  /** Somebody on it has answered. */
  heard: boolean;
  over: boolean;
}

/** `early`: flying, but in nobody's place. */
type Fate = "flying" | "early" | "slow" | "answered" | "failed";

interface Claim<C extends Contact> {
  readonly contact: C;
  readonly path: Path<C> | undefined;
  /** Whose find it was, if it is only confirmed. */
  readonly finder: Path<C> | undefined;
  fate: Fate;
}

export class Lookup<C extends Contact> {
  readonly target: Uint8Array;
  readonly #from: Target;
  readonly #self: Contact;
  readonly #s: number;
  readonly #alpha: number;
  readonly #perPath: number;
  readonly #perAnswer: number;
  readonly #confirm: boolean;
  readonly #paths: Path<C>[] = [];
  readonly #claims = new Map<string, Claim<C>>();
  /** Seeds that nobody has asked yet. */
  readonly #owners = new Map<string, Path<C>>();
  readonly #verified: Nearest<C>;
  #turn = 0;
  #live: number;
  #confirmed = 0;
  #early = 0;
  /** Queries under way, the slow ones aside. */
  #underWay = 0;
  /** Queries of the last phase, counted as those of a path. */
  readonly #last: { flying: number; open: number } = { flying: 0, open: 0 };

  constructor({
    target,
    self,
    seeds,
    d = 8,
    k = 16,
    s = 16,
    alpha = 1,
    perPath = 32,
    confirm = true,
  }: LookupOptions<C>) {
    this.target = target;
    this.#self = self;
    this.#s = s;
    this.#alpha = alpha;
    this.#perPath = perPath;
    this.#perAnswer = Math.max(k, s);
    this.#confirm = confirm;
    const from = new Target(target);
    this.#from = from;
    for (let at = 0; at < d; at++) {
      const list = new Nearest<C>(from, k);
      const finds = new Nearest<C>(from, s);
      this.#paths.push({
        list,
        finds,
        asked: 0,
        flying: 0,
        open: 0,
        early: 0,
        heard: false,
        over: false,
      });
    }
    this.#verified = new Nearest<C>(from, s);
    this.#live = d;
    this.#deal(seeds, from, d * k);
  }

  /** True when there is nobody left to ask or to wait for. */
  get done(): boolean {
    if (this.#awaits()) return false;
    const waits = this.#live > 0 || this.#last.open > 0;
    // Only slow ones are open, and the result is full without them.
    if (waits && !(this.#confirm && this.#verified.full && this.#stands())) return false;
    return this.#toConfirm() === undefined;
  }

  /** Nodes asked so far. */
  get asked(): number {
    return this.#claims.size;
  }

  /**
   * Whom to ask now; it counts as asked from here on. `undefined`: nobody until something is reported, or for
   * good (`done`).
   */
  next(): Query<C> | undefined {
    const paths = this.#paths;
    for (let tried = 0; tried < paths.length && this.#live > 0; tried++) {
      const at = this.#turn;
      this.#turn = (at + 1) % paths.length;
      const path = paths[at] as Path<C>;
      if (path.over || path.flying >= this.#alpha) continue;
      const contact = this.#choose(path);
      if (contact === undefined) {
        this.#rest(path);
        continue;
      }
      path.asked++;
      this.#claim(contact, path, "flying");
      return { contact, path: at };
    }
    if (this.#live > 0) return this.#nextEarly();
    return this.#nextConfirmed();
  }

  /**
   * What a node that was asked said. `contacts`: already checked to be what they claim; of more than max(k, s)
   * the rest is ignored. `terminal`: it holds the target among its siblings. Ignored for a node that was not
   * asked, or has answered or failed before.
   */
  answered(contact: C, contacts: readonly C[], terminal: boolean): void {
    const claim = this.#claims.get(contact.id);
    if (claim === undefined || claim.fate === "answered" || claim.fate === "failed") return;
    this.#land(claim, "answered");
    this.#verified.offer(claim.contact);
    const { path } = claim;
    const hearer = path ?? claim.finder;
    if (hearer === undefined) return;
    hearer.heard = true;
    hearer.finds.offer(claim.contact);
    const count = Math.min(contacts.length, this.#perAnswer);
    for (let i = 0; i < count; i++) this.#hear(hearer, contacts[i] as C);
    if (path === undefined) return;
    if (terminal) this.#end(path);
    else this.#rest(path);
  }

  /** It did not answer, or answered nonsense: it is not asked again. */
  failed(contact: C): void {
    const claim = this.#claims.get(contact.id);
    if (claim === undefined || claim.fate === "answered" || claim.fate === "failed") return;
    this.#land(claim, "failed");
    if (claim.path !== undefined) this.#rest(claim.path);
  }

  /** It takes its time: the path goes on beside it, but does not end for want of nodes before it is settled. */
  slow(contact: C): void {
    const claim = this.#claims.get(contact.id);
    if (claim?.fate === "flying" || claim?.fate === "early") this.#land(claim, "slow");
  }

  /** Asks nothing more on this path. */
  abandon(path: number): void {
    const ended = this.#paths[path];
    if (ended !== undefined) this.#end(ended);
  }

  /** The s closest of those that answered, closest first. */
  result(): C[] {
    return [...this.#verified.items];
  }

  #deal(seeds: readonly C[], from: Target, most: number): void {
    const sorted = new Nearest<C>(from, most);
    for (const seed of seeds) if (!this.#isSelf(seed)) sorted.offer(seed);
    sorted.items.forEach((seed, i) => {
      const path = this.#paths[i % this.#paths.length];
      if (path?.list.offer(seed) !== true) return;
      path.finds.offer(seed);
      this.#owners.set(seed.id, path);
    });
    for (const path of this.#paths) if (path.list.size === 0) this.#end(path);
  }

  #isSelf(contact: C): boolean {
    return contact.id === this.#self.id;
  }

  #hear(path: Path<C>, contact: C): void {
    if (this.#isSelf(contact)) return;
    path.finds.offer(contact);
    if (path.over || this.#claims.has(contact.id)) return;
    const owner = this.#owners.get(contact.id);
    if (owner !== undefined && owner !== path && !owner.over) return;
    path.list.offer(contact);
  }

  /** The seed of a path that goes on. */
  #isOwned(contact: C): boolean {
    return this.#owners.get(contact.id)?.over === false;
  }

  #choose(path: Path<C>): C | undefined {
    if (path.asked >= this.#perPath) return undefined;
    const { finds } = path;
    const bound = this.#confirm && path.heard && finds.full;
    for (const contact of path.list.items) {
      if (this.#claims.has(contact.id)) continue;
      return bound && !finds.has(contact.nodeId) ? undefined : contact;
    }
    return undefined;
  }

  #claim(contact: C, path: Path<C> | undefined, fate: "flying" | "early", finder?: Path<C>): void {
    this.#owners.delete(contact.id);
    this.#claims.set(contact.id, { contact, path, finder, fate });
    const queries = path ?? this.#last;
    if (fate === "flying") queries.flying++;
    queries.open++;
    this.#underWay++;
  }

  #land(claim: Claim<C>, fate: Fate): void {
    const queries = claim.path ?? this.#last;
    if (claim.fate === "flying") queries.flying--;
    if (claim.fate === "early" && claim.path !== undefined) claim.path.early--;
    if (claim.fate !== "slow") this.#underWay--;
    if (fate !== "slow") queries.open--;
    claim.fate = fate;
  }

  /** A path with nobody to ask and nobody to wait for is over. */
  #rest(path: Path<C>): void {
    if (path.open === 0 && this.#choose(path) === undefined) this.#end(path);
  }

  #end(path: Path<C>): void {
    if (path.over) return;
    path.over = true;
    this.#live--;
  }

  /** Whom to confirm while the paths still run. */
  #nextEarly(): Query<C> | undefined {
    if (!this.#confirm || this.#early >= 2 * this.#s) return undefined;
    const hopes = this.#hopes();
    const paths = this.#paths;
    const share = Math.ceil(this.#s / paths.length);
    for (let i = 0; i < paths.length; i++) {
      const at = (this.#early + i) % paths.length;
      const path = paths[at] as Path<C>;
      if (path.over || path.early >= share) continue;
      const contact = this.#choose(path);
      if (contact === undefined || !hopes.accepts(contact)) continue;
      this.#early++;
      path.early++;
      path.asked++;
      this.#claim(contact, path, "early");
      return { contact, path: at };
    }
    return this.#nextConfirmed();
  }

  #nextConfirmed(): Query<C> | undefined {
    const { length } = this.#paths;
    if (this.#last.flying >= Math.max(length * this.#alpha, this.#s)) return undefined;
    const found = this.#toConfirm();
    if (found === undefined) return undefined;
    this.#confirmed++;
    this.#claim(found.contact, undefined, "flying", found.finder);
    return { contact: found.contact, path: length };
  }

  /** The closest unasked find of the paths that are over, in turn, if it could still be in the result. */
  #toConfirm(): { readonly contact: C; readonly finder: Path<C> } | undefined {
    if (!this.#confirm || this.#confirmed >= 4 * this.#s) return undefined;
    const hopes = this.#hopes();
    const paths = this.#paths;
    for (let i = 0; i < paths.length; i++) {
      const finder = paths[(this.#confirmed + i) % paths.length] as Path<C>;
      if (!finder.over && this.#choose(finder) !== undefined) continue;
      if (this.#live > 0 && !finder.heard) continue;
      for (const contact of finder.finds.items) {
        if (this.#claims.has(contact.id) || this.#isOwned(contact)) continue;
        if (hopes.accepts(contact)) return { contact, finder };
        break;
      }
    }
    return undefined;
  }

  /** The result, if all that are being asked answer. */
  #hopes(): Nearest<C> {
    if (this.#underWay === 0) return this.#verified;
    const hopes = new Nearest<C>(this.#from, this.#s);
    for (const contact of this.#verified.items) hopes.offer(contact);
    for (const { contact, fate } of this.#claims.values())
      if (isUnderWay(fate)) hopes.offer(contact);
    return hopes;
  }

  /** No path has anybody to ask, nor waits for anybody but the slow. */
  #stands(): boolean {
    return (
      this.#underWay === 0 &&
      this.#paths.every((path) => path.over || this.#choose(path) === undefined)
    );
  }

  /** Somebody may answer yet who would be in the result. */
  #awaits(): boolean {
    if (!this.#confirm || this.#underWay === 0) return false;
    for (const { contact, fate } of this.#claims.values()) {
      if (isUnderWay(fate) && this.#verified.accepts(contact)) return true;
    }
    return false;
  }
}

function isUnderWay(fate: Fate): boolean {
  return fate === "flying" || fate === "early";
}
