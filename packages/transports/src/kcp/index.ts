/**
 * Transport `kcp`: reliable streams over UDP that do not wait for what TCP waits for, IPv4 and IPv6.
 *
 *     const network = new Network({ stacks: [[kcp(), noise()]] });
 *     await network.listen("kcp:0.0.0.0:8008~noise");
 *
 *     kcp({ port: 8008, scope: ["device", "public"], fec: { data: 10, parity: 3 } });
 *
 * Section `kcp:HOST:PORT`, host and port as with `net`. A connection survives a change of either side's address
 * and has unreliable datagrams beside its stream. Nothing here is secret or proved to whoever can read the packets:
 * that is the transforms' work. docs/kcp.md has the wire, the options, and when to choose it.
 */

import {
  asError,
  type Connection,
  type DialOptions,
  hostAndPort,
  type Listener,
  networkError,
  type Scope,
  type Section,
  type Side,
  type Transport,
} from "@testudo/core";
import { Advertiser } from "../net/advertise.ts";
import { Dialling } from "./dial.ts";
import { Listening } from "./listener.ts";
import { kcpSection } from "./place.ts";
import { type KcpTransportOptions, settingsOf } from "./settings.ts";

export type { CongestionControl, CongestionFactory } from "./congestion.ts";
export { KcpConnection } from "./connection.ts";
export type { KcpDatagrams } from "./datagrams.ts";
export type { FecShape, KcpTransportOptions } from "./settings.ts";

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function kcp(options: KcpTransportOptions = {}): Transport {
  const settings = settingsOf(options);
  const advertiser = new Advertiser(options, "kcp");
  const place = placeOf(options, advertiser);
  const dialling = new Dialling(settings);
  const listening = new Listening(settings, advertiser);
  return {
    name: "kcp",
    halfClose: true,
    ...(place === undefined ? {} : { place }),
    check,
    async dial(section: Section, dialOptions: DialOptions): Promise<Connection> {
      check(section, "dialer");
      return dialling.dial(section, hostAndPort(section), dialOptions);
    },
    listen(section: Section, accept: (connection: Connection) => void): Promise<Listener> {
      return listening.listen(section, accept);
    },
    advertised(bound: Section, scope: Scope): readonly Section[] {
      const { host, port } = hostAndPort(bound);
      const hosts = advertiser.hosts(host, scope);
      // Port 0 is bound nowhere yet.
      return port === 0 ? [] : hosts.map((each) => kcpSection(each, port));
    },
  };
}

function placeOf({ host, port }: KcpTransportOptions, advertiser: Advertiser): Section | undefined {
  if (port === undefined) {
    if (host !== undefined) throw new TypeError("kcp host needs a port beside it; 0 picks one");
    return undefined;
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError("kcp port must be a whole number from 0 to 65535");
  }
  try {
    const place = kcpSection(host ?? advertiser.bindHost, port);
    return kcpSection(hostAndPort(place).host, port);
  } catch (cause) {
    throw new TypeError(`kcp host cannot be used: ${asError(cause).message}`, { cause });
  }
}

function check(section: Section, side: Side): void {
  const { text: address } = section;
  if (hostAndPort(section).port === 0 && side === "dialer") {
    const message = `${address} cannot be dialled: port 0 is for listening`;
    throw networkError("ADDRESS_MALFORMED", message, { address });
  }
}
