/**
 * Transport `net`: TCP, IPv4 and IPv6, always without Nagle's delay.
 *
 *     const network = new Network({ stacks: [[net(), noise()]] });
 *     await network.listen("net:0.0.0.0:8008~noise");
 *
 *     net({ port: 8008, scope: ["device", "public"], external: "example.org" });
 *
 * Section `net:HOST:PORT`, as multiserver writes it: the host is a name, an IPv4 or a bare IPv6 address
 * (`net:::1:8008`), and empty means `localhost`. All addresses of a name are raced (RFC 8305). It never
 * retries and has no timeout: its caller's signal is that.
 */

import {
  type Connection,
  type DialOptions,
  hostAndPort,
  networkError,
  type Section,
  type Transport,
} from "@testudo/core";
import { SocketConnection } from "./connection.ts";
import { connectTcp } from "./dial.ts";
import { isLoopback, meaningOf, netSection } from "./host.ts";
import { listenOn } from "./listener.ts";
import { hosted, type PlaceOptions } from "./options.ts";

export interface NetOptions extends PlaceOptions {
  /** Connections the kernel keeps for a listener that is busy. Default 511; the system may cap it. */
  readonly backlog?: number;
  /**
   * Told when a connection could not be accepted, for example because too many files are open. The
   * listener goes on. Must not throw. Default: nobody is told.
   */
  readonly onAcceptError?: (error: Error) => void;
}

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function net(options: NetOptions = {}): Transport {
  const { backlog = 511, onAcceptError = () => {} } = options;
  if (typeof onAcceptError !== "function") throw new TypeError("onAcceptError must be a function");
  if (!Number.isInteger(backlog) || backlog < 1) {
    throw new RangeError("backlog must be a positive integer");
  }
  const { advertiser, parts } = hosted("net", options);
  return {
    name: "net",
    halfClose: true,
    ...parts,
    async dial(section: Section, dialOptions: DialOptions): Promise<Connection> {
      parts.check(section, "dialer");
      return dial(section, dialOptions);
    },
    listen: (section: Section, accept: (connection: Connection) => void) =>
      listenOn(section, accept, { backlog, onAcceptError, advertiser }),
  };
}

async function dial(section: Section, options: DialOptions): Promise<Connection> {
  const target = hostAndPort(section);
  try {
    const socket = await connectTcp(target, options);
    const { remoteAddress = target.host, remotePort = target.port } = socket;
    const remote = netSection(remoteAddress, remotePort);
    return new SocketConnection(socket, remote, isLoopback(remoteAddress));
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason;
    throw networkError("DIAL_REFUSED", `cannot reach ${section.text}: ${meaningOf(error)}`, {
      cause: error,
      address: section.text,
    });
  }
}
