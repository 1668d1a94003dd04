/**
 * Listener for TCP. A failed accept (too many open files) never ends it: the next connection is tried anew.
 */

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import {
  asError,
  type Connection,
  hostAndPort,
  type Listener,
  networkError,
  type Section,
} from "@testudo/core";
import type { Advertiser } from "./advertise.ts";
import { SOCKET_HIGH_WATER_BYTES, SocketConnection } from "./connection.ts";
import { isLoopback, isWildcard, meaningOf, netSection } from "./host.ts";

export interface ListenerOptions {
  readonly backlog: number;
  readonly onAcceptError: (error: Error) => void;
  readonly advertiser: Advertiser;
}

/** Rejects `DialError` `LISTEN_FAILED` with the system error as cause. */
export async function listenOn(
  asked: Section,
  accept: (connection: Connection) => void,
  options: ListenerOptions,
): Promise<Listener> {
  const { host, port } = hostAndPort(asked);
  const server = createServer({
    allowHalfOpen: true,
    noDelay: true,
    highWaterMark: SOCKET_HIGH_WATER_BYTES,
  });
  server.on("connection", (socket) => take(socket, accept));
  try {
    await begun(server, host, port, options);
  } catch (error) {
    throw networkError("LISTEN_FAILED", `cannot listen on ${asked.text}: ${meaningOf(error)}`, {
      cause: error,
      address: asked.text,
    });
  }
  const { address, port: realPort } = server.address() as AddressInfo;
  return {
    section: netSection(options.advertiser.dialableHost(host, address), realPort),
    // A wildcard as the system calls it: the host asked for may be another way to write it.
    bound: netSection(isWildcard(address) ? address : host, realPort),
    local: isLoopback(address),
    // Not the callback of `server.close`: it waits for the connections, which live on.
    async close() {
      server.close();
    },
  };
}

function begun(
  server: Server,
  host: string,
  port: number,
  options: ListenerOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on("error", (error) => {
      if (server.listening) options.onAcceptError(error);
      else reject(error);
    });
    server.listen({ host, port, backlog: options.backlog }, resolve);
  });
}

function take(socket: Socket, accept: (connection: Connection) => void): void {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) {
    // Reset between the kernel's accept and ours: there is nobody to talk to.
    socket.on("error", () => {});
    socket.destroy();
    return;
  }
  const remote = netSection(remoteAddress, remotePort);
  const connection = new SocketConnection(socket, remote, isLoopback(remoteAddress));
  try {
    accept(connection);
  } catch (error) {
    connection.abort(asError(error));
  }
}
