import { AddressError, parseAddress, type Side } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { placeOf, readPath, remoteSection, sectionOf, urlOf } from "../../src/ws/url.ts";
import { at } from "./support.ts";

const read = (text: string, side: Side = "dialer"): ReturnType<typeof placeOf> =>
  placeOf(at(text), side);

describe("a section of ws", () => {
  it.each([
    ["ws://example.com", "ws://example.com:80/"],
    ["ws://example.com:8989", "ws://example.com:8989/"],
    ["wss://example.com", "wss://example.com:443/"],
    ["wss://example.com:443", "wss://example.com:443/"],
    ["ws://EXAMPLE.com:8989/x", "ws://example.com:8989/x"],
    ["ws://[::1]:8989", "ws://[::1]:8989/"],
    ["ws://[0:0::1]", "ws://[::1]:80/"],
    ["ws://h:1/a/../b?c=d:e", "ws://h:1/b?c=d:e"],
    ["ws://h:1?c", "ws://h:1/?c"],
    ["ws://h:1/a!~b!;c!!d!:e", "ws://h:1/a~b;c!d:e"],
    ["ws://h:1/a:b", "ws://h:1/a:b"],
    ["ws://bücher.example:1", "ws://xn--bcher-kva.example:1/"],
  ])("%s dials %s", (text, url) => {
    expect(urlOf(read(text))).toBe(url);
  });

  it.each([
    ["ws://example.com:80", "ws://example.com"],
    ["wss://example.com:443/", "wss://example.com"],
    ["wss://example.com:80", "wss://example.com:80"],
    ["ws://example.com:443/node", "ws://example.com:443/node"],
    ["ws://[::1]:8989/", "ws://[::1]:8989"],
    ["ws://[2001:DB8::1]", "ws://[2001:db8::1]"],
    ["ws://h:1/a!~b", "ws://h:1/a!~b"],
  ])("%s is printed as %s", (text, printed) => {
    expect(sectionOf(read(text)).text).toBe(printed);
  });

  it("stands in an address as it is printed, whatever the path", () => {
    const host = fc.constantFrom("example.com", "127.0.0.1", "::1", "2001:db8::7");
    const path = fc.webPath({ size: "small" }).map((text) => `/${text}`);
    const query = fc.option(fc.webQueryParameters({ size: "small" }), { nil: "" });
    const port = fc.integer({ min: 1, max: 65_535 });
    fc.assert(
      fc.property(fc.boolean(), host, port, path, query, (secure, host, port, path, query) => {
        const { pathname, search } = new URL(`ws://h${path}?${query}`);
        const place = { secure, host, port, path: pathname + search };
        const section = sectionOf(place);
        const [again] = parseAddress(`${section.text}~noise`).routes[0]?.sections ?? [];
        expect(again).toEqual(section);
        expect(placeOf(section, "dialer")).toEqual(place);
      }),
    );
  });

  it.each([
    ["ws:example.com:80", "ws://HOST"],
    ["ws", "ws://HOST"],
    ["ws:/example.com", "ws://HOST"],
    ["ws://", "no host"],
    ["ws://:8989", "no host"],
    ["ws:///node", "no host"],
    ["ws://::1:8989", "ws://[::1]:8989"],
    ["ws://::1", "ws://[::1]:8989"],
    ["ws://[::1", "ws://[::1]:8989"],
    ["ws://[::1]x", "ws://[::1]:8989"],
    ["ws://[fe80::1%eth0]:80", "zone"],
    ["ws://[1.2.3.4]:80", "no host"],
    ["ws://a..%zz:80", "no host"],
    ["ws://h:", "decimal"],
    ["ws://h:0", "port 0"],
    ["ws://h:-1", "decimal"],
    ["ws://h:65536", "decimal"],
    ["ws://h:1e3", "decimal"],
    ["ws://h:0x50", "decimal"],
    ["ws://h:+80", "decimal"],
    ["ws://h: 80", "blanks"],
    ["ws:// h:80", "blanks"],
    ["ws://h:80/a b", "blanks"],
    ["ws://h\\x:80", "blanks"],
    ["ws://h:80/#part", "#"],
    ["ws://h:80#part", "#"],
  ])("%s is refused, saying %s", (text, why) => {
    expect(() => read(text)).toThrow(AddressError);
    expect(() => read(text)).toThrow(why);
    expect(() => read(text)).toThrow(expect.objectContaining({ code: "ADDRESS_MALFORMED" }));
  });

  it("is refused with a password in it, which is not told on", () => {
    const refused = expect.objectContaining({ code: "ADDRESS_MALFORMED" });
    expect(() => read("ws://user:secret@example.com:80")).toThrow(refused);
    expect(() => read("ws://user@example.com")).toThrow(refused);
    expect(() => read("wss://user:secret@example.com")).not.toThrow("secret");
  });

  it("may ask for port 0 to listen, and may not have a query there", () => {
    expect(read("ws://127.0.0.1:0/node", "listener").port).toBe(0);
    expect(() => read("ws://127.0.0.1:80/?query", "listener")).toThrow("path only");
  });

  it("names where a connection came from with its port, for IPv6 too", () => {
    expect(remoteSection(false, "127.0.0.1", 80).text).toBe("ws://127.0.0.1:80");
    expect(remoteSection(false, "127.0.0.1", 51234).args).toEqual(["//127.0.0.1", "51234"]);
    const { text, args } = remoteSection(true, "2001:db8::7", 443);
    expect(text).toBe("wss://[2001:db8::7]:443");
    expect(args.slice(0, -1).join(":")).toBe("//[2001:db8::7]");
  });
});

describe("a path to listen on", () => {
  it("is as dialers send it", () => {
    expect(readPath("/", "path")).toBe("/");
    expect(readPath("/a/../bü", "path")).toBe("/b%C3%BC");
  });

  it.each(["", "node", "/a?b", "/a#b", "/a b", "\\a"])("is not %j", (path) => {
    expect(() => readPath(path, "ws path")).toThrow(TypeError);
    expect(() => readPath(path, "ws path")).toThrow("ws path");
  });
});
