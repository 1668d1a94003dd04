/**
 * Host: where an address leads, and from how far away that makes sense.
 */

import { hostAndPort, NetworkError, parseAddress, type Scope, type Section } from "@testudo/core";

/** Sections that lead to this machine only, whoever reads them. */
const OWN_MACHINE: ReadonlySet<string> = new Set(["unix", "memory"]);

/** The host that a transport's section names; `undefined` where it names none. */
export function hostOf(transport: Section): string | undefined {
  if (OWN_MACHINE.has(transport.name)) return "localhost";
  if (transport.name === "ws" || transport.name === "wss") {
    if (!URL.canParse(transport.text)) return undefined;
    return new URL(transport.text).hostname.replace(/^\[(.*)\]$/, "$1");
  }
  try {
    return hostAndPort(transport).host;
  } catch (error) {
    // A transport without a host and a port: an onion, or one of the user's own.
    if (error instanceof NetworkError) return undefined;
    throw error;
  }
}

/** The widest scope in which a host means the same node: `device`, `private` or `public`. */
export function scopeOfHost(host: string): Scope {
  const plain = host
    .toLowerCase()
    .replace(/%.*$/, "")
    .replace(/^::ffff:(?=\d+\.)/, "");
  if (plain === "localhost" || plain.endsWith(".localhost")) return "device";
  if (plain === "::1" || plain === "::" || plain === "0:0:0:0:0:0:0:1") return "device";
  if (plain.includes(":")) return /^f[cd]|^fe[89ab]/.test(plain) ? "private" : "public";
  if (plain.endsWith(".local")) return "private";
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(plain)) return "public";
  const [a = 0, b = 0] = plain.split(".").map(Number);
  if (a === 127 || a === 0) return "device";
  const inside =
    a === 10 ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    // Carriers' shared space (RFC 6598), and link-local.
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254);
  return inside ? "private" : "public";
}

/** The scope of the place that an address of one route leads to; `public` where no host is named. */
export function scopeOfAddress(address: string): Scope {
  const host = firstHost(address);
  return host === undefined ? "public" : scopeOfHost(host);
}

/** The hosts that are named by an address's alternatives. */
export function hostsOf(address: string): string[] {
  const hosts = parseAddress(address).routes.map(({ sections }) => {
    const transport = sections[0];
    return transport === undefined ? undefined : hostOf(transport);
  });
  return hosts.filter((host) => host !== undefined);
}

function firstHost(address: string): string | undefined {
  try {
    return hostsOf(address)[0];
  } catch (error) {
    // What a peer came from is shown for people, and need not be an address.
    if (error instanceof NetworkError) return undefined;
    throw error;
  }
}
