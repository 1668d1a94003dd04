/**
 * Missing: ids that were announced and have not come, and who announced them.
 *
 * First timer 1 runs, for the message may come by itself; then one announcer after the other is asked, with
 * timer 2 for each. Bounded as a whole, for every peer that announces first, and in announcers of one id.
 */

/** Announcers kept for one id. */
const MAX_ANNOUNCERS = 32;

const NOBODY: readonly Announcer[] = [];

export interface Announcer {
  readonly peer: string;
  readonly hops: number;
}

interface Entry {
  readonly owner: string;
  readonly announcers: Announcer[];
  asked: string | undefined;
  deadline: number;
}

export class Missing {
  readonly #most: number;
  readonly #mostPerPeer: number;
  /** Timer 1, then timer 2: each is one length, so that both are in the order of their deadlines. */
  readonly #waiting = new Map<string, Entry>();
  readonly #asked = new Map<string, Entry>();
  readonly #owned = new Map<string, number>();

  constructor(most: number, mostPerPeer: number) {
    this.#most = most;
    this.#mostPerPeer = mostPerPeer;
  }

  get size(): number {
    return this.#waiting.size + this.#asked.size;
  }

  get deadline(): number | undefined {
    const waiting = first(this.#waiting);
    const asked = first(this.#asked);
    if (waiting === undefined || asked === undefined) return waiting ?? asked;
    return Math.min(waiting, asked);
  }

  has(id: string): boolean {
    return this.#waiting.has(id) || this.#asked.has(id);
  }

  /** `deadline`: of timer 1, should it start now. */
  announced(id: string, peer: string, hops: number, deadline: number): void {
    const known = this.#waiting.get(id) ?? this.#asked.get(id);
    if (known !== undefined) {
      if (known.announcers.length >= MAX_ANNOUNCERS || known.asked === peer) return;
      if (known.announcers.some((announcer) => announcer.peer === peer)) return;
      known.announcers.push({ peer, hops });
      return;
    }
    const owned = this.#owned.get(peer) ?? 0;
    if (this.size >= this.#most || owned >= this.#mostPerPeer) return;
    this.#owned.set(peer, owned + 1);
    const announcers = [{ peer, hops }];
    this.#waiting.set(id, { owner: peer, announcers, asked: undefined, deadline });
  }

  /** Whose time is up, and who was asked in vain; `ask` is to be called for each. */
  due(now: number): { id: string; asked: string | undefined }[] {
    const due: { id: string; asked: string | undefined }[] = [];
    for (const entries of [this.#waiting, this.#asked]) {
      for (const [id, { deadline, asked }] of entries) {
        if (deadline > now) break;
        due.push({ id, asked });
      }
    }
    return due;
  }

  /** The first announcer of the lowest rank; of no rank: not to be asked. When nobody is left, the id is forgotten. */
  ask(
    id: string,
    rank: (peer: string) => number | undefined,
    deadline: number,
  ): Announcer | undefined {
    const entry = this.#waiting.get(id) ?? this.#asked.get(id);
    if (entry === undefined) return undefined;
    this.#waiting.delete(id);
    this.#asked.delete(id);
    let best = -1;
    let lowest = Number.POSITIVE_INFINITY;
    entry.announcers.forEach(({ peer }, at) => {
      const value = rank(peer);
      if (value === undefined || value >= lowest) return;
      best = at;
      lowest = value;
    });
    const announcer = best === -1 ? undefined : entry.announcers.splice(best, 1)[0];
    if (announcer === undefined) {
      this.#disown(entry);
      return undefined;
    }
    entry.asked = announcer.peer;
    entry.deadline = deadline;
    this.#asked.set(id, entry);
    return announcer;
  }

  /** It came. Returns who had announced it and was not asked. */
  take(id: string): readonly Announcer[] {
    const entry = this.#waiting.get(id) ?? this.#asked.get(id);
    if (entry === undefined) return NOBODY;
    this.#waiting.delete(id);
    this.#asked.delete(id);
    this.#disown(entry);
    return entry.announcers;
  }

  down(peer: string): void {
    this.#owned.delete(peer);
  }

  #disown(entry: Entry): void {
    const owned = this.#owned.get(entry.owner);
    if (owned === undefined) return;
    if (owned > 1) this.#owned.set(entry.owner, owned - 1);
    else this.#owned.delete(entry.owner);
  }
}

function first(entries: ReadonlyMap<string, Entry>): number | undefined {
  for (const { deadline } of entries.values()) return deadline;
  return undefined;
}
