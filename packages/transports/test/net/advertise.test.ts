import type { NetworkInterfaceInfo } from "node:os";
import { SCOPES, type Scope } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { type AdvertiseOptions, Advertiser } from "../../src/net/advertise.ts";
import type { Interfaces } from "../../src/net/interfaces.ts";

const info = (address: string, internal: boolean = false): NetworkInterfaceInfo =>
  ({
    address,
    internal,
    family: address.includes(":") ? "IPv6" : "IPv4",
  }) as NetworkInterfaceInfo;

const IPV4_ONLY: Interfaces = {
  lo: [info("127.0.0.1", true)],
  eth0: [info("192.168.1.5"), info("203.0.113.5")],
};
const BOTH: Interfaces = {
  lo: [info("127.0.0.1", true), info("::1", true)],
  eth0: [info("192.168.1.5"), info("203.0.113.5"), info("2001:db8::5")],
};

const made = (options: AdvertiseOptions, interfaces: Interfaces = BOTH): Advertiser =>
  new Advertiser(options, "net", () => interfaces);

/** What it says in each scope, from near to far. */
const said = (advertiser: Advertiser, bound: string): readonly (readonly string[])[] =>
  SCOPES.map((scope) => advertiser.hosts(bound, scope));

describe("an advertiser without options", () => {
  it.each<[string, readonly (readonly string[])[]]>([
    ["localhost", [["localhost"], [], [], []]],
    ["127.0.0.1", [["127.0.0.1"], [], [], []]],
    ["::1", [["::1"], [], [], []]],
    ["192.168.1.5", [["192.168.1.5"], ["192.168.1.5"], ["192.168.1.5"], []]],
    ["fe80::1%eth0", [["fe80::1"], ["fe80::1"], ["fe80::1"], []]],
    ["203.0.113.5", [["203.0.113.5"], ["203.0.113.5"], ["203.0.113.5"], ["203.0.113.5"]]],
    ["example.org", [["example.org"], ["example.org"], ["example.org"], ["example.org"]]],
    ["0.0.0.0", [["127.0.0.1"], ["192.168.1.5"], ["192.168.1.5"], ["203.0.113.5"]]],
    ["::", [["::1"], ["192.168.1.5"], ["192.168.1.5"], ["203.0.113.5", "2001:db8::5"]]],
    [
      "0:0:0:0:0:0:0:0",
      [["::1"], ["192.168.1.5"], ["192.168.1.5"], ["203.0.113.5", "2001:db8::5"]],
    ],
  ])("bound at %s says by what it is", (bound, hosts) => {
    expect(said(made({}), bound)).toEqual(hosts);
  });
});

describe("an advertiser with scopes", () => {
  it("says the host it is bound at, whatever that is, in those and in no other", () => {
    for (const bound of ["localhost", "192.168.1.5", "203.0.113.5", "example.org"]) {
      expect(said(made({ scope: "public" }), bound)).toEqual([[], [], [], [bound]]);
      expect(said(made({ scope: ["private", "device"] }), bound)).toEqual([
        [bound],
        [],
        [bound],
        [],
      ]);
    }
  });

  it("says of a wildcard what this machine has in those", () => {
    expect(said(made({ scope: "local" }), "::")).toEqual([[], ["192.168.1.5"], [], []]);
    expect(said(made({ scope: ["device", "public"] }), "0.0.0.0")).toEqual([
      ["127.0.0.1"],
      [],
      [],
      ["203.0.113.5"],
    ]);
  });

  it("refuses a scope that is none", () => {
    expect(() => made({ scope: "bogus" as Scope })).toThrow(TypeError);
    expect(() => made({ scope: [] })).toThrow("net scope");
    expect(() => made({}).hosts("localhost", "bogus" as Scope)).toThrow(TypeError);
  });
});

describe("an advertiser with external hosts", () => {
  it("says them to the public, and to nobody else", () => {
    const external = ["a.example", "2001:db8::77"];
    expect(said(made({ external }), "192.168.1.5")).toEqual([
      ["192.168.1.5"],
      ["192.168.1.5"],
      ["192.168.1.5"],
      external,
    ]);
    expect(said(made({ external: "a.example" }), "localhost")).toEqual([
      ["localhost"],
      [],
      [],
      ["a.example"],
    ]);
    expect(said(made({ external }), "::")[3]).toEqual(external);
    expect(said(made({ external, scope: ["local", "public"] }), "h")).toEqual([
      [],
      ["h"],
      [],
      external,
    ]);
    expect(said(made({ external, scope: "device" }), "h")).toEqual([["h"], [], [], []]);
  });

  it("takes IPv6 in brackets and with a zone, and says it without both", () => {
    const advertiser = made({ external: ["[2001:db8::7]", "fd00::1%eth0"] });
    expect(advertiser.hosts("::", "public")).toEqual(["2001:db8::7", "fd00::1"]);
  });

  it.each<[unknown, RegExp]>([
    ["example.org:8008", /net external takes hosts without a port, not "example.org:8008"/],
    ["", /takes hosts/],
    ["[example.org", /takes hosts/],
    ["a\nb", /takes hosts/],
    [[], /at least one host/],
    [["a.example", 5], /must be a host/],
    [null, /must be a host/],
    ["0.0.0.0", /nobody can dial 0\.0\.0\.0/],
    ["[::]", /nobody can dial/],
  ])("refuses %j", (external, why) => {
    const options = { external: external as string };
    expect(() => made(options)).toThrow(TypeError);
    expect(() => made(options)).toThrow(why);
  });

  it("names who asked", () => {
    expect(() => new Advertiser({ external: [] }, "ws")).toThrow("ws external");
    expect(() => new Advertiser({ scope: [] }, "ws")).toThrow("ws scope");
  });
});

describe("bindHost", () => {
  it("is this machine only, unless more is asked for", () => {
    expect(made({}).bindHost).toBe("localhost");
    expect(made({ external: "a.example" }).bindHost).toBe("localhost");
    expect(made({ scope: "device" }).bindHost).toBe("localhost");
    for (const scope of ["local", "private", "public", ["device", "public"]] as const) {
      expect(made({ scope }).bindHost).toBe("::");
      expect(made({ scope }, IPV4_ONLY).bindHost).toBe("0.0.0.0");
    }
  });
});

describe("widestHost", () => {
  it("is of the widest scope that has one, and loopback when none has", () => {
    expect(made({}).widestHost("0.0.0.0")).toBe("203.0.113.5");
    expect(made({ external: "a.example" }).widestHost("0.0.0.0")).toBe("a.example");
    expect(made({ scope: ["device", "local"] }).widestHost("::")).toBe("192.168.1.5");
    expect(made({ scope: "device" }).widestHost("::")).toBe("::1");
    const lonely = { lo: BOTH["lo"] };
    expect(made({}, lonely).widestHost("::")).toBe("::1");
    expect(made({ scope: "public" }, lonely).widestHost("0.0.0.0")).toBe("127.0.0.1");
  });
});

describe("an advertiser on a system that tells nothing of its interfaces", () => {
  it("knows loopback only", () => {
    const advertiser = new Advertiser({ scope: SCOPES }, "net", () => {
      throw new Error("permission denied");
    });
    expect(advertiser.bindHost).toBe("0.0.0.0");
    expect(said(advertiser, "0.0.0.0")).toEqual([["127.0.0.1"], [], [], []]);
    expect(advertiser.widestHost("0.0.0.0")).toBe("127.0.0.1");
  });
});
