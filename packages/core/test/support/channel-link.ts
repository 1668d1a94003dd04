/**
 * Two channel hosts joined in memory, with the freedoms a real stream takes: frames wait in lanes, control may
 * overtake bulk, a congested port hands nothing over, and what was handed over arrives in order.
 */

import { concat, readU32 } from "../../src/bytes.ts";
import {
  type Channel,
  type ChannelHandler,
  ChannelHost,
  type ChannelPort,
} from "../../src/channel.ts";
import type { Side } from "../../src/connection.ts";
import { type NetworkError, networkError } from "../../src/errors.ts";
import type { Lane } from "../../src/lane.ts";
import { type Limits, withDefaults } from "../../src/limits.ts";
import { type Deferred, deferred } from "../../src/queue.ts";
import type { Runtime, Timer } from "../../src/runtime.ts";

/** Virtual time: nothing happens until `advance`. */
export class ManualRuntime implements Runtime {
  #now = 0;
  #timers: { at: number; callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wallClock(): number {
    return this.#now;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  randomBytes(length: number): Uint8Array {
    return new Uint8Array(length);
  }

  get pending(): number {
    return this.#timers.length;
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter((timer) => timer.at <= this.#now);
    this.#timers = this.#timers.filter((timer) => timer.at > this.#now);
    for (const timer of due) timer.callback();
  }
}

interface Waiting {
  readonly lane: Lane;
  readonly order: number;
  readonly body: Uint8Array;
  readonly sent: Deferred<void>;
}

export interface EndOptions {
  readonly limits?: Partial<Limits>;
  readonly handlers?: Record<string, ChannelHandler>;
}

/** One side: a host, its port, and what the other side's host will receive. */
export class End implements ChannelPort {
  readonly host: ChannelHost;
  readonly runtime = new ManualRuntime();
  readonly handlers: Map<string, ChannelHandler>;
  /** What `fault` was called with. */
  readonly faults: NetworkError[] = [];
  /** Channels that handlers made by `serve` were given. */
  readonly accepted: Channel[] = [];
  /** Nothing leaves the lanes while set. */
  congested = false;
  /** Sends in this lane are refused with this error. */
  refusal: { readonly lane: Lane; readonly error: Error } | undefined;
  /** Frames handed over, in order. */
  readonly log: Uint8Array[] = [];
  waiting: Waiting[] = [];
  wire: Uint8Array[] = [];
  #order = 0;
  readonly #wake: () => void;

  constructor(side: Side, options: EndOptions, wake: () => void) {
    this.#wake = wake;
    this.handlers = new Map(Object.entries(options.handlers ?? {}));
    this.host = new ChannelHost({
      side,
      port: this,
      limits: withDefaults(options.limits),
      runtime: this.runtime,
      handler: (name) => this.handlers.get(name),
      fault: (error) => this.faults.push(error),
    });
  }

  /** A handler that keeps the channel in `accepted` and leaves it alone. */
  serve(name: string): void {
    this.handlers.set(name, (channel) => {
      this.accepted.push(channel);
    });
  }

  send(lane: Lane, body: readonly Uint8Array[]): Promise<void> {
    if (this.refusal?.lane === lane) return Promise.reject(this.refusal.error);
    const sent = deferred<void>();
    this.waiting.push({ lane, order: this.#order++, body: concat(...body), sent });
    this.#wake();
    return sent.promise;
  }

  /** Bytes of bulk frames in the lanes. */
  get bulkWaiting(): number {
    return this.waiting.reduce((sum, { lane, body }) => sum + (lane === 3 ? body.length : 0), 0);
  }

  /** Hands one frame over: the most urgent, or any that overtakes no frame of an earlier lane. */
  handOver(choose: (choices: number) => number = () => 0): boolean {
    if (this.congested) return false;
    const heads = [0, 1, 2, 3].flatMap((lane) => {
      const head = this.waiting.find((frame) => frame.lane === lane);
      return head === undefined ? [] : [head];
    });
    const free = heads.filter((head) =>
      heads.every((other) => other.lane >= head.lane || other.order > head.order),
    );
    const frame = free[choose(free.length)];
    if (frame === undefined) return false;
    this.waiting = this.waiting.filter((other) => other !== frame);
    this.log.push(frame.body);
    this.wire.push(frame.body);
    frame.sent.resolve();
    return true;
  }

  /** Frames of one kind that were handed over. */
  frames(kind: number): Uint8Array[] {
    return this.log.filter((body) => body[0] === kind);
  }

  /** Data bytes handed over for one channel. */
  dataBytes(id: number): number {
    const data = this.frames(2).filter((body) => readU32(body, 1) === id);
    return data.reduce((sum, body) => sum + body.length - 5, 0);
  }
}

/** `a` is the stream's dialer. Runs by itself unless `manual`. */
export class Link {
  readonly a: End;
  readonly b: End;
  #running = false;

  constructor(options: { a?: EndOptions; b?: EndOptions; manual?: boolean } = {}) {
    const wake = (): void => {
      if (options.manual || this.#running) return;
      this.#running = true;
      queueMicrotask(() => {
        this.#running = false;
        this.run();
      });
    };
    this.a = new End("dialer", options.a ?? {}, wake);
    this.b = new End("listener", options.b ?? {}, wake);
  }

  /** Hands over and delivers everything that can move now. */
  run(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const [from, to] of this.#ways()) {
        while (from.handOver()) moved = true;
        moved = this.deliver(from, to, from.wire.length) || moved;
      }
    }
  }

  /** One seeded step of either side: a frame handed over or one delivered. */
  step(choose: (choices: number) => number): boolean {
    const moves = this.#ways().flatMap(([from, to]) => [
      () => from.handOver(choose),
      () => this.deliver(from, to, 1),
    ]);
    const first = choose(moves.length);
    return moves.some((_, i) => moves[(first + i) % moves.length]?.());
  }

  deliver(from: End, to: End, count: number): boolean {
    const bodies = from.wire.splice(0, count);
    for (const body of bodies) to.host.receive(body);
    return bodies.length > 0;
  }

  /** A channel that `a` opened, at both ends. */
  async pair(name = "test"): Promise<[Channel, Channel]> {
    this.b.serve(name);
    const channel = await this.a.host.open(name);
    return [channel, this.b.accepted.at(-1) as Channel];
  }

  close(code: "STREAM_CLOSED" | "TRUNCATED" = "STREAM_CLOSED"): NetworkError {
    const reason = networkError(code, "the peer left");
    this.a.host.close(reason);
    this.b.host.close(reason);
    return reason;
  }

  #ways(): [End, End][] {
    return [
      [this.a, this.b],
      [this.b, this.a],
    ];
  }
}

/** Lets every microtask run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export type Seen = "pending" | { value: unknown } | { error: unknown };

/** What a promise has come to by now. */
export async function seen(promise: Promise<unknown>): Promise<Seen> {
  let outcome: Seen = "pending";
  promise.then(
    (value) => {
      outcome = { value };
    },
    (error) => {
      outcome = { error };
    },
  );
  await settle();
  return outcome;
}

export async function readAll(channel: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of channel) chunks.push(chunk);
  return concat(...chunks);
}

/** Takes chunks until they make up at least `bytes`. */
export async function take(channel: Channel, bytes: number): Promise<Uint8Array[]> {
  const chunks = channel[Symbol.asyncIterator]();
  const taken: Uint8Array[] = [];
  for (let sum = 0; sum < bytes; ) {
    const { done, value } = await chunks.next();
    if (done) throw new Error(`ended after ${sum} of ${bytes} bytes`);
    taken.push(value);
    sum += value.length;
  }
  return taken;
}

/** `length` bytes in which every position tells where it belongs. */
export function pattern(length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((from + i) * 2_654_435_761) >>> 24;
  return bytes;
}

/** A small generator of its own, so that a run is its seed. */
export function seeded(seed: number): (choices: number) => number {
  let state = seed | 1;
  return (choices) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % Math.max(choices, 1);
  };
}
