/**
 * KCP's own test: a message every 20 ms and its echo over a path with round trips of 60 to 125 ms, in virtual time.
 */

import type { KcpOptions } from "../../packages/transports/src/kcp/machine.ts";
import { kcpPair } from "./kcp-pair.ts";
import { Link, type LinkWeather, SimulatedTime } from "./link.ts";

const MESSAGES = 1_000;
const EVERY_MS = 20;

/** An end of a pair as the test needs it. */
export interface MessageEnd {
  readonly kcp: { recv(): Uint8Array | undefined; send(message: Uint8Array): number };
  onReadable: () => void;
  send(message: Uint8Array): number;
}

/** Makes two ends that hear each other over these links. */
export type MakePair = (
  time: SimulatedTime,
  there: Link,
  back: Link,
) => readonly [MessageEnd, MessageEnd];

/** The fastest of what the C implementation calls fast. */
export const FAST: KcpOptions = { noDelay: 1, intervalMs: 10, fastResend: 2 };

/** The round trips of a thousand messages, in milliseconds. Throws when one is lost or comes out of turn. */
export function kcpEchoes(
  weather: LinkWeather,
  seed: number,
  options: KcpOptions = {},
  pair: MakePair = (time, there, back) => kcpPair(time, there, back, { ...FAST, ...options }),
): number[] {
  const time = new SimulatedTime();
  const path = { latencyMs: 30, jitterMs: 32.5, ...weather };
  const there = new Link(time, path, seed);
  const back = new Link(time, path, seed + 1_000);
  const [near, far] = pair(time, there, back);
  const sentAt: number[] = [];
  const took: number[] = [];
  far.onReadable = () => {
    for (let one = far.kcp.recv(); one !== undefined; one = far.kcp.recv()) far.kcp.send(one);
  };
  near.onReadable = () => {
    for (let one = near.kcp.recv(); one !== undefined; one = near.kcp.recv()) {
      const number = new DataView(one.buffer, one.byteOffset).getUint32(0);
      if (number !== took.length) throw new Error(`echo ${number} came as number ${took.length}`);
      took.push(time.now - (sentAt[took.length] ?? 0));
    }
  };
  const say = (): void => {
    const message = new Uint8Array(12);
    new DataView(message.buffer).setUint32(0, sentAt.length);
    sentAt.push(time.now);
    near.send(message);
    if (sentAt.length < MESSAGES) time.after(EVERY_MS, say);
  };
  say();
  if (!time.run(60_000, () => took.length === MESSAGES)) {
    throw new Error(`${took.length} of ${MESSAGES} echoes came`);
  }
  return took;
}
