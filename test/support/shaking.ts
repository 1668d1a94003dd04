/**
 * Shaking: both sides of a transform's handshake over a line inside this test, with what each came to.
 *
 * It plays the part of the stack: whoever fails hangs up, and when nothing moves any more everybody does.
 */

import {
  concat,
  EMPTY,
  type HandshakeOptions,
  Identity,
  type Session,
  type Side,
  type Transform,
  Wire,
} from "@testudo/core";
import { type Meddler, TestPipe } from "./pipes.ts";

export const ALICE: Identity = Identity.fromSecret(new Uint8Array(32).fill(1));
export const BOB: Identity = Identity.fromSecret(new Uint8Array(32).fill(2));
export const EVE: Identity = Identity.fromSecret(new Uint8Array(32).fill(3));
export const NETWORK: Uint8Array = new Uint8Array(32).fill(9);

/** What a handshake that did not come about may reject with. */
export const REFUSALS: readonly string[] = [
  "HANDSHAKE_FAILED",
  "PEER_UNEXPECTED",
  "PEER_REFUSED",
  "TRUNCATED",
  "FRAME_MALFORMED",
  "FRAME_TOO_LARGE",
];

export type Given = Partial<Omit<HandshakeOptions, "side">>;

export interface Shaking {
  readonly dialer?: Given;
  readonly listener?: Given;
  /** Interferes with what the dialer, or the listener, sends. */
  readonly meddleDialer?: Meddler;
  readonly meddleListener?: Meddler;
  /** All that one side writes in one turn arrives as one chunk. */
  readonly merge?: boolean;
  /** Called at once when a side has its session. */
  readonly onSession?: (side: Side, session: Session, pipe: TestPipe) => void;
}

export interface End {
  readonly pipe: TestPipe;
  session?: Session;
  error?: unknown;
  rest: Uint8Array;
}

export interface Shaken {
  readonly dialer: End;
  readonly listener: End;
}

export interface Talk {
  readonly dialer: Session;
  readonly listener: Session;
}

/** Two sessions that belong together. */
export async function talk(make: () => Transform): Promise<Talk> {
  const { dialer, listener } = await shake(make, { dialer: { section: make().section(BOB) } });
  return { dialer: sessionOf(dialer), listener: sessionOf(listener) };
}

export async function shake(make: () => Transform, shaking: Shaking = {}): Promise<Shaken> {
  const { merge = false, onSession } = shaking;
  const dialer: End = { pipe: new TestPipe(shaking.meddleDialer, merge), rest: EMPTY };
  const listener: End = { pipe: new TestPipe(shaking.meddleListener, merge), rest: EMPTY };
  TestPipe.join(dialer.pipe, listener.pipe);
  await settle(
    [
      run(make, "listener", listener, shaking.listener, onSession),
      run(make, "dialer", dialer, shaking.dialer, onSession),
    ],
    [dialer.pipe, listener.pipe],
  );
  return { dialer, listener };
}

/** One side that gets `chunks` whatever it says. */
export async function alone(
  make: () => Transform,
  side: Side,
  chunks: readonly Uint8Array[],
): Promise<End> {
  const end: End = { pipe: new TestPipe(), rest: EMPTY };
  TestPipe.join(end.pipe, new TestPipe());
  const given = side === "dialer" ? { section: make().section(BOB) } : {};
  const running = run(make, side, end, given);
  for (const chunk of chunks) end.pipe.receive(chunk);
  await settle([running], [end.pipe]);
  return end;
}

/** One side's handshake with the part of a stack: on failure the connection is aborted. */
export async function run(
  make: () => Transform,
  side: Side,
  end: End,
  given: Given = {},
  onSession?: Shaking["onSession"],
): Promise<void> {
  const wire = new Wire(end.pipe);
  try {
    end.session = await make().handshake(wire, optionsFor(side, given));
    onSession?.(side, end.session, end.pipe);
    end.rest = wire.rest();
  } catch (error) {
    end.error = error;
    end.pipe.abort(error as Error);
  }
}

/** Waits until all is done; when nothing moves any more the lines are hung up, as a deadline would. */
export async function settle(
  running: readonly Promise<void>[],
  pipes: readonly TestPipe[],
): Promise<void> {
  let done = false;
  const all = Promise.all(running).then(() => {
    done = true;
  });
  let moved = -1;
  for (let still = 0; !done && still < 20; still++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = pipes.reduce((sum, pipe) => sum + pipe.sentBytes, 0);
    if (now !== moved) still = 0;
    moved = now;
  }
  if (!done) for (const pipe of pipes) pipe.disconnect();
  await all;
}

export function optionsFor(side: Side, given: Given): HandshakeOptions {
  return {
    side,
    identity: side === "dialer" ? ALICE : BOB,
    chain: "chain",
    networkId: NETWORK,
    signal: new AbortController().signal,
    ...given,
  };
}

export function sessionOf(end: End): Session {
  if (end.session === undefined) throw end.error;
  return end.session;
}

export function openAll(session: Session, chunks: readonly Uint8Array[]): Uint8Array[] {
  return chunks.flatMap((chunk) => session.open(chunk));
}

export function open(session: Session, chunks: readonly Uint8Array[]): Uint8Array {
  return concat(...openAll(session, chunks));
}
