/**
 * Link: an imagined path for datagrams, with delay, jitter, loss, doubles, disorder, a bottleneck with a
 * bounded queue, a largest size, and addresses that may change. Everything follows from a seed and from
 * time that moves only when a test says so: the same seed gives the same run, and a minute takes as long
 * as what happens in it.
 */

import { seededNumbers } from "./virtual-runtime.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that moves from event to event. Unlike the virtual runtime it lets no promises settle in between. */
export class SimulatedTime {
  now: number;
  readonly #heap: Event[] = [];
  #order = 0;

  /** `start`: milliseconds. */
  constructor(start: number = 0) {
    this.now = start;
  }

  after(ms: number, run: () => void): void {
    this.at(this.now + Math.max(ms, 0), run);
  }

  at(at: number, run: () => void): void {
    const event: Event = { at, order: this.#order++, run };
    const heap = this.#heap;
    let place = heap.length;
    while (place > 0) {
      const up = (place - 1) >> 1;
      const parent = heap[up] as Event;
      if (!before(event, parent)) break;
      heap[place] = parent;
      place = up;
    }
    heap[place] = event;
  }

  /** Runs what comes until `done` or for so many milliseconds. Says whether it is done. */
  run(ms: number, done: () => boolean = () => false): boolean {
    const end = this.now + ms;
    while (!done()) {
      const first = this.#heap[0];
      if (first === undefined || first.at > end) {
        this.now = end;
        return done();
      }
      this.#pop();
      this.now = Math.max(this.now, first.at);
      first.run();
    }
    return true;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let down = 2 * place + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1] as Event, heap[down] as Event)) down++;
      const child = heap[down] as Event;
      if (!before(child, last)) break;
      heap[place] = child;
      place = down;
    }
    heap[place] = last;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export interface LinkWeather {
  /** Milliseconds from end to end. Default 0. */
  readonly latencyMs?: number;
  /** Added to each datagram's latency, evenly spread from 0 to this; what is sent later may come earlier. Default 0. */
  readonly jitterMs?: number;
  /** Whether what is sent later waits for what was sent before, however much that is delayed. Default false. */
  readonly inOrder?: boolean;
  /** The parts of datagrams that vanish, come twice, and are held back. Default 0. */
  readonly lossRate?: number;
  readonly duplicateRate?: number;
  readonly reorderRate?: number;
  /** How long the last are held back, at most. Default 20. */
  readonly reorderMs?: number;
  /** Bits per second through the bottleneck. Default: no bound. */
  readonly bitsPerSecond?: number;
  /** Bytes that wait before the bottleneck at most; what comes then is dropped. Default: no bound. */
  readonly bufferBytes?: number;
  /** Larger datagrams vanish. Default: no bound. */
  readonly mtu?: number;
  /** What UDP and IP add to each datagram in the bottleneck. Default 28. */
  readonly headerBytes?: number;
}

/** Gets a datagram, and the address that its sender had when it left. */
export type Deliver = (datagram: Uint8Array, from: string) => void;

/** One direction of a path. Any number of senders may share it. */
export class Link {
  /** The address that datagrams bear from now on: change it and the sender has moved. */
  address = "first";
  /** Datagrams given, delivered (each double counts), lost by chance, dropped at the full queue, too large. */
  readonly count = { given: 0, delivered: 0, lost: 0, overflowed: 0, tooLarge: 0 };
  #weather: LinkWeather;
  readonly #time: SimulatedTime;
  readonly #random: () => number;
  #freeAt = 0;
  #lastAt = 0;
  #area = 0;
  #measuredFrom: number;
  #measuredAt: number;
  #deepest = 0;

  constructor(time: SimulatedTime, weather: LinkWeather, seed: number) {
    this.#time = time;
    this.#weather = weather;
    this.#random = seededNumbers(seed);
    this.#measuredFrom = time.now;
    this.#measuredAt = time.now;
  }

  /** Changes the weather for what is sent from now on. */
  change(weather: LinkWeather): void {
    this.#weather = { ...this.#weather, ...weather };
  }

  /** Sends a copy of the datagram on its way. */
  send(datagram: Uint8Array, deliver: Deliver): void {
    const weather = this.#weather;
    this.count.given++;
    if (datagram.length > (weather.mtu ?? Number.POSITIVE_INFINITY)) {
      this.count.tooLarge++;
      return;
    }
    const leavesAt = this.#throughBottleneck(datagram.length + (weather.headerBytes ?? 28));
    if (leavesAt === undefined) {
      this.count.overflowed++;
      return;
    }
    if (this.#happens(weather.lossRate)) {
      this.count.lost++;
      return;
    }
    const copy = Uint8Array.prototype.slice.call(datagram);
    this.#arrive(copy, leavesAt, deliver);
    if (this.#happens(weather.duplicateRate)) this.#arrive(copy.slice(), leavesAt, deliver);
  }

  /** The queue before the bottleneck since the last call of `measure`: bytes on average, and at most. */
  get queue(): { readonly mean: number; readonly most: number } {
    this.#account();
    const span = this.#time.now - this.#measuredFrom;
    return { mean: span > 0 ? this.#area / span : 0, most: this.#deepest };
  }

  /** Begins to measure the queue anew. */
  measure(): void {
    this.#account();
    this.#measuredFrom = this.#time.now;
    this.#area = 0;
    this.#deepest = this.#backlog();
  }

  #arrive(datagram: Uint8Array, leavesAt: number, deliver: Deliver): void {
    const { latencyMs = 0, jitterMs = 0, reorderRate, reorderMs = 20 } = this.#weather;
    const from = this.address;
    let at = leavesAt + latencyMs;
    if (jitterMs > 0) at += jitterMs * this.#random();
    if (this.#happens(reorderRate)) at += reorderMs * this.#random();
    if (this.#weather.inOrder === true) at = Math.max(at, this.#lastAt);
    this.#lastAt = at;
    this.#time.at(at, () => {
      this.count.delivered++;
      deliver(datagram, from);
    });
  }

  #happens(rate: number | undefined): boolean {
    return rate !== undefined && rate > 0 && this.#random() < rate;
  }

  /** When the last bit has passed, or `undefined` when the queue is full. */
  #throughBottleneck(bytes: number): number | undefined {
    const { bitsPerSecond, bufferBytes = Number.POSITIVE_INFINITY } = this.#weather;
    if (bitsPerSecond === undefined) return this.#time.now;
    this.#account();
    if (this.#backlog() + bytes > bufferBytes) return undefined;
    this.#freeAt = Math.max(this.#freeAt, this.#time.now) + (bytes * 8_000) / bitsPerSecond;
    this.#deepest = Math.max(this.#deepest, this.#backlog());
    return this.#freeAt;
  }

  /** Bytes that wait now. */
  #backlog(): number {
    const { bitsPerSecond = 0 } = this.#weather;
    return (Math.max(this.#freeAt - this.#time.now, 0) * bitsPerSecond) / 8_000;
  }

  /** Adds up the queue since the last account: it shrinks evenly until it is empty. */
  #account(): void {
    const { now } = this.#time;
    const { bitsPerSecond = 0 } = this.#weather;
    const from = this.#measuredAt;
    const until = Math.min(Math.max(this.#freeAt, from), now);
    const rate = bitsPerSecond / 8_000;
    const first = Math.max(this.#freeAt - from, 0) * rate;
    const last = Math.max(this.#freeAt - until, 0) * rate;
    this.#area += ((first + last) / 2) * (until - from);
    this.#measuredAt = now;
  }
}
