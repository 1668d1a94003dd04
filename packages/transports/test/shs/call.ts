/** Two handshakes over one pipe, begun as a stack would, with everything about them changeable. */

import {
  concat,
  equal,
  type HandshakeOptions,
  Identity,
  type Section,
  type Session,
  section,
  type Transform,
  toUtf8,
  Wire,
} from "@testudo/core";
import { shs } from "../../src/shs/index.ts";
import { PipeEnd } from "./pipe.ts";

export const alice = Identity.fromSecret(new Uint8Array(32).fill(1));
export const bob = Identity.fromSecret(new Uint8Array(32).fill(2));
export const carol = Identity.fromSecret(new Uint8Array(32).fill(3));
export const NETWORK = new Uint8Array(32).fill(9);
/** The lengths of the four messages. */
export const [FIRST, SECOND, THIRD, FOURTH] = [64, 64, 112, 80];

type Settled = PromiseSettledResult<Session>;

export interface Call {
  transforms?: [dialer: Transform, listener: Transform];
  identities?: [dialer: Identity, listener: Identity];
  section?: Section | undefined;
  networks?: [dialer: Uint8Array, listener: Uint8Array];
  signals?: [dialer: AbortSignal, listener: AbortSignal];
  prepare?(dialer: PipeEnd, listener: PipeEnd): void;
}

/** Both handshakes over one pipe; as the stack does, a side that fails hangs up. */
export function begin(call: Call = {}) {
  const [dialerEnd, listenerEnd] = PipeEnd.pair();
  call.prepare?.(dialerEnd, listenerEnd);
  const never = new AbortController().signal;
  const wires = { dialer: new Wire(dialerEnd), listener: new Wire(listenerEnd) };
  const run = async (side: "dialer" | "listener"): Promise<Session> => {
    const index = side === "dialer" ? 0 : 1;
    const dialled = "section" in call ? call.section : shs().section(bob);
    const options: HandshakeOptions = {
      side,
      identity: call.identities?.[index] ?? (side === "dialer" ? alice : bob),
      chain: "shs",
      networkId: call.networks?.[index] ?? NETWORK,
      signal: call.signals?.[index] ?? never,
      ...(side === "dialer" && dialled !== undefined ? { section: dialled } : {}),
    };
    const transform = call.transforms?.[index] ?? shs();
    try {
      return await transform.handshake(wires[side], options);
    } catch (error) {
      (side === "dialer" ? dialerEnd : listenerEnd).abort(error as Error);
      throw error;
    }
  };
  const [dialer, listener] = [run("dialer"), run("listener")];
  const both = Promise.allSettled([dialer, listener]);
  return { dialer, listener, both, dialerEnd, listenerEnd, wires };
}

export async function finish(call: Call = {}) {
  const begun = begin(call);
  const [dialer, listener] = await begun.both;
  return { ...begun, dialer, listener };
}

export function session(settled: Settled): Session {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

export function failure(settled: Settled): { code: string; message: string; cause?: unknown } {
  if (settled.status === "fulfilled") throw new Error("the handshake should have failed");
  return settled.reason;
}

export function carries(from: Session, to: Session, text: string): boolean {
  const plain = toUtf8(text);
  return equal(concat(...from.seal([plain]).flatMap((chunk) => to.open(chunk))), plain);
}

export function dialling(...args: string[]): Section {
  return section("shs", ...args);
}
