/**
 * KCP at a bottleneck: senders that always have something to send, in virtual time. What arrives, what waits in
 * the queue, and who gets which part; the same numbers every run.
 */

import type { KcpOptions } from "../../packages/transports/src/kcp/machine.ts";
import { kcpPair, Transfer } from "./kcp-pair.ts";
import { Link, type LinkWeather, SimulatedTime } from "./link.ts";

export const BITS_PER_SECOND = 20_000_000;
const RTT_MS = 50;
/** What the path holds, and the buffer before it: 125,000 bytes. */
export const BDP: number = (BITS_PER_SECOND / 8_000) * RTT_MS;

export interface BottleneckOutcome {
  /** Payload that arrived, as a part of what the bottleneck carries. */
  readonly goodput: number;
  /** The part of each sender. */
  readonly shares: readonly number[];
  /** The queue on average, and its highest, as parts of the buffer. */
  readonly queue: number;
  readonly most: number;
  readonly overflowed: number;
}

export interface BottleneckCase extends LinkWeather {
  /** When each sender begins, in milliseconds. */
  readonly starts?: readonly number[];
  /** When it is first looked, and for how long. */
  readonly warmMs?: number;
  readonly lookMs?: number;
  readonly options?: KcpOptions;
}

/** Lets senders share a bottleneck: by default one, at 20 Mbit/s and 50 ms with a buffer of 50 ms. Throws when a byte is wrong. */
export function shareBottleneck(given: BottleneckCase): BottleneckOutcome {
  const { starts = [0], warmMs = 3_000, lookMs = 30_000, options = {}, ...weather } = given;
  const time = new SimulatedTime();
  const path = { latencyMs: RTT_MS / 2, ...weather };
  const { bitsPerSecond = BITS_PER_SECOND, bufferBytes = BDP } = weather;
  const there = new Link(time, { ...path, bitsPerSecond, bufferBytes }, 1);
  const back = new Link(time, path, 2);
  const transfers = starts.map((at, i) => {
    const [from, to] = kcpPair(time, there, back, { stream: true, ...options }, i);
    const transfer = new Transfer(from, to, Number.MAX_SAFE_INTEGER);
    time.after(at, () => transfer.start());
    return transfer;
  });
  time.run(Math.max(...starts) + warmMs);
  there.measure();
  const overflowed = there.count.overflowed;
  const before = transfers.map(({ received }) => received);
  time.run(lookMs);
  const arrived = transfers.map(({ received }, i) => received - (before[i] ?? 0));
  const sum = arrived.reduce((a, b) => a + b);
  for (const { wrongAt } of transfers) {
    if (wrongAt >= 0) throw new Error(`byte ${wrongAt} is wrong`);
  }
  return {
    goodput: (sum * 8_000) / (bitsPerSecond * lookMs),
    shares: arrived.map((bytes) => bytes / sum),
    queue: there.queue.mean / bufferBytes,
    most: there.queue.most / bufferBytes,
    overflowed: there.count.overflowed - overflowed,
  };
}
