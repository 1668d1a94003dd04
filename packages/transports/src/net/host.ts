/**
 * Hosts and ports of TCP: their text in a section, which are loopback, which one to advertise, and what a
 * failed system call means to a person. Pure functions; no socket.
 */

import type { NetworkInterfaceInfo } from "node:os";
import { asError, type Section, section } from "@testudo/core";

const MAPPED_IPV4 = "::ffff:";

/** `net:203.0.113.9:80`, `net:::1:80`: IPv6 stands without brackets, as multiserver prints it. */
export function netSection(host: string, port: number): Section {
  return section("net", ...plainIp(host).split(":"), String(port));
}

/** An IPv4 address in IPv6 clothes, as dual-stack sockets report it, without them. */
export function plainIp(ip: string): string {
  return ip.startsWith(MAPPED_IPV4) && ip.includes(".") ? ip.slice(MAPPED_IPV4.length) : ip;
}

export function isLoopback(ip: string): boolean {
  const plain = plainIp(ip);
  return plain === "::1" || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

export function isWildcard(ip: string): boolean {
  return ip === "0.0.0.0" || ip === "::";
}

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/**
 * The address to tell others for a listener bound to `0.0.0.0` or `::`: one of a real interface, wireless
 * and wired ones first, of the bound family first; loopback when there is none.
 */
export function advertisedHost(wildcard: string, interfaces: Interfaces): string {
  const family = wildcard === "::" ? "IPv6" : "IPv4";
  const rank = (name: string): number => (/^(wl|en|eth|wi-?fi|ethernet)/i.test(name) ? 0 : 1);
  const names = Object.keys(interfaces).sort((a, b) => rank(a) - rank(b));
  const usable = names
    .flatMap((name) => interfaces[name] ?? [])
    .filter((info) => !info.internal && !/^(169\.254\.|fe80:)/i.test(info.address));
  // Bound to `::`, the socket takes IPv4 too.
  const best =
    usable.find((info) => info.family === family) ?? (family === "IPv6" ? usable[0] : undefined);
  return best?.address ?? (family === "IPv6" ? "::1" : "127.0.0.1");
}

const MEANINGS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ENOTFOUND: "no such host name",
  EAI_AGAIN: "the host name cannot be looked up now",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no way to that host",
  ENETUNREACH: "no way to that network",
  EADDRINUSE:
    "the port is in use; stop the other program or choose another port (0 picks a free one)",
  EACCES: "not allowed to use that port; choose one above 1023",
  EADDRNOTAVAIL: "this machine has no such address; 0.0.0.0 or :: listens on all it has",
  EMFILE: "too many open files; raise the limit (ulimit -n)",
};

/** `nobody listens there (ECONNREFUSED)`; the system's own words when the code says nothing to us. */
export function meaningOf(error: unknown): string {
  const code =
    typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const meaning = MEANINGS[code];
  return meaning === undefined ? asError(error).message || code : `${meaning} (${code})`;
}
