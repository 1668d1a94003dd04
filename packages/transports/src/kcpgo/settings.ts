/**
 * Settings of the transport `kcpgo`: the options with their defaults, and what makes no sense.
 */

import { asError, type Runtime, systemRuntime } from "@testudo/core";
import type { CongestionFactory } from "../kcp/congestion.ts";
import type { KcpOptions } from "../kcp/options.ts";
import { ReedSolomon } from "../kcp/reed-solomon.ts";
import type { PlaceOptions } from "../net/options.ts";
import { nodeSystem, type UdpSystem } from "../udp/system.ts";
import { type Crypt, type CryptName, makeCrypt } from "./crypt.ts";
import { KCPTUN_KEY, kcpgoKey } from "./keys.ts";
import { PacketEncoder } from "./packet.ts";

export interface KcpgoOptions extends PlaceOptions {
  /** The cipher, by kcptun's names: see `cryptNames()`. Both ends must say the same. Default `aes`, which is `aes-256`. */
  readonly crypt?: CryptName;
  /** What the key is derived from. This or `key`, unless `crypt` is `none` or `null`. */
  readonly password?: string;
  /** The key itself: at least as many bytes as the cipher takes. */
  readonly key?: Uint8Array;
  /** Of the derivation. Default as in kcp-go's README, `demo salt`; with the preset kcptun's, `kcp-go`. */
  readonly salt?: string;
  /** Of the derivation. Default as in kcp-go's README, 1024; with the preset kcptun's, 4096. */
  readonly iterations?: number;
  /** `kcptun`: its salt and iterations, `fec` [10, 3], `mtu` 1350 and `mode` fast, where the options say nothing else. */
  readonly preset?: "kcptun";
  /** Forward error correction: data and parity shards, 256 together at most. Both ends must say the same. Default false. */
  readonly fec?: readonly [data: number, parity: number] | false;
  /** The longest packet in bytes, without the headers of UDP and IP, 1,500 at most. Default 1,400. */
  readonly mtu?: number;
  /** Segments under way at most, 1 to 32,768. The other side's window bounds it too. Default 1,024. */
  readonly sendWindow?: number;
  /** Segments received and not read at most, 32 to 32,768. Default 1,024. */
  readonly receiveWindow?: number;
  /** kcptun's names for `noDelay`, `intervalMs` and `fastResend`; the `congestion` that they switch off stays. Default: none of them. */
  readonly mode?: KcpgoMode;
  /** How patient resends are: 0 begins at 100 ms, 1 and 2 at 30. Default 1. */
  readonly noDelay?: 0 | 1 | 2;
  /** The least allowance for a late acknowledgement, in milliseconds, 10 to 5,000. Default 10. */
  readonly intervalMs?: number;
  /** After how many later acknowledgements a segment counts as lost, 0 to 255; 0 for never. Default 2. */
  readonly fastResend?: number;
  /**
   * "off" is kcptun's: it sends as fast as the windows allow and harms others. Default: by delay.
   */
  readonly congestion?: "off" | "reno" | CongestionFactory;
  /**
   * Whether a dial asks if somebody is there with our key, and waits for the answer. `false` resolves at once, as
   * kcp-go does, and the listener hears of the session with the first byte written. Default true.
   */
  readonly greet?: boolean;
  /** How long a dial asks, in milliseconds. Reached: `DIAL_TIMEOUT`. Default 20,000. */
  readonly openTimeoutMs?: number;
  /** Silence after which the connection is cut, in milliseconds. It is the only way to notice that the other side has closed. Default 30,000. */
  readonly idleTimeoutMs?: number;
  /** Silence after which to ask whether the other side is there, in milliseconds. Default a third of `idleTimeoutMs`. */
  readonly keepaliveMs?: number;
  /** How long an end waits for the next acknowledgement, in milliseconds, before it gives up. Default 5,000. */
  readonly drainTimeoutMs?: number;
  /** Sessions of one listener at a time. Reached: further ones are refused. Default 1,024. */
  readonly maxConnections?: number;
  /** Of these, those that have not proved their address. Reached: others that cannot are ignored. Default 128. */
  readonly maxUnproved?: number;
  /** Time, timers and randomness. Default: the system's. */
  readonly runtime?: Runtime;
}

export type KcpgoMode = "normal" | "fast" | "fast2" | "fast3";

type Machine = Pick<
  Required<KcpOptions>,
  "sendWindow" | "receiveWindow" | "noDelay" | "intervalMs" | "fastResend" | "deadLink"
> &
  Pick<KcpOptions, "congestion">;

export interface Settings {
  readonly crypt: Crypt;
  readonly code: ReedSolomon | undefined;
  readonly packetBytes: number;
  readonly machine: Machine;
  readonly greet: boolean;
  readonly openTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly keepaliveMs: number;
  readonly drainTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxUnproved: number;
  readonly runtime: Runtime;
  readonly system: UdpSystem;
}

interface Pace {
  readonly noDelay: 0 | 1 | 2;
  readonly intervalMs: number;
  readonly fastResend: number;
}

const MODES: Readonly<Record<KcpgoMode, Pace>> = {
  normal: { noDelay: 0, intervalMs: 40, fastResend: 2 },
  fast: { noDelay: 0, intervalMs: 30, fastResend: 2 },
  fast2: { noDelay: 1, intervalMs: 20, fastResend: 2 },
  fast3: { noDelay: 1, intervalMs: 10, fastResend: 2 },
};
const OWN_PACE: Pace = { noDelay: 1, intervalMs: 10, fastResend: 2 };
const NO_KEY = new Uint8Array(0);
const DEFAULT_MTU = 1_400;
/** The idle timeout comes first; this ends what is alive and gets nothing through. */
const DEAD_LINK = 100;
const LONGEST_MS = 2 ** 31 - 1;

/** Throws `TypeError` or `RangeError` naming the option that makes no sense. */
export function settingsOf(given: KcpgoOptions, system: UdpSystem = nodeSystem): Settings {
  const options = withPreset(given);
  const { crypt = "aes", fec = false, mtu = DEFAULT_MTU, runtime = systemRuntime } = options;
  const { sendWindow = 1_024, receiveWindow = 1_024, greet = true } = options;
  const { openTimeoutMs = 20_000, idleTimeoutMs = 30_000, drainTimeoutMs = 5_000 } = options;
  const { keepaliveMs = idleTimeoutMs / 3, maxConnections = 1_024, maxUnproved = 128 } = options;
  const { congestion } = options;
  whole("sendWindow", sendWindow, 1, 32_768);
  // Below, one fragmented message of another sender could fill it.
  whole("receiveWindow", receiveWindow, 32, 32_768);
  whole("maxConnections", maxConnections, 1, 1_000_000);
  whole("maxUnproved", maxUnproved, 1, 1_000_000);
  for (const [name, value] of Object.entries({
    openTimeoutMs,
    idleTimeoutMs,
    drainTimeoutMs,
    keepaliveMs,
  })) {
    if (!(value > 0 && value <= LONGEST_MS)) {
      throw new RangeError(`kcpgo ${name} must be above 0 and at most ${LONGEST_MS}`);
    }
  }
  if (keepaliveMs >= idleTimeoutMs) {
    throw new RangeError("kcpgo keepaliveMs must be less than idleTimeoutMs");
  }
  if (typeof greet !== "boolean") throw new TypeError("kcpgo greet must be true or false");
  const settings: Settings = {
    crypt: makeCrypt(crypt, keyOf(crypt, options), runtime),
    code: codeOf(fec),
    packetBytes: mtu,
    machine: {
      sendWindow,
      receiveWindow,
      ...paceOf(options),
      deadLink: DEAD_LINK,
      ...(congestion === undefined ? {} : { congestion: congestionOf(congestion) }),
    },
    greet,
    openTimeoutMs,
    idleTimeoutMs,
    keepaliveMs,
    drainTimeoutMs,
    maxConnections,
    maxUnproved,
    runtime,
    system,
  };
  checkMtu(settings);
  return settings;
}

function withPreset(given: KcpgoOptions): KcpgoOptions {
  if (given.preset === undefined) return given;
  if (given.preset !== "kcptun") throw new TypeError('kcpgo preset must be "kcptun"');
  return { ...KCPTUN_KEY, fec: [10, 3], mtu: 1_350, mode: "fast", ...defined(given) };
}

/** Without those that are there and `undefined`. */
function defined(options: KcpgoOptions): KcpgoOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function keyOf(crypt: string, { key, password, salt, iterations }: KcpgoOptions): Uint8Array {
  if (key !== undefined && password !== undefined) {
    throw new TypeError("kcpgo takes a password or a key, not both");
  }
  if (key !== undefined) {
    if (!(key instanceof Uint8Array)) throw new TypeError("kcpgo key must be bytes");
    return key.slice();
  }
  if (password === undefined) {
    if (crypt === "none" || crypt === "null") return NO_KEY;
    throw new TypeError("kcpgo needs a password or a key; only crypt none and null go without");
  }
  return kcpgoKey(password, {
    ...(salt === undefined ? {} : { salt }),
    ...(iterations === undefined ? {} : { iterations }),
  });
}

function codeOf(fec: unknown): ReedSolomon | undefined {
  if (fec === false) return undefined;
  const shape: readonly unknown[] = Array.isArray(fec) ? fec : [];
  const [data, parity] = shape;
  if (shape.length !== 2 || typeof data !== "number" || typeof parity !== "number") {
    throw new TypeError("kcpgo fec must be [data, parity] or false");
  }
  try {
    return new ReedSolomon(data, parity);
  } catch (cause) {
    throw new RangeError(`kcpgo fec: ${asError(cause).message}`, { cause });
  }
}

function paceOf(options: KcpgoOptions): Pace {
  const { mode } = options;
  if (mode !== undefined && !Object.hasOwn(MODES, mode)) {
    throw new TypeError(`kcpgo mode must be one of ${Object.keys(MODES).join(", ")}`);
  }
  const pace = mode === undefined ? OWN_PACE : MODES[mode];
  const { noDelay = pace.noDelay, intervalMs = pace.intervalMs } = options;
  const { fastResend = pace.fastResend } = options;
  whole("noDelay", noDelay, 0, 2);
  whole("intervalMs", intervalMs, 10, 5_000);
  whole("fastResend", fastResend, 0, 255);
  return { noDelay, intervalMs, fastResend };
}

function congestionOf(
  congestion: "off" | "reno" | CongestionFactory,
): "off" | "reno" | CongestionFactory {
  if (typeof congestion !== "function" && !["off", "reno"].includes(congestion)) {
    throw new TypeError('kcpgo congestion must be "off", "reno" or a function');
  }
  return congestion;
}

function checkMtu({ crypt, code, packetBytes }: Settings): void {
  try {
    new PacketEncoder({ crypt, code, packetBytes });
  } catch (cause) {
    const text = asError(cause).message.replace("packetBytes", "kcpgo mtu");
    throw new RangeError(text, { cause });
  }
}

function whole(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`kcpgo ${name} must be a whole number from ${least} to ${most}`);
  }
}
