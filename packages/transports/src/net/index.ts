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
  asError,
  type Connection,
  type DialOptions,
  hostAndPort,
  networkError,
  type Scope,
  type Section,
  type Side,
  type Transport,
} from "@testudo/core";
import { type AdvertiseOptions, Advertiser } from "./advertise.ts";
import { SocketConnection } from "./connection.ts";
import { connectTcp } from "./dial.ts";
import { isLoopback, meaningOf, netSection } from "./host.ts";
import { listenOn } from "./listener.ts";

export interface NetOptions extends AdvertiseOptions {
  /** Where to listen when no address says so; 0 picks a free one. Default: nowhere. */
  readonly port?: number;
  /**
   * The name or IP address to bind `port` to. Default: `localhost` unless `scope` asks for more than
   * `device`, then all addresses of this machine.
   */
  readonly host?: string;
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
  const advertiser = new Advertiser(options, "net");
  const place = placeOf(options, advertiser);
  return {
    name: "net",
    halfClose: true,
    ...(place === undefined ? {} : { place }),
    check,
    dial,
    listen: (section: Section, accept: (connection: Connection) => void) =>
      listenOn(section, accept, { backlog, onAcceptError, advertiser }),
    advertised(bound: Section, scope: Scope): readonly Section[] {
      const { host, port } = hostAndPort(bound);
      const hosts = advertiser.hosts(host, scope);
      // Port 0 is bound nowhere yet.
      return port === 0 ? [] : hosts.map((each) => netSection(each, port));
    },
  };
}

function placeOf({ host, port }: NetOptions, advertiser: Advertiser): Section | undefined {
  if (port === undefined) {
    if (host !== undefined) throw new TypeError("net host needs a port beside it; 0 picks one");
    return undefined;
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError("net port must be a whole number from 0 to 65535");
  }
  try {
    const place = netSection(host ?? advertiser.bindHost, port);
    return netSection(hostAndPort(place).host, port);
  } catch (cause) {
    throw new TypeError(`net host cannot be used: ${asError(cause).message}`, { cause });
  }
}

function check(section: Section, side: Side): void {
  const { text: address } = section;
  if (hostAndPort(section).port === 0 && side === "dialer") {
    const message = `${address} cannot be dialled: port 0 is for listening`;
    throw networkError("ADDRESS_MALFORMED", message, { address });
  }
}

async function dial(section: Section, options: DialOptions): Promise<Connection> {
  check(section, "dialer");
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
