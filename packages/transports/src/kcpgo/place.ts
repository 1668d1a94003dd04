/**
 * Place: texts of addresses of kcpgo, and one spelling for an IP address. No socket.
 */

import { isIP, SocketAddress } from "node:net";
import { type Section, section } from "@testudo/core";
import { plainIp } from "../net/host.ts";

/** `kcpgo:203.0.113.9:29900`, `kcpgo:::1:29900`: IPv6 stands without brackets, as with `net`. */
export function kcpgoSection(host: string, port: number): Section {
  return section("kcpgo", ...plainIp(host).split(":"), String(port));
}

/** An IP address as a socket says it, however it was written: where packets come from is compared as text. */
export function spelledBySocket(ip: string): string {
  const plain = plainIp(ip);
  if (isIP(plain) !== 6 || plain.includes("%")) return plain;
  return plainIp(new SocketAddress({ address: plain, family: "ipv6" }).address);
}
