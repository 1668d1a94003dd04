/**
 * Options of a KCP machine: their defaults under both policies, and what makes no sense.
 */

import type { CongestionFactory } from "./congestion.ts";
import { SEGMENT_HEADER } from "./segment.ts";

export interface KcpOptions {
  /** How to send: as the C implementation does, or better. Both speak the same wire. Default "modern". */
  policy?: "modern" | "classic";
  /** Bytes of a datagram, without the headers of UDP and IP, from 50 to 65,507. Default 1,400. */
  mtu?: number;
  /** Segments under way at most, up to 32,768. Default 1,024; classic 32. */
  sendWindow?: number;
  /** Segments received and not read at most, up to 32,768. Default 1,024; classic 128, and no less than that. */
  receiveWindow?: number;
  /** Whether the bytes of several `send` share segments, so that messages have no bounds. Default false. */
  stream?: boolean;
  /** 0 doubles the waiting time after each timeout and waits at least 100 ms; 1 and 2 add half, from 30 ms. Default 1; classic 0. */
  noDelay?: 0 | 1 | 2;
  /** Milliseconds, 10 to 5,000: between flushes (classic), the least allowance for a late acknowledgement (modern). Default 10; classic 100. */
  intervalMs?: number;
  /** After how many later acknowledgements a segment counts as lost, 0 to 255; 0 for never. Default 2; classic 0. */
  fastResend?: number;
  /** "off" sends as fast as the windows allow and harms others, "reno" is the C implementation's. Default: by delay (modern), "reno" (classic). */
  congestion?: "off" | "reno" | CongestionFactory;
  /** The least waiting time for an acknowledgement in milliseconds. Default by `noDelay`. */
  minRtoMs?: number;
  /** After how many transmissions of one segment the machine calls itself dead. Default 20. */
  deadLink?: number;
  /** The number of the first segment, in both directions, 0 to 2^32 - 1. Default 0, as all others do. */
  initialSn?: number;
  /** Segments that wait for a place in the window at most. Default 4 windows; classic: no bound. */
  sendQueue?: number;
  /** Bytes of the largest datagram believed: longer segments are dropped. Default: `mtu`, and at least 1,500. */
  receiveMtu?: number;
}

/** Options with every default filled in. */
export type Settings = Required<Omit<KcpOptions, "congestion">> & {
  readonly congestion: "off" | "reno" | "delay" | CongestionFactory;
};

export const MIN_MTU = 50;
export const MAX_MTU = 65_507;
const MAX_WINDOW = 32_768;
const LEAST_CLASSIC_RECEIVE_WINDOW = 128;
const ETHERNET_MTU = 1_500;

/** Throws `RangeError` or `TypeError` naming the option that makes no sense. */
export function withDefaults(options: KcpOptions): Settings {
  const { policy = "modern", stream = false, mtu = 1_400 } = options;
  if (policy !== "modern" && policy !== "classic") {
    throw new TypeError('policy must be "modern" or "classic"');
  }
  const classic = policy === "classic";
  const noDelay = options.noDelay ?? (classic ? 0 : 1);
  const sendWindow = options.sendWindow ?? (classic ? 32 : 1_024);
  let receiveWindow = options.receiveWindow ?? (classic ? 128 : 1_024);
  check("mtu", mtu, MIN_MTU, MAX_MTU);
  check("sendWindow", sendWindow, 1, MAX_WINDOW);
  check("receiveWindow", receiveWindow, 1, MAX_WINDOW);
  check("noDelay", noDelay, 0, 2);
  if (classic) receiveWindow = Math.max(receiveWindow, LEAST_CLASSIC_RECEIVE_WINDOW);
  const settings: Settings = {
    policy,
    mtu,
    sendWindow,
    receiveWindow,
    stream,
    noDelay,
    intervalMs: options.intervalMs ?? (classic ? 100 : 10),
    fastResend: options.fastResend ?? (classic ? 0 : 2),
    congestion: options.congestion ?? (classic ? "reno" : "delay"),
    minRtoMs: options.minRtoMs ?? (noDelay === 0 ? 100 : 30),
    deadLink: options.deadLink ?? 20,
    initialSn: options.initialSn ?? 0,
    sendQueue: options.sendQueue ?? (classic ? Number.POSITIVE_INFINITY : 4 * sendWindow),
    receiveMtu: options.receiveMtu ?? Math.max(mtu, ETHERNET_MTU),
  };
  check("intervalMs", settings.intervalMs, 10, 5_000);
  check("fastResend", settings.fastResend, 0, 255);
  check("minRtoMs", settings.minRtoMs, 1, 60_000);
  check("deadLink", settings.deadLink, 1, 0xffff_ffff);
  check("initialSn", settings.initialSn, 0, 0xffff_ffff);
  check("receiveMtu", settings.receiveMtu, SEGMENT_HEADER, 65_535);
  if (!(settings.sendQueue >= 1)) throw new RangeError("sendQueue must be at least 1");
  const { congestion } = settings;
  if (typeof congestion !== "function" && !["off", "reno", "delay"].includes(congestion)) {
    throw new TypeError('congestion must be "off", "reno" or a function');
  }
  if (classic && typeof congestion === "function") {
    throw new TypeError('congestion must be "off" or "reno" with the classic policy');
  }
  return settings;
}

function check(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}`);
  }
}
