/**
 * What the noise tests share: sessions with known keys, and two transforms over a pipe in memory that can
 * be tampered with.
 */

import {
  type BytePipe,
  concat,
  fromHex,
  type HandshakeOptions,
  Identity,
  Inbox,
  type Section,
  type Side,
  section,
  type Transform,
  toHex,
  toUtf8,
  Wire,
} from "@testudo/core";
import { type CipherName, provider } from "@testudo/core/crypto";
import { CipherState } from "../../src/noise/cipher.ts";
import type { NoiseSession } from "../../src/noise/index.ts";
import { type RekeyLimits, NoiseSession as Session } from "../../src/noise/session.ts";

export function bytes(hex: string): Uint8Array {
  const decoded = fromHex(hex);
  if (decoded === undefined) throw new Error(`not hex: ${hex}`);
  return decoded;
}

export function joinedHex(pieces: readonly Uint8Array[]): string {
  return pieces.map(toHex).join("");
}

/** 32 bytes that are the same in every run. */
export function secret(label: string): Uint8Array {
  return provider.hash("SHA256", toUtf8(`testudo test ${label}`));
}

export function other(side: Side): Side {
  return side === "dialer" ? "listener" : "dialer";
}

export interface SessionPair {
  readonly dialer: Session;
  readonly listener: Session;
  /** The cipher states behind the sessions, for tests that move a nonce or watch a call. */
  readonly ciphers: Readonly<Record<`${Side}${"Seal" | "Open"}`, CipherState>>;
}

/** Two sessions that belong together, always with the same keys. */
export function sessions(cipher: CipherName = "AESGCM", rekey?: RekeyLimits): SessionPair {
  const there = secret("session dialer to listener");
  const back = secret("session listener to dialer");
  const ciphers = {
    dialerSeal: new CipherState(cipher, there),
    dialerOpen: new CipherState(cipher, back),
    listenerSeal: new CipherState(cipher, back),
    listenerOpen: new CipherState(cipher, there),
  };
  const make = (side: Side): Session =>
    new Session({
      keys: {
        seal: ciphers[`${side}Seal`],
        open: ciphers[`${side}Open`],
        exporter: secret("session exporter"),
      },
      handshakeHash: secret("session hash"),
      remoteKey: secret(`session key of the ${other(side)}`),
      offer: new Uint8Array(0),
      ...(rekey === undefined ? {} : { rekey }),
    });
  return { dialer: make("dialer"), listener: make("listener"), ciphers };
}

/** Sees every write of either side; what it gives back is delivered, nothing for `undefined`. */
export type Tap = (from: Side, index: number, written: Uint8Array) => Uint8Array | undefined;

export interface Pipes {
  readonly dialer: BytePipe;
  readonly listener: BytePipe;
  /** All writes as they were made, by side. */
  readonly written: Readonly<Record<Side, Uint8Array[]>>;
}

export function pipes(tap: Tap = (_from, _index, written) => written): Pipes {
  const quiet = { pause(): void {}, resume(): void {} };
  const inboxes = { dialer: new Inbox(quiet), listener: new Inbox(quiet) };
  const written: Record<Side, Uint8Array[]> = { dialer: [], listener: [] };
  const make = (side: Side): BytePipe => {
    const end = async (): Promise<void> => inboxes[other(side)].finish();
    return {
      write(...pieces): boolean {
        const whole = concat(...pieces);
        const delivered = tap(side, written[side].length, whole);
        written[side].push(whole);
        if (delivered !== undefined) inboxes[other(side)].push(delivered);
        return true;
      },
      drain: async () => {},
      end,
      close: end,
      abort(): void {
        inboxes[other(side)].finish();
      },
      closed: Promise.resolve(undefined),
      [Symbol.asyncIterator]: () => inboxes[side],
    };
  };
  return { dialer: make("dialer"), listener: make("listener"), written };
}

export const IDENTITIES: Readonly<Record<Side, Identity>> = {
  dialer: Identity.fromSecret(secret("identity of the dialer")),
  listener: Identity.fromSecret(secret("identity of the listener")),
};

export function options(side: Side, changes: Partial<HandshakeOptions> = {}): HandshakeOptions {
  return {
    side,
    identity: IDENTITIES[side],
    chain: "noise",
    networkId: secret("network"),
    signal: new AbortController().signal,
    ...changes,
  };
}

/** The section that names the listener. */
export function listenerSection(name: string = "noise"): Section {
  return section(name, IDENTITIES.listener.id.text);
}

export interface Outcome {
  readonly dialer: PromiseSettledResult<NoiseSession>;
  readonly listener: PromiseSettledResult<NoiseSession>;
}

/** Both handshakes over one pair of pipes; a side that fails hangs up, as a stack does. */
export async function shake(
  transforms: Readonly<Record<Side, Transform>>,
  over: Pipes,
  changes: Partial<Record<Side, Partial<HandshakeOptions>>> = {},
): Promise<Outcome> {
  const run = async (side: Side): Promise<NoiseSession> => {
    const wire = new Wire(over[side]);
    try {
      const session = await transforms[side].handshake(wire, options(side, changes[side]));
      return session as NoiseSession;
    } catch (error) {
      over[side].abort(error as Error);
      throw error;
    }
  };
  const [dialer, listener] = await Promise.allSettled([run("dialer"), run("listener")]);
  return { dialer, listener };
}

/** The sessions of an outcome that must have worked. */
export function both(outcome: Outcome): Readonly<Record<Side, NoiseSession>> {
  if (outcome.dialer.status === "rejected") throw outcome.dialer.reason;
  if (outcome.listener.status === "rejected") throw outcome.listener.reason;
  return { dialer: outcome.dialer.value, listener: outcome.listener.value };
}

/** The code a side failed with, or `"none"`. */
export function codeOf(result: PromiseSettledResult<unknown>): string {
  if (result.status === "fulfilled") return "none";
  const { code } = result.reason as { code?: string };
  return code ?? String(result.reason);
}
