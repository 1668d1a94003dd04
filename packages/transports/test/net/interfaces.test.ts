import type { NetworkInterfaceInfo } from "node:os";
import type { Scope } from "@testudo/core";
import { describe, expect, it } from "vitest";
import {
  hostsOfWildcard,
  type Interfaces,
  isWithin,
  loopbackOf,
  MAX_HOSTS,
  speaksIpv6,
  withoutZone,
} from "../../src/net/interfaces.ts";

/** Interfaces as the system lists them, from their addresses. */
function machine(addresses: Readonly<Record<string, readonly string[]>>): Interfaces {
  const infoOf = (name: string, address: string): NetworkInterfaceInfo =>
    ({
      address,
      internal: name.startsWith("lo"),
      family: address.includes(":") ? "IPv6" : "IPv4",
    }) as NetworkInterfaceInfo;
  return Object.fromEntries(
    Object.entries(addresses).map(([name, list]) => [name, list.map((ip) => infoOf(name, ip))]),
  );
}

const LOOPBACK = { lo: ["127.0.0.1", "::1"] };

/** A laptop at home that also runs containers and a tunnel. */
const laptop = machine({
  ...LOOPBACK,
  docker0: ["172.17.0.1", "fe80::42"],
  tun0: ["10.8.0.2"],
  foo7: ["192.168.7.7"],
  eth1: ["192.168.2.5", "fd00::5", "2001:db8::5"],
  enp3s0: ["169.254.3.4", "192.168.1.5", "fe80::5", "fd00::6"],
  wlan0: ["192.168.1.9", "2001:db8::9"],
});

/** A rented server: public addresses only, and containers. */
const server = machine({
  ...LOOPBACK,
  docker0: ["172.17.0.1"],
  eth0: ["203.0.113.9", "2001:db8::9", "fe80::9"],
});

describe("hostsOfWildcard", () => {
  it("gives loopback of the bound family to this machine", () => {
    expect(hostsOfWildcard("0.0.0.0", "device", laptop)).toEqual(["127.0.0.1"]);
    expect(hostsOfWildcard("::", "device", laptop)).toEqual(["::1"]);
  });

  it.each<Scope>(["local", "private"])(
    "gives %s every private address: cables and radio, IPv4 first, nothing made of software",
    (scope) => {
      expect(hostsOfWildcard("::", scope, laptop)).toEqual([
        "192.168.1.9",
        "192.168.1.5",
        "192.168.2.5",
        "fd00::6",
        "fd00::5",
        "192.168.7.7",
      ]);
      expect(hostsOfWildcard("0.0.0.0", scope, laptop)).toEqual([
        "192.168.1.9",
        "192.168.1.5",
        "192.168.2.5",
        "192.168.7.7",
      ]);
    },
  );

  it("gives public every public address", () => {
    expect(hostsOfWildcard("::", "public", laptop)).toEqual(["2001:db8::9", "2001:db8::5"]);
    expect(hostsOfWildcard("0.0.0.0", "public", laptop)).toEqual([]);
    expect(hostsOfWildcard("::", "public", server)).toEqual(["203.0.113.9", "2001:db8::9"]);
  });

  it("falls back to what is made of software", () => {
    expect(hostsOfWildcard("0.0.0.0", "local", server)).toEqual(["172.17.0.1"]);
    expect(hostsOfWildcard("::", "private", machine({ tun0: ["10.8.0.2"] }))).toEqual(["10.8.0.2"]);
  });

  it.each([
    "docker0",
    "br-1a2b3c",
    "veth9f",
    "virbr0",
    "vmnet8",
    "tun0",
    "tap0",
    "vEthernet (WSL)",
    "utun3",
    "wg0",
  ])("takes %s for made of software", (name) => {
    const both = machine({ [name]: ["10.1.0.1"], Ethernet: ["10.2.0.1"] });
    expect(hostsOfWildcard("0.0.0.0", "local", both)).toEqual(["10.2.0.1"]);
  });

  it("gives nothing when there is nothing", () => {
    for (const scope of ["local", "private", "public"] as const) {
      expect(hostsOfWildcard("::", scope, machine(LOOPBACK))).toEqual([]);
      expect(hostsOfWildcard("::", scope, { gone: undefined })).toEqual([]);
    }
  });

  it("tells each address once, without its zone, and no more than a few", () => {
    const crowd = machine({
      eth0: ["10.0.0.1", "10.0.0.1", "fd00::1%eth0"],
      eth1: Array.from({ length: 20 }, (_, i) => `10.0.1.${i}`),
    });
    const hosts = hostsOfWildcard("::", "local", crowd);
    expect(hosts).toHaveLength(MAX_HOSTS);
    expect(hosts.slice(0, 2)).toEqual(["10.0.0.1", "10.0.1.0"]);
    expect(hostsOfWildcard("::", "local", machine({ eth0: ["fd00::1%eth0"] }))).toEqual([
      "fd00::1",
    ]);
  });
});

describe("loopbackOf", () => {
  it("is of the family that is bound, unless this machine lacks it", () => {
    expect(loopbackOf("0.0.0.0", machine(LOOPBACK))).toBe("127.0.0.1");
    expect(loopbackOf("::", machine(LOOPBACK))).toBe("::1");
    expect(loopbackOf("::", {})).toBe("::1");
    expect(loopbackOf("::", machine({ lo: ["127.0.0.1"] }))).toBe("127.0.0.1");
  });
});

describe("isWithin", () => {
  const ALL: readonly Scope[] = ["device", "local", "private", "public"];

  it.each<[readonly Scope[], readonly string[]]>([
    [
      ["device"],
      [
        "localhost",
        "LocalHost.",
        "a.localhost",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
      ],
    ],
    [
      ["device", "local", "private"],
      [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "::ffff:192.168.0.1",
        "fd00::1",
        "fe80::1",
        "fe80::1%eth0",
      ],
    ],
    [
      ALL,
      [
        "203.0.113.9",
        "172.32.0.1",
        "11.0.0.1",
        "100.128.0.1",
        "2001:db8::1",
        "fec0::1",
        "localhost.example",
      ],
    ],
  ])("says %j of hosts", (scopes, hosts) => {
    for (const host of hosts) {
      expect(
        ALL.filter((scope) => isWithin(host, scope)),
        host,
      ).toEqual(scopes);
    }
  });
});

describe("zones and families", () => {
  it("are told from the address", () => {
    expect(withoutZone("fe80::1%eth0")).toBe("fe80::1");
    expect(withoutZone("example.org")).toBe("example.org");
    expect(speaksIpv6(machine({ lo: ["127.0.0.1"] }))).toBe(false);
    expect(speaksIpv6(machine(LOOPBACK))).toBe(true);
    expect(speaksIpv6({ gone: undefined })).toBe(false);
  });
});
