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
  type Connection,
  type DialOptions,
  hostAndPort,
  type Listener,
  type Section,
  type Transport,
} from "@testudo/core";
import { hosted } from "../net/options.ts";
import { Listening } from "../udp/listener.ts";
import { Dialling } from "./dial.ts";
import { Door } from "./door.ts";
import { type KcpTransportOptions, settingsOf } from "./settings.ts";

export type { CongestionControl, CongestionFactory } from "./congestion.ts";
export { KcpConnection } from "./connection.ts";
export type { KcpDatagrams } from "./datagrams.ts";
export type { FecShape, KcpTransportOptions } from "./settings.ts";

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function kcp(options: KcpTransportOptions = {}): Transport {
  const settings = settingsOf(options);
  const { advertiser, parts } = hosted("kcp", options);
  const dialling = new Dialling(settings);
  const listening = new Listening("kcp", advertiser, (at) => Door.open(at, settings));
  return {
    name: "kcp",
    halfClose: true,
    ...parts,
    async dial(section: Section, dialOptions: DialOptions): Promise<Connection> {
      parts.check(section, "dialer");
      return dialling.dial(section, hostAndPort(section), dialOptions);
    },
    listen(section: Section, accept: (connection: Connection) => void): Promise<Listener> {
      return listening.listen(section, accept);
    },
  };
}
