/**
 * Reconcile: what does each of two nodes have that the other lacks? Range-based set reconciliation, as a machine.
 *
 * The asker sends ranges of the order (time, id), each with the fingerprint of what it has there. Who answers keeps
 * nothing between two messages: for each range it says *same*, cuts a range that differs into 16 and sends their
 * fingerprints, or, where it has few, lists its ids. Each turn goes one level down on one side, so that it is over
 * in O(log n) rounds, and its bytes go with the difference and not with the sets.
 *
 * A message has a bounded number of ranges and of ids. An answer that would be longer ends early; what it does not
 * cover is asked again. The asker ends after `maxRounds`, whatever the other side answers, with what it knows by then.
 */

import { type Bound, FIRST, type Ids, isBefore, LAST } from "./ids.ts";

/** In messages, from the end of the range before (of `FIRST`) to `to`. */
export interface Range {
  readonly to: Bound;
  /** The two have the same here, or nothing is asked; a fingerprint; "list what you have"; a list of ids. */
  readonly content:
    | "same"
    | "list"
    | { readonly fingerprint: string }
    | { readonly ids: readonly string[] };
}

export const MAX_RANGES = 1_024;
export const MAX_IDS = 2_048;
const PARTS = 16;
/** Who has so few in a range that differs lists them, or has the other list its own. */
const FEW = 32;
/** Ids in one range's list; above, the range is cut instead. */
const MAX_LIST = 512;

/** What a node answers. Ranges that do not ascend throw `Error`: no honest node sends them. */
export function answer(own: Ids, ranges: readonly Range[]): Range[] {
  const said: Range[] = [];
  let ids = 0;
  let from = 0;
  let after = FIRST;
  for (const { to, content } of ranges) {
    if (!isBefore(after, to)) throw new Error("the ranges do not ascend");
    const end = own.find(to);
    if (said.length + PARTS > MAX_RANGES || ids >= MAX_IDS) break;
    const few = content === "list" ? MAX_LIST : FEW;
    if (content === "same" || isSame(own, from, end, content)) {
      same(said, to);
    } else if (end - from <= few) {
      said.push({ to, content: { ids: own.slice(from, end) } });
      ids += end - from;
    } else {
      cut(own, from, end, to, said);
    }
    [from, after] = [end, to];
  }
  return said;
}

export interface ReconciliationOptions {
  /** What we have; may change while it runs. */
  readonly own: Ids;
  /** Default 24. */
  readonly maxRounds?: number;
  /** Of each list below: what is beyond waits for the next time. Default 65,536. */
  readonly maxFound?: number;
}

interface Open {
  readonly from: Bound;
  readonly to: Bound;
}

/** The asking side: `next()` is what to send, `take()` takes the answer to it. */
export class Reconciliation {
  /** Ids of ours that the other side lacks, and of its that we lack. */
  readonly have: string[] = [];
  readonly need: string[] = [];
  rounds = 0;
  readonly #own: Ids;
  readonly #maxRounds: number;
  readonly #maxFound: number;
  /** Ranges that may differ, ascending. */
  #open: Open[] = [{ from: FIRST, to: LAST }];
  #asked: Open[] = [];

  constructor({ own, maxRounds = 24, maxFound = 65_536 }: ReconciliationOptions) {
    this.#own = own;
    this.#maxRounds = maxRounds;
    this.#maxFound = maxFound;
  }

  /** The next message, or `undefined` when all is known, or enough was asked. */
  next(): Range[] | undefined {
    if (this.#open.length === 0 || this.rounds >= this.#maxRounds) return undefined;
    this.rounds++;
    const ranges: Range[] = [];
    let at = FIRST;
    let taken = 0;
    for (const open of this.#open) {
      if (ranges.length + 1 + PARTS > MAX_RANGES) break;
      if (isBefore(at, open.from)) same(ranges, open.from);
      this.#ask(open, ranges);
      at = open.to;
      taken++;
    }
    this.#asked = this.#open.slice(0, taken);
    this.#open = this.#open.slice(taken);
    return ranges;
  }

  #ask({ from, to }: Open, ranges: Range[]): void {
    const [first, end] = [this.#own.find(from), this.#own.find(to)];
    if (end - first <= FEW && this.rounds > 1) ranges.push({ to, content: "list" });
    else if (end === first) ranges.push({ to, content: "list" });
    else if (end - first <= FEW)
      ranges.push({ to, content: { fingerprint: this.#own.fingerprint(first, end) } });
    else cut(this.#own, first, end, to, ranges);
  }

  /** Throws `Error` for an answer that does not ascend, or that says something about what was not asked. */
  take(answered: readonly Range[]): void {
    const open: Open[] = [];
    let from = FIRST;
    let asked = 0;
    for (const { to, content } of answered) {
      if (!isBefore(from, to)) throw new Error("the ranges do not ascend");
      if (content !== "same") {
        while (asked < this.#asked.length && !isBefore(from, (this.#asked[asked] as Open).to))
          asked++;
        const around = this.#asked[asked];
        if (around === undefined || isBefore(from, around.from) || isBefore(around.to, to)) {
          throw new Error("an answer to what was not asked");
        }
        this.#differs({ from, to }, content, open);
      }
      from = to;
    }
    // What the answer does not reach is asked again.
    for (const left of this.#asked) {
      if (isBefore(from, left.to))
        open.push(isBefore(left.from, from) ? { from, to: left.to } : left);
    }
    this.#asked = [];
    this.#open = [...open, ...this.#open];
  }

  #differs(range: Open, content: Exclude<Range["content"], "same">, open: Open[]): void {
    if (content === "list") throw new Error("an answer asks for a list");
    const [first, end] = [this.#own.find(range.from), this.#own.find(range.to)];
    if ("fingerprint" in content) {
      if (!isSame(this.#own, first, end, content)) open.push(range);
      return;
    }
    const theirs = new Set(content.ids);
    for (const id of this.#own.slice(first, end)) {
      if (!theirs.delete(id) && this.have.length < this.#maxFound) this.have.push(id);
    }
    for (const id of theirs) if (this.need.length < this.#maxFound) this.need.push(id);
  }
}

function isSame(own: Ids, from: number, end: number, content: Range["content"]): boolean {
  if (typeof content !== "object" || !("fingerprint" in content)) return false;
  return own.fingerprint(from, end) === content.fingerprint;
}

/** Two that are the same are one. */
function same(ranges: Range[], to: Bound): void {
  if (ranges.at(-1)?.content === "same") ranges.pop();
  ranges.push({ to, content: "same" });
}

/** The entries from one index to another as up to 16 ranges with their fingerprints, the last of which ends at `to`. */
function cut(own: Ids, from: number, end: number, to: Bound, ranges: Range[]): void {
  const count = end - from;
  let start = from;
  for (let part = 1; part <= PARTS; part++) {
    const next = part === PARTS ? end : from + Math.floor((count * part) / PARTS);
    if (next === start) continue;
    const content = { fingerprint: own.fingerprint(start, next) };
    ranges.push({ to: next === end ? to : own.boundAt(next), content });
    start = next;
  }
}
