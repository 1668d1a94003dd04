/**
 * Host: where an address leads, and from how far away that makes sense. Names are not looked up here: a public
 * name may still lead to a private address.
 */

import { hostAndPort, NetworkError, parseAddress, type Scope, type Section } from "@testudo/core";

/** Sections that lead to this machine only, whoever reads them. */
const OWN_MACHINE: ReadonlySet<string> = new Set(["unix", "memory"]);

/** The host that a transport's section names; `undefined` where it names none. */
export function hostOf(transport: Section): string | undefined {
  if (OWN_MACHINE.has(transport.name)) return "localhost";
  if (transport.name === "ws" || transport.name === "wss") {
    // Without escapes, as the transport reads it: `ws://127.0.0.1!:80` is a way to loopback, too.
    const url = [transport.name, ...transport.args].join(":");
    if (!URL.canParse(url)) return undefined;
    return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
  }
  try {
    return hostAndPort(transport).host;
  } catch (error) {
    // A transport without a host and a port: an onion, or one of the user's own.
    if (error instanceof NetworkError) return undefined;
    throw error;
  }
}

/**
 * The widest scope in which a host means the same node: `device`, `private` or `public`. Of all the ways to write
 * an address (`127.1`, `0x7f.0.0.1`, `::ffff:7f00:1`) the platform's own reading counts; what has none, or is
 * nobody's address, is `device`, so that no stranger's word makes us dial it.
 */
export function scopeOfHost(host: string): Scope {
  const plain = host.toLowerCase().replace(/%.*$/, "").replace(/\.$/, "");
  const written = `http://${plain.includes(":") ? `[${plain}]` : plain}/`;
  if (plain === "" || !URL.canParse(written)) return "device";
  const { hostname } = new URL(written);
  if (hostname.startsWith("[")) return scopeOfIpv6(hostname.slice(1, -1));
  if (/^\d+(\.\d+){3}$/.test(hostname)) return scopeOfIpv4(hostname.split(".").map(Number));
  return scopeOfName(hostname);
}

function scopeOfName(name: string): Scope {
  if (name === "localhost" || name.endsWith(".localhost")) return "device";
  // A name without a dot, or under one of these, is looked up in the network that one is in.
  return !name.includes(".") || /\.(local|lan|internal|home\.arpa)$/.test(name)
    ? "private"
    : "public";
}

function scopeOfIpv4([a = 0, b = 0]: readonly number[]): Scope {
  // Loopback, "this host", and from 224 up what is no node's address at all.
  if (a === 127 || a === 0 || a >= 224) return "device";
  const inside =
    a === 10 ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    // Carriers' shared space (RFC 6598), and link-local.
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254);
  return inside ? "private" : "public";
}

/** Of the shortest form. */
function scopeOfIpv6(text: string): Scope {
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const [before = "", after = ""] = text.split("::");
  const [head, tail] = [groups(before), text.includes("::") ? groups(after) : []];
  const zeros = new Array<number>(8 - head.length - tail.length).fill(0);
  const all = [...head, ...zeros, ...tail];
  const [first = 0, , , , , sixth = 0, high = 0, low = 0] = all;
  const lowest = [high >>> 8, high & 0xff, low >>> 8, low & 0xff];
  // IPv4 in IPv6: mapped, and through a translator.
  if (all.slice(0, 5).every((group) => group === 0)) {
    return sixth === 0xffff ? scopeOfIpv4(lowest) : "device";
  }
  if (first === 0x64 && all[1] === 0xff9b) return scopeOfIpv4(lowest);
  if ((first & 0xff00) === 0xff00) return "device";
  return (first & 0xfe00) === 0xfc00 || (first & 0xff80) === 0xfe80 ? "private" : "public";
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

/** Where peers came from is asked with everything that they bring, and is the same few addresses. */
const hosts = new Map<string, string | undefined>();
const MAX_HOSTS = 1_024;

/** Where a peer came from, as far as that names a host. */
export function firstHost(address: string): string | undefined {
  const known = hosts.get(address);
  if (known !== undefined || hosts.has(address)) return known;
  if (hosts.size >= MAX_HOSTS) hosts.clear();
  const host = readFirstHost(address);
  hosts.set(address, host);
  return host;
}

function readFirstHost(address: string): string | undefined {
  try {
    return hostsOf(address)[0];
  } catch (error) {
    // What a peer came from is shown for people, and need not be an address.
    if (error instanceof NetworkError) return undefined;
    throw error;
  }
}
