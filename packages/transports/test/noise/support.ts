/**
 * What the noise tests share: vectors played through two machines, sessions with known keys, and two
 * transforms over a pipe in memory that can be tampered with.
 */

import {
  type BytePipe,
  concat,
  fromHex,
  type HandshakeOptions,
  Identity,
  Inbox,
  type Side,
  section,
  type Transform,
  toHex,
  toUtf8,
  Wire,
} from "@testudo/core";
import { type CipherName, type KeyAgreement, provider } from "@testudo/core/crypto";
import { expect } from "vitest";
import type { NoiseVector } from "../../../../test/support/vectors.ts";
import { CipherState } from "../../src/noise/cipher.ts";
import { Handshake } from "../../src/noise/handshake.ts";
import type { NoiseSession } from "../../src/noise/index.ts";
import { parseProtocol } from "../../src/noise/patterns.ts";
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

function machine(vector: NoiseVector, side: Side): Handshake {
  const ours = side === "dialer" ? "init" : "resp";
  const pair = (hex: string | undefined): KeyAgreement | undefined =>
    hex === undefined ? undefined : provider.keyAgreement(bytes(hex));
  const staticKey = pair(vector[`${ours}_static`]);
  const ephemeralKey = pair(vector[`${ours}_ephemeral`]);
  const remoteStatic = vector[`${ours}_remote_static`];
  return new Handshake({
    protocol: parseProtocol(vector.protocol_name),
    side,
    prologue: bytes(vector[`${ours}_prologue`]),
    psks: (vector[`${ours}_psks`] ?? []).map(bytes),
    ...(staticKey === undefined ? {} : { staticKey }),
    ...(ephemeralKey === undefined ? {} : { ephemeralKey }),
    ...(remoteStatic === undefined ? {} : { remoteStatic: bytes(remoteStatic) }),
  });
}

/** Plays a vector through both sides, and expects its bytes. */
export function play(vector: NoiseVector): void {
  const dialer = machine(vector, "dialer");
  const listener = machine(vector, "listener");
  const { messages, oneWay } = parseProtocol(vector.protocol_name);
  const handshake = vector.messages.slice(0, messages.length);
  for (const [index, { payload, ciphertext }] of handshake.entries()) {
    const [from, to] = index % 2 === 0 ? [dialer, listener] : [listener, dialer];
    expect(toHex(from.write(bytes(payload)))).toBe(ciphertext);
    expect(toHex(to.read(bytes(ciphertext)))).toBe(payload);
  }
  expect(toHex(dialer.hash)).toBe(toHex(listener.hash));
  if (vector.handshake_hash !== undefined) expect(toHex(dialer.hash)).toBe(vector.handshake_hash);
  const keys = { dialer: dialer.split(), listener: listener.split() };
  expect(toHex(keys.dialer.exporter)).toBe(toHex(keys.listener.exporter));
  for (const [index, { payload, ciphertext }] of vector.messages.entries()) {
    if (index < messages.length) continue;
    const forward = oneWay || index % 2 === 0;
    const [from, to] = forward ? [keys.dialer, keys.listener] : [keys.listener, keys.dialer];
    const none = new Uint8Array(0);
    expect(joinedHex(from.seal.seal(none, [bytes(payload)]))).toBe(ciphertext);
    expect(joinedHex(to.open.open(none, [bytes(ciphertext)]) ?? [])).toBe(payload);
  }
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
export function listenerSection(name: string = "noise"): HandshakeOptions["section"] {
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
