/**
 * Transport `net`: TCP, IPv4 and IPv6, always without Nagle's delay.
 *
 *     const network = new Network({ stacks: [[net(), noise()]] });
 *     await network.listen("net:0.0.0.0:8008~noise");
 *
 * Section `net:HOST:PORT`, as multiserver writes it: the host is a name, an IPv4 or a bare IPv6 address
 * (`net:::1:8008`), and empty means `localhost`. It never retries and has no timeout: its caller's signal is that.
 */

import { createConnection } from "node:net";
import {
  type Connection,
  hostAndPort,
  type Listener,
  networkError,
  type Section,
  type Transport,
} from "@testudo/core";
import { SOCKET_HIGH_WATER_BYTES, SocketConnection } from "./connection.ts";
import { isLoopback, meaningOf, netSection } from "./host.ts";
import { listenOn } from "./listener.ts";

export interface NetOptions {
  /** Connections the kernel keeps for a listener that is busy. Default 511; the system may cap it. */
  backlog?: number;
  /**
   * Told when a connection could not be accepted, for example because too many files are open. The
   * listener goes on. Must not throw. Default: nobody is told.
   */
  onAcceptError?: (error: Error) => void;
}

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function net(options: NetOptions = {}): Transport {
  const { backlog = 511, onAcceptError = () => {} } = options;
  if (typeof onAcceptError !== "function") throw new TypeError("onAcceptError must be a function");
  if (!Number.isInteger(backlog) || backlog < 1) {
    throw new RangeError("backlog must be a positive integer");
  }
  return {
    name: "net",
    halfClose: true,
    dial: (section, { signal }) => dial(section, signal),
    listen: (section: Section, accept: (connection: Connection) => void): Promise<Listener> =>
      listenOn(section, accept, { backlog, onAcceptError }),
  };
}

async function dial(section: Section, signal: AbortSignal): Promise<Connection> {
  const { host, port } = hostAndPort(section);
  if (port === 0) {
    throw networkError(
      "ADDRESS_MALFORMED",
      `${section.text} cannot be dialled: port 0 is for listening`,
      {
        address: section.text,
      },
    );
  }
  signal.throwIfAborted();
  try {
    return await connected(host, port, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw networkError("DIAL_REFUSED", `cannot reach ${section.text}: ${meaningOf(error)}`, {
      cause: error,
      address: section.text,
    });
  }
}

function connected(host: string, port: number, signal: AbortSignal): Promise<SocketConnection> {
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port,
      noDelay: true,
      allowHalfOpen: true,
      highWaterMark: SOCKET_HIGH_WATER_BYTES,
    };
    const socket = createConnection(options);
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", onAbort);
      // An error may follow the one that ends it here; nobody is left to hear of it.
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", fail);
    // The connection is made here and not behind an await, so that no event finds nobody listening.
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("error", fail);
      const { remoteAddress = host, remotePort = port } = socket;
      const remote = netSection(remoteAddress, remotePort);
      resolve(new SocketConnection(socket, remote, isLoopback(remoteAddress)));
    });
  });
}
