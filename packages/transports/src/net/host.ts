/**
 * Hosts and ports of TCP and UDP: their text in a section, which are loopback, and what a failed system call means
 * to a person. Pure functions; no socket.
 */

import { isIP } from "node:net";
import { asError, type Section, section } from "@testudo/core";

const MAPPED_IPV4 = "::ffff:";

/** `net:203.0.113.9:80`, `net:::1:80`: IPv6 stands without brackets, as multiserver prints it. */
export function hostSection(name: string, host: string, port: number): Section {
  return section(name, ...plainIp(host).split(":"), String(port));
}

export function netSection(host: string, port: number): Section {
  return hostSection("net", host, port);
}

/** An IPv4 address in IPv6 clothes, as dual-stack sockets report it, without them. */
export function plainIp(ip: string): string {
  return ip.startsWith(MAPPED_IPV4) && ip.includes(".") ? ip.slice(MAPPED_IPV4.length) : ip;
}

export function isLoopback(ip: string): boolean {
  const plain = plainIp(ip);
  return plain === "::1" || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

/** `0.0.0.0` or `::`, however it is written: every address of this machine. */
export function isWildcard(ip: string): boolean {
  return /^[0:.]+$/.test(ip) && isIP(ip) !== 0;
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

/**
 * `nobody listens there (ECONNREFUSED)`; the system's own words when the code says nothing to us. Of several
 * errors, each meaning once, with the addresses it is about.
 */
export function meaningOf(error: unknown): string {
  if (!(error instanceof AggregateError)) {
    const code = textOf(error, "code");
    const meaning = MEANINGS[code];
    return meaning === undefined ? asError(error).message || code : `${meaning} (${code})`;
  }
  const addresses = new Map<string, string[]>();
  for (const each of error.errors) {
    const meaning = meaningOf(each);
    const address = textOf(each, "address");
    const known = addresses.get(meaning) ?? [];
    addresses.set(meaning, address === "" ? known : [...known, address]);
  }
  return [...addresses]
    .map(([meaning, at]) => (at.length === 0 ? meaning : `${meaning} at ${at.join(", ")}`))
    .join("; ");
}

function textOf(error: unknown, key: "code" | "address"): string {
  if (typeof error !== "object" || error === null) return "";
  return String(Reflect.get(error, key) ?? "");
}
