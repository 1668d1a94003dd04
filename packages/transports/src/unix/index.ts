/**
 * Transport `unix`: sockets in the file system, for processes of one machine. On Windows, its named pipes.
 *
 *     const network = new Network({ stacks: [[unix({ path: "/run/node" }), noise()]] });
 *     await network.listen("unix:/run/node/socket~noise");
 *
 * Section `unix:PATH`; both ends have that of the listener as remote. Only the listener's user can dial it
 * (mode 0600). A file nobody serves any more is replaced, and nothing else is. Several may listen in a process.
 *
 * A Unix socket has no reset, but Linux and the BSDs tell the end of one direction from a close: a side that
 * aborts before it ended is seen as a cut. Windows' pipes cannot half-close.
 */

import { mkdir } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join, resolve } from "node:path";
import {
  asError,
  type Connection,
  type Listener,
  NetworkError,
  networkError,
  type Section,
  type Transport,
} from "@testudo/core";
import { SOCKET_HIGH_WATER_BYTES, SocketConnection } from "../net/connection.ts";
import { connectUnix, unixMeaningOf } from "./dial.ts";
import { pathOf, systemPath, unixSection } from "./path.ts";
import { placeSocket, type SocketFile } from "./socket-file.ts";

export interface UnixOptions {
  /**
   * A folder to listen in when no address says where, as multiserver means it: the socket is `PATH/socket`.
   * Made, for this user alone, when it is missing. Default: none.
   */
  readonly path?: string;
  /** Connections the kernel keeps for a listener that is busy. Default 511; the system may cap it. */
  readonly backlog?: number;
  /**
   * Told when a connection could not be accepted, for example because too many files are open. The
   * listener goes on. Must not throw. Default: nobody is told.
   */
  readonly onAcceptError?: (error: Error) => void;
}

const onWindows = process.platform === "win32";

/** Throws `TypeError`, `RangeError` or `AddressError` for options that make no sense. */
export function unix(options: UnixOptions = {}): Transport {
  const { path, backlog = 511, onAcceptError = () => {} } = options;
  if (path !== undefined && (typeof path !== "string" || path === "")) {
    throw new TypeError("path must be a folder's name");
  }
  if (typeof onAcceptError !== "function") throw new TypeError("onAcceptError must be a function");
  if (!Number.isInteger(backlog) || backlog < 1) {
    throw new RangeError("backlog must be a positive integer");
  }
  const place = path === undefined ? undefined : unixSection(join(path, "socket"));
  if (place !== undefined) pathOf(place);
  return {
    name: "unix",
    halfClose: !onWindows,
    ...(place === undefined ? {} : { place }),
    check: (section) => void pathOf(section),
    async dial(section, options) {
      const path = pathOf(section);
      options.signal.throwIfAborted();
      try {
        const socket = await connectUnix(systemPath(path), options);
        return new SocketConnection(socket, section, true);
      } catch (error) {
        if (options.signal.aborted) throw options.signal.reason;
        throw failed("DIAL_REFUSED", `cannot reach ${section.text}`, section, error);
      }
    },
    async listen(section, accept) {
      const asked = pathOf(section);
      try {
        if (path !== undefined && resolve(asked) === resolve(path, "socket")) {
          await mkdir(path, { recursive: true, mode: 0o700 });
        }
        return await listenAt(section, accept, { backlog, onAcceptError });
      } catch (error) {
        throw failed("LISTEN_FAILED", `cannot listen on ${section.text}`, section, error);
      }
    },
    advertised: (bound, scope) => (scope === "device" ? [bound] : []),
  };
}

async function listenAt(
  asked: Section,
  accept: (connection: Connection) => void,
  options: { backlog: number; onAcceptError: (error: Error) => void },
): Promise<Listener> {
  // Whole, so that it can be dialled from any folder, and found again when this process has moved.
  const section = onWindows ? asked : unixSection(resolve(pathOf(asked)));
  const path = pathOf(section);
  const server = createServer({ allowHalfOpen: true, highWaterMark: SOCKET_HIGH_WATER_BYTES });
  server.on("connection", (socket) => {
    const connection = new SocketConnection(socket, section, true);
    try {
      accept(connection);
    } catch (error) {
      connection.abort(asError(error));
    }
  });
  const bind = (at: string): Promise<void> => bound(server, at, options);
  let file: SocketFile | undefined;
  try {
    if (onWindows) await bind(systemPath(path));
    else file = await placeSocket(path, bind);
  } catch (error) {
    server.close();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    section,
    local: true,
    close() {
      closing ??= (async () => {
        await file?.remove();
        // Not its callback: it waits for the connections, which live on.
        server.close();
      })();
      return closing;
    },
  };
}

function bound(
  server: Server,
  path: string,
  options: { backlog: number; onAcceptError: (error: Error) => void },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on("error", (error) => {
      if (server.listening) options.onAcceptError(error);
      else reject(error);
    });
    server.listen({ path, backlog: options.backlog }, resolve);
  });
}

function failed(
  code: "DIAL_REFUSED" | "LISTEN_FAILED",
  what: string,
  section: Section,
  cause: unknown,
): Error {
  if (cause instanceof NetworkError) return cause;
  return networkError(code, `${what}: ${unixMeaningOf(cause)}`, { cause, address: section.text });
}
