/**
 * Pairing: one live stream per pair of nodes, decided alike on both sides.
 *
 * A machine without sockets or clocks; docs/decisions/0001-one-stream-per-pair.md argues for it. After
 * the handshake the listener says *welcome* (and whether it already has a stream with this node); the
 * dialer alone then decides and says *confirm* or declines. Neither side sends anything else before.
 * So a stream that loses never carried a message: nothing is lost or doubled, and no hook fires for it.
 *
 * When both dial at once, the dial of the node with the smaller key wins: that node lets the other's
 * arrival wait while its own dial is under way, and the larger lets its own dial wait while an arrival
 * of the smaller is open.
 */

import { compare } from "./bytes.ts";
import type { PeerId } from "./identity.ts";

/** What the listener has of other streams with the dialer. */
export const STANDING: {
  readonly none: 0;
  readonly candidate: 1;
  readonly live: 2;
  readonly leaving: 3;
} = {
  none: 0,
  candidate: 1,
  live: 2,
  /** None any more, but the last messages of one may still be on their way. */
  leaving: 3,
};
export type Standing = 0 | 1 | 2 | 3;

/** A dial under way. */
export interface Dial<C> {
  readonly startedAt: number;
  /** It is to take the place of the stream that serves the pair, not to be declined for its sake. */
  readonly moves: boolean;
  /** The handshake has begun: it will be decided soon, so arrivals of the same node may wait for it. */
  connected: boolean;
  key: string | undefined;
  candidate: C | undefined;
}

export interface PairingActions<C> {
  welcome(candidate: C, standing: Standing): void;
  /**
   * The dialer's decision for: say so and admit. `previous` is a stream with the same node that the listener
   * no longer has; with standing `leaving` it may still bring messages, else it is dead.
   */
  confirm(candidate: C, previous: C | undefined, standing: Standing): void;
  /** Both sides have a stream and keep it until `into` has taken its place: the peer of `live` goes over. */
  move(into: C, live: C): void;
  /** The dialer's decision against: another stream serves this pair, or will. */
  decline(candidate: C): void;
  /** The listener's end of `confirm`. `previous` is a stream with the same node that the dialer no longer has. */
  admit(candidate: C, previous: C | undefined): void;
}

interface Live<C> {
  readonly candidate: C;
  readonly since: number;
}

/** What is under way between us and one node; most of the time there is nothing, and no such record. */
interface Pair<C> {
  readonly key: string;
  /** Arrivals that were welcomed and not yet confirmed. */
  readonly open: Set<C>;
  /** Arrivals that wait for a dial of ours. */
  readonly arrivals: Set<C>;
  readonly dials: Set<Dial<C>>;
  /** Dials of ours, welcomed by the other side, that wait for an arrival. */
  readonly waiting: Map<Dial<C>, Standing>;
}

export class Pairing<C> {
  readonly #own: Uint8Array;
  readonly #actions: PairingActions<C>;
  readonly #live = new Map<string, Live<C>>();
  readonly #pairs = new Map<string, Pair<C>>();
  /** Nodes whose peer is going over to another stream; one move at a time. */
  readonly #moving = new Set<string>();
  #clock = 0;

  constructor(own: PeerId, actions: PairingActions<C>) {
    this.#own = own.bytes;
    this.#actions = actions;
  }

  /** Nodes with which something is under way; with none, a quiet network holds no record. */
  get underWay(): number {
    return this.#pairs.size;
  }

  /** A dial begins; `expected` when its address names the key. Ends with `settled`. */
  dialling(expected: string | undefined, moves: boolean = false): Dial<C> {
    const dial: Dial<C> = {
      startedAt: ++this.#clock,
      moves,
      connected: false,
      key: expected,
      candidate: undefined,
    };
    if (expected !== undefined) this.#pair(expected).dials.add(dial);
    return dial;
  }

  /** The dial's handshake proved `id`; now its listener's welcome is awaited. */
  shaken(dial: Dial<C>, id: PeerId, candidate: C): void {
    if (dial.key !== undefined && dial.key !== id.text) this.#forget(dial.key, dial);
    dial.key = id.text;
    dial.connected = true;
    dial.candidate = candidate;
    this.#pair(id.text).dials.add(dial);
  }

  /** The dial is over, whatever came of it: arrivals need not wait for it any more. Idempotent. */
  settled(dial: Dial<C>): void {
    if (dial.key === undefined) return;
    const pair = this.#pairs.get(dial.key);
    if (pair === undefined) return;
    pair.dials.delete(dial);
    this.#welcomeAll(pair);
    this.#sweep(pair);
  }

  /** A listener's handshake proved `id`. True when the arrival has to wait for a dial of ours. */
  arrived(id: PeerId, candidate: C): boolean {
    const pair = this.#pair(id.text);
    if (compare(this.#own, id.bytes) < 0) pair.arrivals.add(candidate);
    else this.#welcome(pair, candidate);
    this.#welcomeAll(pair);
    return pair.arrivals.has(candidate);
  }

  /** The arrival waits no longer: waiting only decides who wins, never whether all is well. */
  outwaited(id: PeerId, candidate: C): void {
    const pair = this.#pairs.get(id.text);
    if (pair?.arrivals.delete(candidate) === true) this.#welcome(pair, candidate);
  }

  /** The listener of our dial is ready. */
  welcomed(dial: Dial<C>, id: PeerId, standing: Standing): void {
    const pair = this.#pair(id.text);
    this.#decide(pair, dial, id, standing);
    this.#sweep(pair);
  }

  /** The dialer of an arrival decided for it; `moves`: to take the place of the stream that serves the pair. */
  confirmed(id: PeerId, candidate: C, moves: boolean = false): void {
    const pair = this.#pair(id.text);
    pair.open.delete(candidate);
    const previous = this.#live.get(id.text)?.candidate;
    if (moves && previous !== undefined) {
      // Only a dialer that does not keep to the rules confirms a second move.
      if (this.#moving.has(id.text)) this.#actions.decline(candidate);
      else this.#move(id.text, candidate, previous);
      this.#sweep(pair);
      return;
    }
    this.#live.set(id.text, { candidate, since: ++this.#clock });
    this.#actions.admit(candidate, previous);
    this.#welcomeAll(pair);
    this.#reconsider(pair, id);
    this.#sweep(pair);
  }

  /** The old stream of a move is over. */
  moved(id: PeerId): void {
    this.#moving.delete(id.text);
  }

  /** A stream with this node ended, alive or not. */
  gone(id: PeerId, candidate: C): void {
    if (this.#live.get(id.text)?.candidate === candidate) {
      this.#live.delete(id.text);
      this.#moving.delete(id.text);
    }
    const pair = this.#pairs.get(id.text);
    if (pair === undefined) return;
    pair.open.delete(candidate);
    pair.arrivals.delete(candidate);
    for (const dial of pair.waiting.keys()) {
      if (dial.candidate === candidate) pair.waiting.delete(dial);
    }
    this.#reconsider(pair, id);
    this.#sweep(pair);
  }

  /** Arrivals wait for nothing once there is a live stream: a dial into the void must not hold them up. */
  #welcomeAll(pair: Pair<C>): void {
    if (!this.#live.has(pair.key) && mustWait(pair)) return;
    const arrivals = [...pair.arrivals];
    pair.arrivals.clear();
    for (const candidate of arrivals) this.#welcome(pair, candidate);
  }

  #welcome(pair: Pair<C>, candidate: C): void {
    const others = pair.open.size > 0 ? STANDING.candidate : STANDING.none;
    // While one move is under way, a second is turned down: its dialer must not see a stream to replace.
    const live = this.#live.has(pair.key) && !this.#moving.has(pair.key);
    const standing = live
      ? STANDING.live
      : this.#moving.has(pair.key)
        ? STANDING.candidate
        : others;
    pair.open.add(candidate);
    this.#actions.welcome(candidate, standing);
  }

  #decide(pair: Pair<C>, dial: Dial<C>, id: PeerId, standing: Standing): void {
    const { candidate } = dial;
    if (candidate === undefined) return;
    const live = this.#live.get(pair.key);
    if (live !== undefined && this.#mayMove(pair, dial, live, id, standing)) {
      this.#move(pair.key, candidate, live.candidate);
      return;
    }
    if (live !== undefined) {
      // Alive here since before this dial began, and the other side has nothing: it is over there.
      const over = standing === STANDING.none || standing === STANDING.leaving;
      if (live.since > dial.startedAt || !over) {
        this.#actions.decline(candidate);
        return;
      }
    } else if (pair.open.size > 0) {
      const smaller = compare(this.#own, id.bytes) < 0;
      if (smaller && standing === STANDING.live) {
        this.#actions.decline(candidate);
        return;
      }
      if (!smaller) {
        pair.waiting.set(dial, standing);
        return;
      }
    }
    this.#live.set(pair.key, { candidate, since: ++this.#clock });
    this.#actions.confirm(candidate, live?.candidate, standing);
    this.#welcomeAll(pair);
    this.#reconsider(pair, id);
  }

  #mayMove(pair: Pair<C>, dial: Dial<C>, live: Live<C>, id: PeerId, standing: Standing): boolean {
    if (!dial.moves || standing !== STANDING.live || this.#moving.has(pair.key)) return false;
    if (live.since > dial.startedAt) return false;
    // Both may be at it: an arrival that was told of our stream may be a move too, and the smaller key's wins.
    return pair.open.size === 0 || compare(this.#own, id.bytes) < 0;
  }

  /** The peer stays the same; only its stream is another. */
  #move(key: string, into: C, live: C): void {
    this.#live.set(key, { candidate: live, since: ++this.#clock });
    this.#moving.add(key);
    this.#actions.move(into, live);
  }

  /** Dials that waited for an arrival decide again: there is a live stream now, or nothing to wait for. */
  #reconsider(pair: Pair<C>, id: PeerId): void {
    if (!this.#live.has(pair.key) && pair.open.size > 0) return;
    // The newest first: an older one may lead to a node that died meanwhile.
    const waiting = [...pair.waiting].reverse();
    pair.waiting.clear();
    for (const [dial, standing] of waiting) this.#decide(pair, dial, id, standing);
  }

  #pair(key: string): Pair<C> {
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = { key, open: new Set(), arrivals: new Set(), dials: new Set(), waiting: new Map() };
      this.#pairs.set(key, pair);
    }
    return pair;
  }

  #forget(key: string, dial: Dial<C>): void {
    const pair = this.#pairs.get(key);
    pair?.dials.delete(dial);
    if (pair !== undefined) this.#sweep(pair);
  }

  #sweep(pair: Pair<C>): void {
    const { open, arrivals, dials, waiting } = pair;
    if (open.size + arrivals.size + dials.size + waiting.size > 0) return;
    if (this.#pairs.get(pair.key) === pair) this.#pairs.delete(pair.key);
  }
}

function mustWait<C>(pair: Pair<C>): boolean {
  for (const dial of pair.dials) if (dial.connected) return true;
  return false;
}
