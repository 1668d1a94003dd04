import { parseAddress, type Section } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { hostOf, hostsOf, scopeOfAddress, scopeOfHost } from "../../src/record/host.ts";

function transportOf(address: string): Section {
  const section = parseAddress(address).routes[0]?.sections[0];
  if (section === undefined) throw new Error("no section");
  return section;
}

describe("the host of a route", () => {
  it.each([
    ["net:example.org:9000~noise", "example.org"],
    ["net:::1:9000~noise", "::1"],
    ["kcp:10.0.0.1:9000~noise", "10.0.0.1"],
    ["ws://example.org!:80/path~noise", "example.org"],
    ["wss://[2001!:db8!:!:1]!:443/~noise", "2001:db8::1"],
    ["unix:/run/socket~noise", "localhost"],
    ["memory:somebody~noise", "localhost"],
    ["onion:abcdefgh.onion:80~noise", "abcdefgh.onion"],
    ["own:whatever~noise", undefined],
  ])("of %s is %s", (address, host) => {
    expect(hostOf(transportOf(address))).toBe(host);
  });

  it("of several are all that are named", () => {
    expect(hostsOf("net:a.org:1~noise;own:x~noise;net:b.org:2~noise")).toEqual(["a.org", "b.org"]);
  });
});

describe("the scope of a host", () => {
  it.each([
    ["device", "localhost LOCALHOST localhost. api.localhost 127.0.0.1 127.9.9.9 0.0.0.0 ::1 ::"],
    ["device", "::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:ffff:7f00:1 64:ff9b::7f00:1 ::127.0.0.1"],
    ["device", "127.1 127.0.1 2130706433 0x7f.0.0.1 0x7f000001 0177.0.0.1 0 ff02::1 224.0.0.251"],
    ["device", "255.255.255.255 256.1.1.1 1.2.3.4.5 :::: a:b"],
    ["private", "10.1.2.3 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 169.254.1.1 10.1"],
    ["private", "fd00::1 fc00::1 fe80::1 fe80::1%eth0 fec0::1 ::ffff:10.0.0.1 ::ffff:a00:1"],
    ["private", "printer.local router nas.lan a.internal b.home.arpa"],
    ["public", "example.org 192.0.2.1 172.32.0.1 172.15.0.1 100.63.0.1 100.128.0.1 8.8.8.8"],
    ["public", "2001:db8::1 2606:4700::1111 ::ffff:8.8.8.8 example.org. 010.0.0.1 x.onion"],
  ])("is %s for %s", (scope, hosts) => {
    for (const host of hosts.split(" ")) expect([host, scopeOfHost(host)]).toEqual([host, scope]);
  });

  it("of an address is that of its host, and public when it has none, or is none", () => {
    expect(scopeOfAddress("net:127.0.0.1:1~noise")).toBe("device");
    expect(scopeOfAddress("memory:x~noise")).toBe("device");
    expect(scopeOfAddress("net:192.168.1.1:1~noise")).toBe("private");
    expect(scopeOfAddress("own:x~noise")).toBe("public");
    expect(scopeOfAddress("not an address")).toBe("public");
  });
});
