/**
 * Reach of a host: from how far away it can be dialled, and which hosts this machine has for a listener
 * that is bound to all of them. Pure functions over what `os.networkInterfaces()` gave; no look-ups.
 */

import { BlockList, isIP } from "node:net";
import type { NetworkInterfaceInfo } from "node:os";
import type { Scope } from "@testudo/core";

export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** Most hosts told for one listener in one scope. */
export const MAX_HOSTS = 8;

/** `link`: the same cable or radio only, so that beyond it a zone is missing. */
type Reach = "device" | "link" | "private" | "public";

type Subnet = readonly [network: string, prefix: number, family: "ipv4" | "ipv6"];

const SUBNETS: readonly (readonly [Reach, readonly Subnet[]])[] = [
  [
    "device",
    [
      ["127.0.0.0", 8, "ipv4"],
      ["::1", 128, "ipv6"],
    ],
  ],
  [
    "link",
    [
      ["169.254.0.0", 16, "ipv4"],
      ["fe80::", 10, "ipv6"],
    ],
  ],
  [
    "private",
    [
      ["10.0.0.0", 8, "ipv4"],
      ["172.16.0.0", 12, "ipv4"],
      ["192.168.0.0", 16, "ipv4"],
      // Between a provider and its customers (RFC 6598), and inside some overlay networks.
      ["100.64.0.0", 10, "ipv4"],
      ["fc00::", 7, "ipv6"],
    ],
  ],
];

let lists: readonly (readonly [Reach, BlockList])[] | undefined;

/** From how far away an IP address can be dialled; `undefined` for a name, which says nothing of it. */
function reachOf(host: string): Reach | undefined {
  const ip = withoutZone(host);
  const version = isIP(ip);
  if (version === 0) return undefined;
  lists ??= SUBNETS.map(([reach, subnets]) => {
    const list = new BlockList();
    for (const [network, prefix, family] of subnets) list.addSubnet(network, prefix, family);
    return [reach, list];
  });
  const family = version === 6 ? "ipv6" : "ipv4";
  return lists.find(([, list]) => list.check(ip, family))?.[0] ?? "public";
}

/** Whether others within `scope` can dial this host, which is no wildcard. A name is dialled from anywhere. */
export function isWithin(host: string, scope: Scope): boolean {
  const reach = /(^|\.)localhost\.?$/i.test(host) ? "device" : (reachOf(host) ?? "public");
  if (scope === "device" || reach === "public") return true;
  return scope !== "public" && reach !== "device";
}

/** `fe80::1%eth0` without what names an interface of this machine and means nothing elsewhere. */
export function withoutZone(host: string): string {
  const zone = host.indexOf("%");
  return zone < 0 ? host : host.slice(0, zone);
}

/** A listener bound here can be dialled under every address this machine has in that family. */
export function hostsOfWildcard(
  wildcard: string,
  scope: Scope,
  interfaces: Interfaces,
): readonly string[] {
  if (scope === "device") return [loopbackOf(wildcard, interfaces)];
  const wanted = scope === "public" ? "public" : "private";
  const found = Object.entries(interfaces)
    .flatMap(([name, infos = []]) => infos.map((info) => ({ ...info, rank: rankOf(name) })))
    .filter((info) => !info.internal && reachOf(info.address) === wanted)
    // Bound to `::`, a socket takes IPv4 too.
    .filter((info) => info.family === "IPv4" || isIP(wildcard) === 6)
    .sort((a, b) => kindOf(a.rank) - kindOf(b.rank) || byFamily(a, b) || a.rank - b.rank);
  const real = found.filter((info) => kindOf(info.rank) !== VIRTUAL);
  const hosts = (real.length > 0 ? real : found).map((info) => withoutZone(info.address));
  return [...new Set(hosts)].slice(0, MAX_HOSTS);
}

/** Loopback of the wildcard's family; IPv4 where this machine has no other. */
export function loopbackOf(wildcard: string, interfaces: Interfaces): string {
  const own = Object.values(interfaces).flatMap((infos) =>
    (infos ?? []).filter((info) => info.internal).map((info) => info.address),
  );
  const hasIpv6 = own.length === 0 || own.includes("::1");
  return isIP(wildcard) === 4 || !hasIpv6 ? "127.0.0.1" : "::1";
}

/** Interface names by how likely others reach this machine through them: radio, cable, unknown, made of software. */
const RANKS: readonly RegExp[] = [
  /^(wl|wi-?fi)/i,
  /^en/i,
  /^eth/i,
  /^(?!docker|br-|veth|virbr|vmnet|vnet|vbox|vethernet|bridge|cni|cali|flannel|lxc|lxd|podman|tun|tap|utun|wg|ppp|zt|tailscale|awdl|llw)/i,
];
const UNKNOWN = 3;
const VIRTUAL = 4;

function rankOf(name: string): number {
  // Windows calls its virtual switches "vEthernet (...)" and its cables "Ethernet".
  const rank = RANKS.findIndex((pattern) => pattern.test(name));
  return rank < 0 ? VIRTUAL : rank;
}

/** Radio and cable are one kind. */
function kindOf(rank: number): number {
  return rank < UNKNOWN ? 0 : rank;
}

function byFamily(a: NetworkInterfaceInfo, b: NetworkInterfaceInfo): number {
  return a.family.localeCompare(b.family);
}

/** Whether this machine speaks IPv6 at all. */
export function speaksIpv6(interfaces: Interfaces): boolean {
  return Object.values(interfaces).some((infos) => infos?.some((info) => info.family === "IPv6"));
}
