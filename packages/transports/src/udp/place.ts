/**
 * Place: where UDP datagrams go to and come from. No socket.
 */

import { isIP, SocketAddress } from "node:net";
import { plainIp } from "../net/host.ts";

/** As the socket says it: IPv4 seen through an IPv6 socket keeps its clothes. */
export interface Place {
  readonly address: string;
  readonly port: number;
}

export function samePlace(a: Place, b: Place): boolean {
  return a.port === b.port && a.address === b.address;
}

/** An IP address as a socket says it, however it was written, so that two can be compared as texts: `0:0::1` is `::1`. */
export function spelledBySocket(ip: string): string {
  const [address = "", zone] = plainIp(ip).split("%");
  if (isIP(address) !== 6) return plainIp(ip);
  const normal = plainIp(new SocketAddress({ address, family: "ipv6" }).address);
  return zone === undefined ? normal : `${normal}%${zone}`;
}
