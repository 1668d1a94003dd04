/**
 * Bucket: the contacts of one distance, as a routing table keeps them. Only lists and their order; who may
 * enter and who must leave is the table's business.
 */

import type { Contact } from "./node-id.ts";

/** A contact of the table and what is known about it. */
export interface Entry<C extends Contact> {
  contact: C;
  readonly bucket: number;
  /** It answered us, and no check has failed since. Others are not handed out. */
  checked: boolean;
  /** Failed checks since the last answer. */
  failures: number;
  /** When it was last heard, ms. */
  seen: number;
  /** When a check last failed, or when it came, ms. */
  tried: number;
  /** Among the bucket's members; else it is here only as a sibling. */
  held: boolean;
  /** Among the siblings. */
  near: boolean;
}

/** Waits for a member to fail. */
export interface Spare<C extends Contact> {
  readonly contact: C;
  readonly answered: boolean;
  /** When it was last heard, ms. */
  readonly seen: number;
}

export class Bucket<C extends Contact> {
  /** Least recently seen first; at most k. */
  readonly members: Entry<C>[] = [];
  /** Siblings for whom the members left no room. */
  readonly extra: Entry<C>[] = [];
  /** Newest last; at most k. */
  readonly spares: Spare<C>[] = [];
  /** Who is being checked to make room, and since when (ms). */
  checking: { readonly id: string; readonly since: number } | undefined;
  /** When a lookup last went through here, ms. */
  looked: number = Number.NEGATIVE_INFINITY;

  /** Takes its place by when it was seen. */
  admit(entry: Entry<C>): void {
    const { members } = this;
    let at = members.length;
    while (at > 0 && (members[at - 1] as Entry<C>).seen > entry.seen) at--;
    members.splice(at, 0, entry);
    entry.held = true;
  }

  toTail(entry: Entry<C>): void {
    const { members } = this;
    const at = members.indexOf(entry);
    if (at < 0 || at === members.length - 1) return;
    members.copyWithin(at, at + 1);
    members[members.length - 1] = entry;
  }

  /** Newest wins, but one that only came by never displaces one that answered. */
  addSpare(spare: Spare<C>, limit: number): void {
    const { spares } = this;
    if (spares.length >= limit) {
      const weaker = spares.findIndex((waiting) => !waiting.answered);
      if (weaker < 0 && !spare.answered) return;
      spares.splice(Math.max(weaker, 0), 1);
    }
    spares.push(spare);
  }

  takeSpare(id: string): Spare<C> | undefined {
    const at = this.spares.findIndex((spare) => spare.contact.id === id);
    return at < 0 ? undefined : this.spares.splice(at, 1)[0];
  }
}

/** Takes one out, keeping the order. */
export function drop<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
