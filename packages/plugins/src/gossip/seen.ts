/**
 * Seen: which items of which origin have been taken. A machine; never asks a clock.
 *
 * For each origin its two latest epochs, and in each the highest number taken and the gaps below it: what
 * was taken is told apart from what is missing for ever, not only while a cache remembers. A bounded number of
 * gaps, the oldest close first: what was in them is refused, never taken twice.
 *
 * A bounded number of origins. When there are too many, some go, and the floor rises to the time of the last
 * that they said: from then on an item of an unknown origin must be later than the floor. So nothing that was
 * taken is taken again. Those go first who said little, the oldest first, so that origins which an attacker
 * makes up push out each other. An origin that comes back with something new is simply known again.
 *
 * The floor stays behind our clock, for those whose last item is ahead of it never have all the room: those
 * far ahead a quarter, those within `SLACK_MS` and they together five eighths, and somewhat more of it is left
 * for who said much already. Within the slack every clock is right, so that who fills the quarter locks out
 * wrong clocks only. What a newcomer takes of the room that is scarce, `price` says: a host grants each
 * peer a bounded number of those in a second.
 *
 * Clocks: an item's time must be within `maxSkewMs` of ours, and `windowMs` more into the past. The bound is wide (two
 * days) because it guards nothing else: replays are told by marks and floor, which no clock moves back. A
 * node that starts anew has no marks; hand it those of its last life (`save`), or it takes what is in reach of
 * its clock once more.
 */

import { readU32, readU64, writeU32, writeU64 } from "@testudo/core";
import { binary, writeBinary } from "./origin.ts";

export interface SeenOptions {
  /** Default 16,384. */
  readonly maxOrigins?: number;
  /** Gaps of one origin in one epoch. Default 64. */
  readonly maxGaps?: number;
  /** How far two clocks may be apart. Default 49 hours: both may be a day wrong. */
  readonly maxSkewMs?: number;
  /** How old an item may be that is brought late. Default 20 minutes. */
  readonly windowMs?: number;
  /** What `save` gave in an earlier life; bytes that cannot be read throw `RangeError`. */
  readonly saved?: Uint8Array | undefined;
}

/** What `judge` says: only `new` may be taken. */
export type Verdict = "new" | "seen" | "old" | "early";

/** What an item is judged by. */
export interface Mark {
  readonly originKey: string;
  readonly epoch: number;
  readonly seq: number;
  readonly time: number;
}

/** One epoch of one origin. */
interface Count {
  readonly epoch: number;
  high: number;
  /** From, to, from, to, …: what is missing below `high`, ascending. */
  readonly gaps: number[];
}

interface Known {
  /** The floor when it became known: what is not later may have been taken before. */
  readonly floor: number;
  last: number;
  /** How many were taken, up to `ESTABLISHED`. */
  items: number;
  now: Count;
  before: Count | undefined;
}

const ENTRY_BYTES = 52;
const HEAD_BYTES = 12;
/** What part of the origins goes at once: looking for them costs a pass over all. */
const PART = 16;
/** No clock is wrong that is ahead by less. */
const SLACK_MS = 60_000;
/** What part of the origins may be ahead: far ahead, and at all. The second of each is for the established. */
const FAR_SHARES = [1 / 4, 3 / 8] as const;
const AHEAD_SHARES = [5 / 8, 7 / 8] as const;
/** From this part on the room of origins is scarce, and from that on the room of those ahead. */
const SCARCE = 3 / 4;
const SCARCE_AHEAD = 1 / 4;
/** What one far ahead takes: its place is taken for hours. */
const FAR_PRICE = 4;
const RECOUNT_MS = 1_000;
/** Who said so many goes last. */
const ESTABLISHED = 4;

export class Seen {
  readonly #maxOrigins: number;
  readonly #maxGaps: number;
  readonly #maxSkewMs: number;
  readonly #windowMs: number;
  readonly #origins = new Map<string, Known>();
  #floor = 0;
  /** Origins whose last item is ahead of the clock, and far ahead: as counted last, and more since. */
  #ahead = 0;
  #far = 0;
  #countedAt = Number.NEGATIVE_INFINITY;

  constructor(options: SeenOptions = {}) {
    this.#maxOrigins = options.maxOrigins ?? 16_384;
    this.#maxGaps = options.maxGaps ?? 64;
    this.#maxSkewMs = options.maxSkewMs ?? 176_400_000;
    this.#windowMs = options.windowMs ?? 1_200_000;
    if (options.saved !== undefined) this.#load(options.saved);
  }

  /** Origins known now. */
  get size(): number {
    return this.#origins.size;
  }

  /** Unknown origins are heard from this time on, exclusively. */
  get floor(): number {
    return this.#floor;
  }

  /** The latest epoch of an origin. */
  epochOf(originKey: string): number | undefined {
    return this.#origins.get(originKey)?.now.epoch;
  }

  /** Whether an item may be taken. Changes nothing: its signature is still to be checked. */
  judge({ originKey, epoch, seq, time }: Mark, wallClock: number): Verdict {
    const known = this.#origins.get(originKey);
    if (known !== undefined) {
      const count = countOf(known, epoch);
      if (count !== undefined && !isMissing(count, seq)) return "seen";
      // Those between the two that are known were never taken; those before them may have been.
      if (count === undefined && epoch < (known.before?.epoch ?? 0)) return "old";
    }
    if (time > wallClock + this.#maxSkewMs) return "early";
    if (time > wallClock && !this.#mayBeAhead(known, time, wallClock)) return "early";
    if (time < wallClock - this.#maxSkewMs - this.#windowMs) return "old";
    return time > (known?.floor ?? this.#floor) ? "new" : "old";
  }

  /** How much scarce room would be taken by an item that was judged `new`; mostly 0. */
  price({ originKey, time }: Mark, wallClock: number): number {
    const last = this.#origins.get(originKey)?.last;
    const far = wallClock + SLACK_MS;
    if (time > far && (last ?? 0) <= far) return FAR_PRICE;
    if (last !== undefined) return 0;
    this.#recount(wallClock);
    const crowded = this.#origins.size >= SCARCE * this.#maxOrigins;
    return crowded || (time > wallClock && this.#ahead >= SCARCE_AHEAD * this.#maxOrigins) ? 1 : 0;
  }

  /** Takes an item that was judged `new`, and whose signature is good. */
  take({ originKey, epoch, seq, time }: Mark, wallClock: number): void {
    const known = this.#origins.get(originKey);
    const before = known?.last ?? 0;
    const far = wallClock + SLACK_MS;
    if (time > wallClock && before <= wallClock) this.#ahead++;
    if (time > far && before <= far) this.#far++;
    if (known === undefined) {
      if (this.#origins.size >= this.#maxOrigins) this.#forget(wallClock);
      const now = this.#counted(epoch, seq);
      const fresh = { floor: this.#floor, last: time, items: 1, now, before: undefined };
      this.#origins.set(originKey, fresh);
      return;
    }
    known.last = Math.max(known.last, time);
    if (known.items < ESTABLISHED) known.items++;
    const count = countOf(known, epoch);
    if (count !== undefined) {
      this.#count(count, seq);
    } else if (epoch > known.now.epoch) {
      known.before = known.now;
      known.now = this.#counted(epoch, seq);
    } else {
      known.before = this.#counted(epoch, seq);
    }
  }

  /** The marks of all origins, for the next life. Gaps are not kept: what is missing now stays missing. */
  save(): Uint8Array {
    const bytes = new Uint8Array(HEAD_BYTES + ENTRY_BYTES * this.#origins.size);
    writeU64(bytes, 0, this.#floor);
    writeU32(bytes, 8, this.#origins.size);
    let at = HEAD_BYTES;
    for (const [key, { now, last }] of this.#origins) {
      writeBinary(bytes, at, key);
      writeU64(bytes, at + 32, now.epoch);
      writeU32(bytes, at + 40, now.high);
      writeU64(bytes, at + 44, last);
      at += ENTRY_BYTES;
    }
    return bytes;
  }

  #load(bytes: Uint8Array): void {
    const floor = bytes.length < HEAD_BYTES ? undefined : readU64(bytes, 0);
    if (floor === undefined || bytes.length !== HEAD_BYTES + ENTRY_BYTES * readU32(bytes, 8)) {
      throw new RangeError("saved must be what save() gave");
    }
    this.#floor = floor;
    for (let at = HEAD_BYTES; at < bytes.length; at += ENTRY_BYTES) {
      const epoch = readU64(bytes, at + 32);
      const last = readU64(bytes, at + 44);
      if (epoch === undefined || last === undefined)
        throw new RangeError("saved must be what save() gave");
      if (this.#origins.size >= this.#maxOrigins) this.#forget(Number.POSITIVE_INFINITY);
      // Of the epoch before, nothing was kept: it counts as taken to its end.
      const before = { epoch: epoch - 1, high: 2 ** 32, gaps: [] };
      const now = { epoch, high: readU32(bytes, at + 40), gaps: [] };
      const items = ESTABLISHED;
      this.#origins.set(binary(bytes, at, at + 32), { floor, last, items, now, before });
    }
  }

  #counted(epoch: number, seq: number): Count {
    const count = { epoch, high: 0, gaps: [] };
    this.#count(count, seq);
    return count;
  }

  #count(count: Count, seq: number): void {
    const { gaps } = count;
    if (seq > count.high) {
      if (seq > count.high + 1) gaps.push(count.high + 1, seq - 1);
      count.high = seq;
    } else {
      const at = gapOf(gaps, seq);
      const [from, to] = [gaps[at] as number, gaps[at + 1] as number];
      const rest = [];
      if (from < seq) rest.push(from, seq - 1);
      if (seq < to) rest.push(seq + 1, to);
      gaps.splice(at, 2, ...rest);
    }
    if (gaps.length > 2 * this.#maxGaps) gaps.splice(0, gaps.length - 2 * this.#maxGaps);
  }

  /** Whoever is as far ahead already may go on. */
  #mayBeAhead(known: Known | undefined, time: number, wallClock: number): boolean {
    const last = known?.last ?? 0;
    const far = wallClock + SLACK_MS;
    const established = known?.items === ESTABLISHED ? 1 : 0;
    this.#recount(wallClock);
    if (last <= wallClock && this.#ahead >= AHEAD_SHARES[established] * this.#maxOrigins)
      return false;
    return time <= far || last > far || this.#far < FAR_SHARES[established] * this.#maxOrigins;
  }

  /** A pass over all, so not for every item. Too many are counted meanwhile, never too few. */
  #recount(wallClock: number): void {
    if (Math.abs(wallClock - this.#countedAt) < RECOUNT_MS) return;
    this.#countedAt = wallClock;
    this.#ahead = 0;
    this.#far = 0;
    for (const { last } of this.#origins.values()) {
      if (last > wallClock) this.#ahead++;
      if (last > wallClock + SLACK_MS) this.#far++;
    }
  }

  /** Makes room; the floor rises to the latest time of those who go, who are not ahead as long as others are there. */
  #forget(wallClock: number): void {
    const order = [...this.#origins].sort(
      ([, a], [, b]) =>
        Number(a.last > wallClock) - Number(b.last > wallClock) ||
        Number(a.items === ESTABLISHED) - Number(b.items === ESTABLISHED) ||
        a.last - b.last,
    );
    for (const [key, { last }] of order.slice(0, Math.ceil(order.length / PART))) {
      this.#origins.delete(key);
      this.#floor = Math.max(this.#floor, last);
    }
    this.#countedAt = Number.NEGATIVE_INFINITY;
  }
}

function countOf({ now, before }: Known, epoch: number): Count | undefined {
  if (now.epoch === epoch) return now;
  return before?.epoch === epoch ? before : undefined;
}

function isMissing({ high, gaps }: Count, seq: number): boolean {
  return seq > high || gapOf(gaps, seq) >= 0;
}

/** Where the gap begins that a number is in, or -1. From the end: what is missing is mostly recent. */
function gapOf(gaps: readonly number[], seq: number): number {
  for (let at = gaps.length - 2; at >= 0; at -= 2) {
    if (seq > (gaps[at + 1] as number)) return -1;
    if (seq >= (gaps[at] as number)) return at;
  }
  return -1;
}
