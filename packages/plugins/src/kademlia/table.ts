/**
 * Routing table: k-buckets by common prefix, and the siblings (S/Kademlia; the rules of sections 4.1 and 4.2).
 * A machine: no sockets, no clocks; `now` is monotonic milliseconds.
 *
 * - A node that answered us enters while there is room. One that only sent something signed enters only far
 *   from our own id, since the buckets near it are sparse and cheap to fill with keys made for it.
 * - Nobody leaves a bucket for a newcomer: only a failed check of liveness makes room, the least recently
 *   seen is the one to check, and a replacement waits. A full bucket asks for one check at a time.
 * - Only who has answered, and not failed a check since, is handed out.
 * - At most so many nodes of one subnet (diversity.ts).
 *
 * It never contacts anybody, and never drops a node on its own.
 */

import { Bucket, drop, type Entry, type Spare } from "./bucket.ts";
import { SubnetCounts } from "./diversity.ts";
import { Nearest } from "./nearest.ts";
import { type Contact, commonPrefix, NODE_ID_BITS, sameId } from "./node-id.ts";
import { Siblings } from "./siblings.ts";

export interface RoutingTableOptions {
  /** This node. */
  readonly self: Contact;
  /** Members of a bucket, and replacements that wait for a place in it. Default 16. */
  readonly k?: number;
  /** Siblings of a key. Default 16. */
  readonly s?: number;
  /** The sibling list holds eta * s nodes. Default 5. */
  readonly eta?: number;
  /** Who has not answered enters only at a distance of more than so many bits. Default 32. */
  readonly chi?: number;
  /** Nodes of one subnet in one bucket. Default 2. */
  readonly perBucketSubnet?: number;
  /** Nodes of one subnet in the table. Default 10. */
  readonly perTableSubnet?: number;
  /** A member heard from within so many ms needs no check for the sake of a newcomer. Default 60,000. */
  readonly freshMs?: number;
  /** So many failed checks in a row end a membership even if nobody waits for the place. Default 3. */
  readonly maxFailures?: number;
}

export interface Insertion<C extends Contact> {
  /** It was not in the table and now is. */
  readonly added: boolean;
  /** Stands in the way: check whether it is alive, then call `answered` or `failed`. */
  readonly check?: C;
}

const STAYED_OUT: { readonly added: false } = { added: false };

export class RoutingTable<C extends Contact> {
  readonly #self: Contact;
  readonly #k: number;
  readonly #s: number;
  readonly #chi: number;
  readonly #freshMs: number;
  readonly #maxFailures: number;
  readonly #buckets: (Bucket<C> | undefined)[] = [];
  readonly #entries = new Map<string, Entry<C>>();
  readonly #siblings: Siblings<C>;
  readonly #subnets: SubnetCounts;

  constructor({
    self,
    k = 16,
    s = 16,
    eta = 5,
    chi = 32,
    perBucketSubnet = 2,
    perTableSubnet = 10,
    freshMs = 60_000,
    maxFailures = 3,
  }: RoutingTableOptions) {
    this.#self = self;
    this.#k = k;
    this.#s = s;
    this.#chi = chi;
    this.#freshMs = freshMs;
    this.#maxFailures = maxFailures;
    this.#siblings = new Siblings<C>(self.nodeId, s, eta);
    this.#subnets = new SubnetCounts(perBucketSubnet, perTableSubnet);
  }

  /** Members of the buckets and siblings, those included that wait for a check. */
  get size(): number {
    return this.#entries.size;
  }

  get(id: string): C | undefined {
    return this.#entries.get(id)?.contact;
  }

  /** Everybody in the table; `checked`: whether `closest` would hand it out. */
  *values(): Generator<{ contact: C; checked: boolean; seen: number }> {
    for (const { contact, checked, seen } of this.#entries.values()) {
      yield { contact, checked, seen };
    }
  }

  /**
   * Somebody was heard. `answered`: it answered something we asked; else it sent something signed. A contact
   * learnt from somebody else's words is not to be inserted before it has answered.
   */
  insert(contact: C, { answered }: { answered: boolean }, now: number): Insertion<C> {
    const entry = this.#entries.get(contact.id);
    if (entry !== undefined) {
      this.#again(entry, contact, answered, now);
      return STAYED_OUT;
    }
    const prefix = commonPrefix(this.#self.nodeId, contact.nodeId);
    if (prefix === NODE_ID_BITS || contact.id === this.#self.id) return STAYED_OUT;
    const bucket = this.#bucket(prefix);
    const spare = bucket.takeSpare(contact.id);
    const known = answered || spare?.answered === true;
    if (!this.#subnets.fits(prefix, contact.subnets)) return STAYED_OUT;
    const room = bucket.members.length < this.#k;
    if (known ? room || this.#siblings.accepts(contact) : room && this.#admits(prefix)) {
      this.#enter(bucket, prefix, { contact, answered: known, seen: now });
      return { added: true };
    }
    bucket.addSpare({ contact, answered: known, seen: now }, this.#k);
    const check = answered ? this.#inTheWay(bucket, now) : undefined;
    return check === undefined ? STAYED_OUT : { added: false, check };
  }

  /** It answered: as good as new. One that waited for a check before it may enter is inserted now. */
  answered(id: string, now: number): Insertion<C> {
    const entry = this.#entries.get(id);
    if (entry !== undefined) {
      this.#again(entry, entry.contact, true, now);
      return STAYED_OUT;
    }
    for (const bucket of this.#buckets) {
      const spare = bucket?.spares.find((waiting) => waiting.contact.id === id);
      if (spare !== undefined) return this.insert(spare.contact, { answered: true }, now);
    }
    return STAYED_OUT;
  }

  /**
   * It did not answer. It is handed out no more until it does; it leaves when somebody waits for its place or
   * this was its last chance. True if it left. Its place goes to a sibling without one, else to the newest
   * replacement.
   */
  failed(id: string, now: number): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      for (const bucket of this.#buckets) bucket?.takeSpare(id);
      return false;
    }
    const bucket = this.#bucket(entry.bucket);
    entry.failures++;
    entry.tried = now;
    entry.checked = false;
    if (bucket.checking?.id === id) bucket.checking = undefined;
    this.#leaveSiblings(entry);
    const awaited = bucket.extra.length > 0 || bucket.spares.some((spare) => spare.answered);
    if (entry.held && !awaited && entry.failures < this.#maxFailures) return false;
    this.#remove(entry);
    this.#fill(bucket, entry.bucket);
    return true;
  }

  /** Forgets one for a reason of the caller's, such as a ban. */
  delete(id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      for (const bucket of this.#buckets) bucket?.takeSpare(id);
      return false;
    }
    const bucket = this.#bucket(entry.bucket);
    if (bucket.checking?.id === id) bucket.checking = undefined;
    entry.checked = false;
    this.#leaveSiblings(entry);
    this.#remove(entry);
    this.#fill(bucket, entry.bucket);
    return true;
  }

  /** Whether somebody new would enter if he answered. */
  wants(contact: C): boolean {
    const { id, nodeId, subnets } = contact;
    const prefix = commonPrefix(this.#self.nodeId, nodeId);
    if (this.#entries.has(id) || prefix === NODE_ID_BITS) return false;
    if (!this.#subnets.fits(prefix, subnets)) return false;
    return (
      (this.#buckets[prefix]?.members.length ?? 0) < this.#k || this.#siblings.accepts(contact)
    );
  }

  /** The n closest to the target that may be handed out and that `filter` lets pass, closest first. */
  closest(target: Uint8Array, n: number, filter?: (contact: C) => boolean): C[] {
    const nearest = new Nearest<C>(target, n);
    const prefix = commonPrefix(this.#self.nodeId, target);
    const deepest = this.#buckets.length - 1;
    // Shares more of its bits with the target than anybody else: this bucket first.
    this.#offer(prefix, nearest, filter);
    // These differ from the target in its first bit behind the prefix: farther, and among themselves unsorted.
    if (!nearest.full) {
      for (let at = deepest; at > prefix; at--) this.#offer(at, nearest, filter);
    }
    for (let at = Math.min(prefix - 1, deepest); at >= 0 && !nearest.full; at--) {
      this.#offer(at, nearest, filter);
    }
    return [...nearest.items];
  }

  /** The n closest to this node, closest first. Default: s. */
  siblings(n: number = this.#s): C[] {
    return this.#siblings.items.slice(0, n);
  }

  /** Whether a node with that id is, or would be, among our s siblings: a lookup for it may end here. */
  isSibling(target: Uint8Array): boolean {
    return this.#siblings.covers(target);
  }

  /** A lookup of that target was made: its bucket counts as refreshed. */
  looked(target: Uint8Array, now: number): void {
    const prefix = commonPrefix(this.#self.nodeId, target);
    if (prefix < NODE_ID_BITS) this.#bucket(prefix).looked = now;
  }

  /** The prefixes of buckets without a lookup for that long, down to the deepest in use (see `nodeIdIn`). */
  stale(now: number, olderThanMs: number): number[] {
    const found: number[] = [];
    for (let at = 0; at < this.#buckets.length; at++) {
      const looked = this.#buckets[at]?.looked ?? Number.NEGATIVE_INFINITY;
      if (now - looked >= olderThanMs) found.push(at);
    }
    return found;
  }

  /**
   * At most n contacts whose turn it is to be checked, on the caller's schedule: half of them have not answered
   * yet, half are the least recently seen, for `olderThanMs` at least; a half that is short is filled up.
   */
  due(now: number, olderThanMs: number, n: number): C[] {
    const unchecked: C[] = [];
    const old: Entry<C>[] = [];
    for (const entry of this.#entries.values()) {
      if (!entry.checked && entry.failures === 0) unchecked.push(entry.contact);
      else if (now - Math.max(entry.seen, entry.tried) >= olderThanMs) old.push(entry);
    }
    for (const bucket of this.#buckets) {
      if (bucket === undefined || bucket.members.length >= this.#k) continue;
      for (const spare of bucket.spares) if (!spare.answered) unchecked.push(spare.contact);
    }
    old.sort((a, b) => a.seen - b.seen);
    const fresh = unchecked.slice(0, Math.max(Math.ceil(n / 2), n - old.length));
    return [...fresh, ...old.slice(0, n - fresh.length).map((entry) => entry.contact)];
  }

  #bucket(prefix: number): Bucket<C> {
    let bucket = this.#buckets[prefix];
    if (bucket === undefined) {
      while (this.#buckets.length <= prefix) this.#buckets.push(undefined);
      bucket = new Bucket<C>();
      this.#buckets[prefix] = bucket;
    }
    return bucket;
  }

  #offer(prefix: number, nearest: Nearest<C>, filter: ((contact: C) => boolean) | undefined): void {
    const bucket = this.#buckets[prefix];
    if (bucket === undefined) return;
    for (const list of [bucket.members, bucket.extra]) {
      for (const { checked, contact } of list) {
        if (checked && (filter === undefined || filter(contact))) nearest.offer(contact);
      }
    }
  }

  /**
   * Whether somebody unasked may enter this bucket. Beyond chi, and above the bucket where our siblings begin:
   * from there on down a network has fewer nodes than places, and a key made for one is cheap.
   */
  #admits(prefix: number): boolean {
    if (NODE_ID_BITS - prefix <= this.#chi) return false;
    if (!this.#siblings.full) return true;
    const last = this.#siblings.items[this.#siblings.size - 1] as C;
    return prefix < commonPrefix(this.#self.nodeId, last.nodeId);
  }

  #enter(bucket: Bucket<C>, prefix: number, { contact, answered, seen }: Spare<C>): void {
    const entry: Entry<C> = {
      contact,
      bucket: prefix,
      checked: answered,
      failures: 0,
      seen,
      tried: seen,
      held: false,
      near: false,
    };
    if (bucket.members.length < this.#k) bucket.admit(entry);
    else bucket.extra.push(entry);
    this.#entries.set(contact.id, entry);
    this.#subnets.add(prefix, contact.subnets);
    if (answered) this.#enterSiblings(entry);
  }

  #again(entry: Entry<C>, contact: C, answered: boolean, now: number): void {
    if (contact !== entry.contact && sameId(contact.nodeId, entry.contact.nodeId)) {
      this.#renew(entry, contact);
    }
    const bucket = this.#bucket(entry.bucket);
    entry.seen = now;
    bucket.toTail(entry);
    if (!answered) return;
    entry.checked = true;
    entry.failures = 0;
    if (bucket.checking?.id === entry.contact.id) bucket.checking = undefined;
    if (!entry.near) this.#enterSiblings(entry);
  }

  /** New addresses, if they are not in a crowded subnet: a record may not smuggle in what could not enter. */
  #renew(entry: Entry<C>, contact: C): void {
    this.#subnets.remove(entry.bucket, entry.contact.subnets);
    if (this.#subnets.fits(entry.bucket, contact.subnets)) {
      entry.contact = contact;
      if (entry.near) this.#siblings.replace(contact);
    }
    this.#subnets.add(entry.bucket, entry.contact.subnets);
  }

  #enterSiblings(entry: Entry<C>): void {
    const { entered, left } = this.#siblings.offer(entry.contact);
    if (!entered) return;
    entry.near = true;
    const pushed = left === undefined ? undefined : this.#entries.get(left.id);
    if (pushed === undefined) return;
    pushed.near = false;
    // Only as a sibling was it here, and its bucket is full.
    if (!pushed.held) {
      this.#remove(pushed);
      this.#bucket(pushed.bucket).addSpare(
        { contact: pushed.contact, answered: true, seen: pushed.seen },
        this.#k,
      );
    }
  }

  /** The next closest move up: of the table, or of those that wait and now are near enough to be in it. */
  #leaveSiblings(entry: Entry<C>): void {
    if (!entry.near) return;
    const wasFull = this.#siblings.full;
    this.#siblings.delete(entry.contact);
    entry.near = false;
    if (!wasFull) return;
    for (const other of this.closest(this.#self.nodeId, this.#siblings.size + 1)) {
      const candidate = this.#entries.get(other.id);
      if (candidate !== undefined && !candidate.near) this.#enterSiblings(candidate);
    }
    this.#buckets.forEach((bucket, prefix) => {
      for (const spare of bucket?.spares.filter((waiting) => waiting.answered) ?? []) {
        if (!this.#siblings.accepts(spare.contact)) continue;
        if (!this.#subnets.fits(prefix, spare.contact.subnets)) continue;
        bucket?.takeSpare(spare.contact.id);
        if (bucket !== undefined) this.#enter(bucket, prefix, spare);
      }
    });
  }

  #remove(entry: Entry<C>): void {
    const bucket = this.#bucket(entry.bucket);
    drop(entry.held ? bucket.members : bucket.extra, entry);
    this.#entries.delete(entry.contact.id);
    this.#subnets.remove(entry.bucket, entry.contact.subnets);
  }

  #fill(bucket: Bucket<C>, prefix: number): void {
    while (bucket.members.length < this.#k) {
      const sibling = bucket.extra.shift();
      if (sibling !== undefined) {
        bucket.admit(sibling);
        continue;
      }
      const at = bucket.spares.findLastIndex(
        ({ contact, answered }) => answered && this.#subnets.fits(prefix, contact.subnets),
      );
      const spare = bucket.spares[at];
      if (spare === undefined) return;
      bucket.spares.splice(at, 1);
      this.#enter(bucket, prefix, spare);
    }
  }

  /** Who has to be checked before somebody else can have the place. */
  #inTheWay(bucket: Bucket<C>, now: number): C | undefined {
    // A check that was never reported back must not close the bucket for good.
    if (bucket.checking !== undefined && now - bucket.checking.since < this.#freshMs) return;
    const entry =
      bucket.members.find((member) => !member.checked) ??
      bucket.members.find((member) => now - member.seen >= this.#freshMs);
    if (entry === undefined) return;
    bucket.checking = { id: entry.contact.id, since: now };
    return entry.contact;
  }
}
