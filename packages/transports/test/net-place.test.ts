/** The places of `net`: what options and addresses it takes, where it listens and what it tells others. */

import { AddressError, parseAddress, SCOPES, type Scope, type Transport } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import { type NetOptions, net } from "../src/net/index.ts";
import { at } from "./net-support.ts";

expectNoLeaks();

describe("options", () => {
  it("refuses what makes no sense", () => {
    expect(() => net({ backlog: 0 })).toThrow(RangeError);
    expect(() => net({ backlog: 1.5 })).toThrow("backlog");
    expect(() => net({ onAcceptError: 1 as unknown as () => void })).toThrow(TypeError);
    for (const port of [-1, 65_536, 80.5, Number.NaN, "80" as unknown as number]) {
      expect(() => net({ port })).toThrow(RangeError);
      expect(() => net({ port })).toThrow("net port");
    }
    expect(() => net({ host: "127.0.0.1" })).toThrow("net host needs a port");
    for (const host of [":", "h:1", "[h]", "a\nb", 5 as unknown as string]) {
      expect(() => net({ port: 1, host })).toThrow(TypeError);
      expect(() => net({ port: 1, host })).toThrow("net host");
    }
    expect(() => net({ scope: "bogus" as Scope })).toThrow("net scope");
    expect(() => net({ external: "example.org:80" })).toThrow("net external");
  });
});

describe("place", () => {
  it("is where the options say, and nowhere when they have no port", () => {
    expect(net().place).toBeUndefined();
    expect(net({ scope: "public", external: "example.org" }).place).toBeUndefined();
    expect(net({ port: 0 }).place?.text).toBe("net:localhost:0");
    expect(net({ port: 3333, host: "" }).place?.text).toBe("net:localhost:3333");
    expect(net({ port: 3333, host: "example.org" }).place?.text).toBe("net:example.org:3333");
    expect(net({ port: 3333, host: "::1" }).place?.text).toBe("net:::1:3333");
    expect(net({ port: 3333, host: "[::1]" }).place?.text).toBe("net:::1:3333");
  });

  it("is this machine only, unless the scope asks for more", () => {
    expect(net({ port: 1, scope: ["device"] }).place?.text).toBe("net:localhost:1");
    expect(net({ port: 1, scope: ["device", "local"] }).place?.text).toMatch(
      /^net:(::|0\.0\.0\.0):1$/,
    );
  });
});

describe("check", () => {
  it("refuses what can never be used by that side, and opens nothing", () => {
    const { check } = net();
    check?.(at("net:127.0.0.1:0"), "listener");
    check?.(at("net:127.0.0.1:1"), "dialer");
    expect(() => check?.(at("net:127.0.0.1:0"), "dialer")).toThrow("port 0 is for listening");
    for (const side of ["dialer", "listener"] as const) {
      for (const text of ["net:host", "net:host:65536", "net:::8008", "net:[h]:1"]) {
        expect(() => check?.(at(text), side)).toThrow(AddressError);
      }
    }
  });
});

describe("advertised", () => {
  /** What the published multiserver 3.8.2 prints for the same options; `[]` is its null. */
  const everywhere: NetOptions = {
    port: 1,
    host: "h",
    scope: ["device", "local", "public"],
    external: ["a.x", "b.x"],
  };
  const onlyPublic: NetOptions = { port: 1, host: "h", scope: "public", external: "e.x" };

  it.each<[NetOptions, Scope | undefined, readonly string[]]>([
    [onlyPublic, "device", []],
    [onlyPublic, "local", []],
    [onlyPublic, "public", ["net:e.x:1"]],
    [onlyPublic, undefined, []],
    [everywhere, "device", ["net:h:1"]],
    [everywhere, "private", []],
    [everywhere, "public", ["net:a.x:1", "net:b.x:1"]],
    [{ port: 1 }, "local", []],
    [{ port: 1 }, "private", []],
    [{ port: 1 }, undefined, ["net:localhost:1"]],
    [{ port: 1, host: "::1" }, undefined, ["net:::1:1"]],
    [{ port: 1, host: "fe80::1%wlan0" }, undefined, ["net:fe80::1:1"]],
    [{ port: 1, host: "a~b!c" }, undefined, ["net:a!~b!!c:1"]],
  ])("of %j says to %s what multiserver does", (options, scope = "device", expected) => {
    expect(told(net(options), scope)).toEqual(expected);
  });

  it("escapes what multiserver splits into two broken addresses", () => {
    const [only] = told(net({ port: 1, host: "a;b" }), "device");
    expect(only).toBe("net:a!;b:1");
    expect(parseAddress(String(only)).routes).toHaveLength(1);
  });

  it("knows no other scopes, and nothing to dial while the port is open", () => {
    for (const options of [onlyPublic, everywhere, { port: 1 }]) {
      expect(() => told(net(options), "bogus" as Scope)).toThrow(TypeError);
    }
    expect(told(net({ port: 0 }), "device")).toEqual([]);
  });

  it("can be dialled by anything that parses it", () => {
    const { check } = net();
    const options: NetOptions = {
      port: 1,
      scope: SCOPES,
      external: ["2001:db8::7", "example.org"],
    };
    for (const text of SCOPES.flatMap((scope) => told(net(options), scope))) {
      check?.(at(text), "dialer");
    }
  });
});

function told({ advertised, place }: Transport, scope: Scope): readonly string[] {
  if (advertised === undefined || place === undefined) throw new Error("net has both");
  return advertised(place, scope).map(({ text }) => text);
}
