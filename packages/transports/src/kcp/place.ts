/**
 * Place: where UDP datagrams go to and come from, and its text in an address. No socket.
 */

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

/** `kcp:203.0.113.9:9000`, `kcp:::1:9000`: IPv6 stands without brackets, as with `net`. */
export function kcpSection(host: string, port: number): Section {
  return section("kcp", ...plainIp(host).split(":"), String(port));
}
