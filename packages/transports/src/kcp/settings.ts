/**
 * Settings of the transport `kcp`: the options with their defaults, and what makes no sense.
 */

import { type Runtime, systemRuntime } from "@testudo/core";
import { isLoopback } from "../net/host.ts";
import type { PlaceOptions } from "../net/options.ts";
import type { Place } from "../udp/place.ts";
import { nodeSystem, type UdpSystem } from "../udp/system.ts";
import type { CongestionFactory } from "./congestion.ts";
import type { KcpOptions } from "./options.ts";
import { LEAST_MTU, MOST_FEC_GROUP, type Terms } from "./packet.ts";
import { SAFE_MTU } from "./path-mtu.ts";

/** After so many datagrams of data as many of parity: any as many of the group may be lost. */
export interface FecShape {
  readonly data: number;
  readonly parity: number;
}

export interface KcpTransportOptions extends PlaceOptions {
  /**
   * Forward error correction: what dialling asks for, data and parity of at least 1 each, 64 together at most.
   * A listener grants what is asked for, and with `false` nothing. Default: not asked for, and granted.
   */
  readonly fec?: FecShape | false;
  /** Segments under way in each direction at most, 16 to 32,768. Default 1,024. */
  readonly window?: number;
  /**
   * "off" sends as fast as the window allows and harms others; "reno" and functions of one's own are possible.
   * Default: by delay.
   */
  readonly congestion?: "off" | "reno" | CongestionFactory;
  /** How patient resends are: 0 doubles the wait after each and begins at 100 ms; 1 and 2 add half, from 30 ms. Default 1. */
  readonly noDelay?: 0 | 1 | 2;
  /** After how many later acknowledgements a segment counts as lost, 0 to 255; 0 for never. Default 2. */
  readonly fastResend?: number;
  /**
   * The largest UDP payload to send or take, 548 to 65,507 bytes. What is used is probed for, from 1,200 up.
   * Default: 1,472 over IPv4, 1,452 over IPv6, 8,972 on this machine.
   */
  readonly mtu?: number;
  /** Silence after which to ask whether the other side is there, in milliseconds. Default 10,000. */
  readonly keepaliveMs?: number;
  /** Silence after which the connection is cut, in milliseconds. Default 30,000. */
  readonly idleTimeoutMs?: number;
  /** How long a dial asks for an answer, in milliseconds. Reached: `DIAL_TIMEOUT`. Default 20,000. */
  readonly openTimeoutMs?: number;
  /** Connections of one listener at a time. Reached: further ones are refused. Default 1,024. */
  readonly maxConnections?: number;
  /** Time, timers and randomness. Default: the system's. */
  readonly runtime?: Runtime;
}

export interface Settings {
  readonly machine: Pick<
    KcpOptions,
    "congestion" | "noDelay" | "fastResend" | "sendWindow" | "receiveWindow" | "deadLink"
  >;
  readonly fec: FecShape | false | undefined;
  readonly mtu: number | undefined;
  readonly keepaliveMs: number;
  readonly idleTimeoutMs: number;
  readonly openTimeoutMs: number;
  readonly maxConnections: number;
  readonly runtime: Runtime;
  readonly system: UdpSystem;
}

/** Ethernet's 1,500 bytes without the headers of UDP and IP; loopback is as wide as it likes. */
const IPV4_MTU = 1_472;
const IPV6_MTU = 1_452;
const LOOPBACK_MTU = 8_972;
/** What tunnels leave of Ethernet's. */
const TUNNEL_MTU = 1_400;
const MOST_MTU = 65_507;
/** With the shortest waiting times the idle timeout comes first; this ends what is alive and gets nothing through. */
const DEAD_LINK = 100;

/** Throws `TypeError` or `RangeError` naming the option that makes no sense. */
export function settingsOf(options: KcpTransportOptions, system: UdpSystem = nodeSystem): Settings {
  const { fec, mtu, window = 1_024, runtime = systemRuntime, congestion } = options;
  const { noDelay = 1, fastResend = 2, keepaliveMs = 10_000, idleTimeoutMs = 30_000 } = options;
  const { openTimeoutMs = 20_000, maxConnections = 1_024 } = options;
  if (fec !== undefined && fec !== false) {
    whole("fec.data", fec.data, 1, MOST_FEC_GROUP - 1);
    whole("fec.parity", fec.parity, 1, MOST_FEC_GROUP - fec.data);
  }
  if (mtu !== undefined) whole("mtu", mtu, LEAST_MTU, MOST_MTU);
  whole("window", window, 16, 32_768);
  whole("noDelay", noDelay, 0, 2);
  whole("fastResend", fastResend, 0, 255);
  whole("maxConnections", maxConnections, 1, 1_000_000);
  positive("keepaliveMs", keepaliveMs);
  positive("idleTimeoutMs", idleTimeoutMs);
  positive("openTimeoutMs", openTimeoutMs);
  if (
    congestion !== undefined &&
    typeof congestion !== "function" &&
    !["off", "reno"].includes(congestion)
  ) {
    throw new TypeError('kcp congestion must be "off", "reno" or a function');
  }
  return {
    machine: {
      sendWindow: window,
      receiveWindow: window,
      noDelay,
      fastResend,
      deadLink: DEAD_LINK,
      ...(congestion === undefined ? {} : { congestion }),
    },
    fec,
    mtu,
    keepaliveMs,
    idleTimeoutMs,
    openTimeoutMs,
    maxConnections,
    runtime,
    system,
  };
}

/** What we offer to or take from somebody there. */
export function offer({ fec, mtu }: Settings, place: Place): Terms {
  const shape = fec === undefined || fec === false ? { data: 0, parity: 0 } : fec;
  return {
    mtu: mtu ?? widest(place),
    fecData: shape.data,
    fecParity: shape.parity,
  };
}

/** What a listener makes of a dialer's offer. */
export function grant(settings: Settings, asked: Terms, place: Place): Terms {
  const mtu = Math.min(asked.mtu, offer(settings, place).mtu);
  const none = { fecData: 0, fecParity: 0 };
  return settings.fec === false ? { mtu, ...none } : { ...asked, mtu };
}

/** What a dialer makes of the answer; `undefined` when it is none to its offer. */
export function agreed(offered: Terms, granted: Terms): Terms | undefined {
  if (granted.mtu > offered.mtu) return undefined;
  const same = granted.fecData === offered.fecData && granted.fecParity === offered.fecParity;
  return same || granted.fecData === 0 ? granted : undefined;
}

/** Sizes of datagrams worth trying up to this one, growing. */
export function sizesUpTo(mtu: number): readonly number[] {
  const known = [SAFE_MTU, TUNNEL_MTU, IPV6_MTU, IPV4_MTU].filter((size) => size < mtu);
  // Where more than Ethernet's is agreed, what lies between is not worth the time.
  return mtu > IPV4_MTU ? [SAFE_MTU, mtu] : [...known, mtu];
}

function widest({ address }: Place): number {
  if (isLoopback(address)) return LOOPBACK_MTU;
  return address.includes(":") && !address.includes(".") ? IPV6_MTU : IPV4_MTU;
}

function whole(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`kcp ${name} must be a whole number from ${least} to ${most}`);
  }
}

function positive(name: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`kcp ${name} must be a positive number`);
  }
}
