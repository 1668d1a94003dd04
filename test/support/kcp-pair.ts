/**
 * KCP pair: two machines at the ends of two imagined links, driven as a session drives them over sockets:
 * by arrivals, by what is sent, and by timers that are never finer than a millisecond.
 */

import { Kcp, type KcpOptions } from "../../packages/transports/src/kcp/machine.ts";
import type { Link, SimulatedTime } from "./link.ts";

const TIMER_MS = 1;

/** One machine, its timer, and the link that its datagrams leave by. */
export class KcpEnd {
  readonly kcp: Kcp;
  /** Called when something may be read. */
  onReadable: () => void = () => {};
  /** Called when segments may have left the queue. */
  onWritable: () => void = () => {};
  /** The other end; without one, what is sent goes nowhere. */
  peer: KcpEnd | undefined;
  /** What `input` returned when it was not 0. */
  readonly faults: number[] = [];
  readonly #time: SimulatedTime;
  readonly #clock: (time: number) => number;
  #wakeAt: number = Number.POSITIVE_INFINITY;
  #stopped = false;

  /** `clock` makes of the simulated time what the machine is told. */
  constructor(
    time: SimulatedTime,
    link: Link,
    conv: number,
    options: KcpOptions,
    clock: (time: number) => number = (now) => now,
  ) {
    this.#time = time;
    this.#clock = clock;
    const deliver = (datagram: Uint8Array): void => this.peer?.receive(datagram);
    this.kcp = new Kcp(conv, (datagram) => link.send(datagram, deliver), options);
  }

  /** Queues bytes; gives what the machine gave. */
  send(bytes: Uint8Array): number {
    const taken = this.kcp.send(bytes);
    this.drive();
    return taken;
  }

  receive(datagram: Uint8Array): void {
    if (this.#stopped) return;
    const result = this.kcp.input(datagram, this.#clock(this.#time.now));
    if (result !== 0) this.faults.push(result);
    this.onReadable();
    this.onWritable();
    this.drive();
  }

  /** From now on it neither hears nor says anything. */
  stop(): void {
    this.#stopped = true;
  }

  /** Does what is due, and sets the timer for what comes next. */
  drive(): void {
    if (this.#stopped) return;
    const now = this.#clock(this.#time.now);
    let wait = this.kcp.check(now) - now;
    if (wait <= 0) {
      this.kcp.update(now);
      wait = this.kcp.check(now) - now;
    }
    const at = this.#time.now + Math.max(wait, TIMER_MS);
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#time.at(at, () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.drive();
      this.onWritable();
    });
  }
}

/** Two ends that hear each other. */
export function kcpPair(
  time: SimulatedTime,
  there: Link,
  back: Link,
  options: KcpOptions = {},
  conv: number = 7,
  clock?: (time: number) => number,
): readonly [KcpEnd, KcpEnd] {
  const a = new KcpEnd(time, there, conv, options, clock);
  const b = new KcpEnd(time, back, conv, options, clock);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

const PATTERN = 1 << 16;

/** Bytes that tell where they belong: a long period that no power of two divides. */
function pattern(): Uint8Array {
  const bytes = new Uint8Array(PATTERN + PERIOD);
  let state = 0x2545_f491;
  for (let i = 0; i < bytes.length; i++) {
    if (i >= PERIOD) bytes[i] = bytes[i - PERIOD] as number;
    else {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      bytes[i] = state;
    }
  }
  return bytes;
}

const PERIOD = 65_521;
const BYTES: Uint8Array = pattern();

/** Sends `total` bytes as a stream from one end to the other, and compares each byte that arrives. */
export class Transfer {
  sent = 0;
  received = 0;
  /** The place of the first wrong byte, or -1. */
  wrongAt = -1;
  readonly total: number;
  readonly #from: KcpEnd;
  readonly #to: KcpEnd;
  readonly #into: Uint8Array = new Uint8Array(PATTERN);

  constructor(from: KcpEnd, to: KcpEnd, total: number) {
    this.total = total;
    this.#from = from;
    this.#to = to;
    to.onReadable = () => this.#read();
    from.onWritable = () => this.#write();
  }

  start(): void {
    this.#write();
    this.#from.drive();
  }

  get done(): boolean {
    return this.received >= this.total || this.wrongAt >= 0;
  }

  #write(): void {
    const { kcp } = this.#from;
    while (this.sent < this.total && kcp.waitSend < 2_048) {
      const at = this.sent % PERIOD;
      const size = Math.min(this.total - this.sent, 16_384);
      const taken = kcp.send(BYTES.subarray(at, Math.min(at + size, BYTES.length)));
      if (taken <= 0) return;
      this.sent += taken;
    }
  }

  #read(): void {
    for (;;) {
      const size = this.#to.kcp.drain(this.#into);
      if (size === 0) return;
      const at = this.received % PERIOD;
      for (let from = 0; from < size; ) {
        const start = (at + from) % PERIOD;
        const piece = Math.min(size - from, BYTES.length - start);
        const same = Buffer.compare(
          this.#into.subarray(from, from + piece),
          BYTES.subarray(start, start + piece),
        );
        if (same !== 0 && this.wrongAt < 0) this.wrongAt = this.received + from;
        from += piece;
      }
      this.received += size;
    }
  }
}
