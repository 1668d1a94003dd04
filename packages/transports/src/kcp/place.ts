/**
 * Place: where UDP datagrams go to and come from, and its text in an address. No socket.
 */

import { isIP, SocketAddress } from "node:net";
import { type Section, section } from "@testudo/core";
import { plainIp } from "../net/host.ts";

/** As the socket says it: IPv4 seen through an IPv6 socket keeps its clothes. */
export interface Place {
  readonly address: string;
  readonly port: number;
}

export function samePlace(a: Place, b: Place): boolean {
  return a.port === b.port && a.address === b.address;
}

/** An IP address as sockets write it, so that two can be compared as texts: `0:0::1` is `::1`. */
export function normalIp(ip: string): string {
  const [address = "", zone] = plainIp(ip).split("%");
  if (isIP(address) !== 6) return plainIp(ip);
  const normal = new SocketAddress({ address, family: "ipv6" }).address;
  return zone === undefined ? normal : `${normal}%${zone}`;
}

/** `kcp:203.0.113.9:9000`, `kcp:::1:9000`: IPv6 stands without brackets, as with `net`. */
export function kcpSection(host: string, port: number): Section {
  return section("kcp", ...plainIp(host).split(":"), String(port));
}
