/**
 * Dialling over UDP by host and port: looks the host up, then races its addresses, families in turn. What is done
 * at each address is the transport's.
 */

import {
  type Connection,
  type DialOptions,
  NetworkError,
  networkError,
  type Runtime,
  race,
  type Section,
} from "@testudo/core";
import { addressesOf } from "../net/dial.ts";
import { meaningOf } from "../net/host.ts";
import { type Place, spelledBySocket } from "./place.ts";

export interface UdpTarget<T extends Connection> {
  /** As it was asked for. */
  readonly section: Section;
  readonly host: string;
  readonly port: number;
  /** Connects to one address. What it has begun when the signal fires, it takes back. */
  open(place: Place, signal: AbortSignal): Promise<T>;
}

/** Rejects `DialError`, or with the signal's reason; then no connection is left. */
export async function dialUdp<T extends Connection>(
  target: UdpTarget<T>,
  { signal, stage }: DialOptions,
  runtime: Runtime,
): Promise<T> {
  signal.throwIfAborted();
  try {
    const { host, port } = target;
    const addresses = await addressesOf(host, { signal, runtime, ...(stage && { stage }) });
    stage?.("connect");
    const ways = addresses.map((each) => {
      const place = { address: spelledBySocket(each), port };
      return (cancel: AbortSignal): Promise<T> => target.open(place, cancel);
    });
    const discard = (late: T): void => late.abort(new Error("another was faster"));
    return await race(ways, { signal, runtime, discard });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw dialError(target.section, error);
  }
}

/** Of several failures: a timeout only if all were. */
function dialError({ text: address }: Section, error: unknown): Error {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  const [first] = errors;
  if (errors.length === 1 && first instanceof NetworkError) return first;
  const late = errors.every((each) => each instanceof NetworkError && each.code === "DIAL_TIMEOUT");
  const cause = errors.length === 1 ? first : error;
  const message = `cannot reach ${address}: ${meaningOf(cause)}`;
  return networkError(late ? "DIAL_TIMEOUT" : "DIAL_REFUSED", message, { cause, address });
}
