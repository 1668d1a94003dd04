/**
 * Dialling TCP by host and port: looks the host up, then races its addresses, families in turn (RFC 8305).
 *
 * Node's own choice of family tries one address after the other and is switched off. No timeout of its own:
 * its caller's signal is that, and it reaches the look-up too.
 */

import { lookup as systemLookup } from "node:dns/promises";
import { createConnection, isIP, type Socket, type TcpNetConnectOpts } from "node:net";
import { type DialOptions, type Runtime, race, systemRuntime } from "@testudo/core";
import { SOCKET_HIGH_WATER_BYTES } from "./connection.ts";

/** Most addresses of one host that are tried. */
export const MAX_ADDRESSES = 16;

export interface HostAddress {
  readonly address: string;
  readonly family: number;
}

/** What the system does; tests put their own in its place. */
export interface TcpSystem {
  readonly lookup: (host: string) => Promise<readonly HostAddress[]>;
  readonly connect: (options: TcpNetConnectOpts) => Socket;
  readonly runtime: Runtime;
}

const SYSTEM: TcpSystem = {
  lookup: (host) => systemLookup(host, { all: true }),
  connect: createConnection,
  runtime: systemRuntime,
};

/**
 * A connected socket, without Nagle's delay and half-open, whose errors are heard until its new owner
 * listens; that must be in the same turn. Rejects with the system's error, an `AggregateError` of them when
 * several addresses failed, or the signal's reason; then nothing is left open.
 */
export async function connectTcp(
  target: { readonly host: string; readonly port: number },
  options: DialOptions,
  system: Partial<TcpSystem> = {},
): Promise<Socket> {
  const { host, port } = target;
  const { signal, stage } = options;
  const { lookup, connect, runtime } = { ...SYSTEM, ...system };
  signal.throwIfAborted();
  try {
    const addresses = await addressesOf(host, { signal, runtime, lookup, ...(stage && { stage }) });
    stage?.("connect");
    const ways = addresses.map(
      (address) =>
        (cancel: AbortSignal): Promise<Socket> =>
          connected(connect, address, port, cancel),
    );
    const socket = await race(ways, { signal, runtime, discard: (late) => late.destroy() });
    if (signal.aborted) socket.destroy();
    // It may also have been lost since, when nobody was listening.
    if (socket.destroyed) throw socket.errored ?? new Error("the connection was cut at once");
    return socket;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof AggregateError && error.errors.length === 1 ? error.errors[0] : error;
  }
}

export interface LookupOptions extends DialOptions {
  readonly runtime: Runtime;
  /** Default: the system's. */
  readonly lookup?: TcpSystem["lookup"];
}

/** The addresses to try, at least one, in this order. Rejects with the system's error or the signal's reason. */
export async function addressesOf(
  host: string,
  options: LookupOptions,
): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const { signal, runtime, stage, lookup = SYSTEM.lookup } = options;
  stage?.("resolve");
  // A race of one is a wait that hears the signal: the system's look-up itself cannot be stopped.
  const found = await race([() => lookup(host)], { signal, runtime, discard: () => {} });
  const addresses = interleaved(found).slice(0, MAX_ADDRESSES);
  if (addresses.length === 0) throw noAddress(host);
  return addresses;
}

/** One family and the other in turn, each in its order; the family that comes first begins. */
export function interleaved(found: readonly HostAddress[]): readonly string[] {
  const first = found.filter(({ family }) => family === found[0]?.family);
  const second = found.filter(({ family }) => family !== found[0]?.family);
  const mixed: string[] = [];
  for (let i = 0; i < found.length; i++) {
    for (const next of [first[i], second[i]]) if (next !== undefined) mixed.push(next.address);
  }
  return [...new Set(mixed)];
}

function noAddress(host: string): Error {
  return Object.assign(new Error(`${host} has no address`), { code: "ENOTFOUND" });
}

function connected(
  connect: TcpSystem["connect"],
  host: string,
  port: number,
  cancel: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port,
      noDelay: true,
      allowHalfOpen: true,
      autoSelectFamily: false,
      highWaterMark: SOCKET_HIGH_WATER_BYTES,
    };
    const socket = connect(options);
    // Stays: an error may follow the one that ends it here, or come before the new owner listens.
    socket.on("error", () => {});
    const fail = (error: unknown): void => {
      cancel.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(cancel.reason);
    cancel.addEventListener("abort", onAbort, { once: true });
    socket.once("error", fail);
    socket.once("connect", () => {
      cancel.removeEventListener("abort", onAbort);
      socket.removeListener("error", fail);
      resolve(socket);
    });
  });
}
