/**
 * Stack parts: a transport and a transform that do as they are told, and what else a stack is tested with.
 */

import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { parseAddress, type Route, section } from "../../src/address.ts";
import { toBase64 } from "../../src/bytes.ts";
import type { Connection } from "../../src/connection.ts";
import { Identity } from "../../src/identity.ts";
import type { StackOptions } from "../../src/stack.ts";
import type { Session, Transform } from "../../src/transform.ts";
import type { Transport } from "../../src/transport.ts";

export const identity: Identity = Identity.generate();
export const KEY: Uint8Array = new Uint8Array(32).fill(6);
export const KEY_TEXT: string = toBase64(KEY);
export const GREETING: Uint8Array = Uint8Array.of(7, 7);

export function route(text: string): Route {
  return parseAddress(text).routes[0] as Route;
}

export function options(runtime: VirtualRuntime = new VirtualRuntime()): StackOptions {
  return {
    identity,
    networkId: new Uint8Array(32),
    runtime,
    dialTimeoutMs: 100,
    handshakeTimeoutMs: 200,
  };
}

/** A transport that gives this connection, or fails in the way it is told. */
export function manual(dial: Transport["dial"], listen?: Transport["listen"]): Transport {
  return { name: "manual", halfClose: true, dial, ...(listen === undefined ? {} : { listen }) };
}

export function giving(connection: Connection): Transport {
  return manual(async () => connection);
}

/** A transform that hands out `session`, or fails, without a byte. */
export function instant(shake: () => Session, authenticates: boolean = true): Transform {
  return {
    name: "instant",
    authenticates,
    section: ({ id }) => section("instant", id.text),
    handshake: async () => shake(),
  };
}

/** Fires its timers until the promise is settled. */
export async function rejection(runtime: VirtualRuntime, work: Promise<unknown>): Promise<unknown> {
  return runtime.during(
    work.then(
      () => "resolved",
      (error: unknown) => error,
    ),
  );
}
