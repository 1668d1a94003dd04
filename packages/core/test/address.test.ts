import { isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  hostAndPort,
  MAX_ADDRESS_LENGTH,
  parseAddress,
  type Section,
  section,
  sectionKey,
  shownAddress,
} from "../src/address.ts";
import { concat, toBase64 } from "../src/bytes.ts";
import { AddressError } from "../src/errors.ts";
import { meaning } from "./support/address.ts";

const one = (text: string): Section => {
  const only = parseAddress(text).routes[0]?.sections[0];
  if (only === undefined) throw new Error("an address has a section");
  return only;
};

/** What was thrown; fails when nothing was. */
function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("parseAddress", () => {
  it("reads routes, sections and arguments", () => {
    const text = "net:example.org:9000~noise:KEY;ws://example.org/path~shs:KEY2;unix:/a~noauth";
    expect(meaning(parseAddress(text))).toEqual([
      [
        ["net", ["example.org", "9000"]],
        ["noise", ["KEY"]],
      ],
      [
        ["ws", ["//example.org/path"]],
        ["shs", ["KEY2"]],
      ],
      [
        ["unix", ["/a"]],
        ["noauth", []],
      ],
    ]);
    expect(parseAddress(text).text).toBe(text);
  });

  it("takes the meaning from a character behind a !", () => {
    expect(one("net:a!:b!;c!~d!!:e").args).toEqual(["a:b;c~d!", "e"]);
    expect(one("net:a!:b").text).toBe("net:a!:b");
    expect(one("net:!a!😀").args).toEqual(["a😀"]);
    expect(one("!net:x").name).toBe("net");
  });

  it("keeps empty arguments", () => {
    expect(one("net:::1:80").args).toEqual(["", "", "1", "80"]);
    expect(one("noauth").args).toEqual([]);
    expect(one("noauth:").args).toEqual([""]);
  });

  it("gives what cannot be changed", () => {
    const address = parseAddress("net:a:1~noauth");
    for (const value of [
      address,
      address.routes,
      address.routes[0],
      one("net:a"),
      one("net:a").args,
    ]) {
      expect(Object.isFrozen(value)).toBe(true);
    }
    expect(Object.isFrozen(section("net", "a").args)).toBe(true);
  });

  it("takes 32 alternatives and no more, blank ones not counted", () => {
    const many = (count: number): string => Array.from({ length: count }, () => "net:a;").join(";");
    expect(parseAddress(many(32)).routes).toHaveLength(32);
    expect(() => parseAddress(many(33))).toThrow(/more than 32 alternatives/);
  });

  it("skips blank alternatives, and formats without them", () => {
    for (const text of [";net:a;;ws:b;", "net:a;ws:b", "net:a;;;;ws:b"]) {
      const address = parseAddress(text);
      expect(address.routes.map((route) => route.text)).toEqual(["net:a", "ws:b"]);
      expect(address.text).toBe("net:a;ws:b");
    }
    expect(parseAddress("net:a!;;").text).toBe("net:a!;");
  });

  it.each([
    ["", /empty address.*names no way/],
    [";", /names no way/],
    [";;;", /names no way/],
    ["net:a~", /section is empty/],
    ["~net:a", /section is empty/],
    ["Net:a:1", /"Net" is not a section name/],
    ["n:a", /"n" is not a section name/],
    ["1net:a", /section name/],
    ["-net:a", /section name/],
    [" net:a", /section name/],
    ["net :a", /section name/],
    [":a", /"" is not a section name/],
    ["ne!:t:a", /"ne:t" is not a section name/],
    ["net:a!", /lone !/],
    ["net:a!!!", /lone !/],
    ["!", /lone !/],
    ["net:a\n", /control characters/],
    ["net:\u0000", /control characters/],
    ["net:\u007f", /control characters/],
    ["net:\u009b31m", /control characters/],
  ])("refuses %j and says why", (text, why) => {
    const error = thrownBy(() => parseAddress(text));
    expect(error).toBeInstanceOf(AddressError);
    expect(error).toMatchObject({ code: "ADDRESS_MALFORMED" });
    expect((error as Error).message).toMatch(why);
  });

  it("puts no control character of a stranger's address into a message", () => {
    const text = `net:\u001b[2J\u009b2J\r\n${"x".repeat(20)}`;
    for (const hostile of [text, text + "y".repeat(MAX_ADDRESS_LENGTH)]) {
      const error = thrownBy(() => parseAddress(hostile)) as AddressError;
      expect(error).toBeInstanceOf(AddressError);
      expect(error.message + error.address).not.toMatch(/\p{Cc}/u);
    }
  });

  it("takes the longest address and not one character more", () => {
    const longest = `net:${"a".repeat(MAX_ADDRESS_LENGTH - 4)}`;
    expect(parseAddress(longest).text).toHaveLength(MAX_ADDRESS_LENGTH);
    const error = thrownBy(() => parseAddress(`${longest}a`)) as AddressError;
    expect(error).toBeInstanceOf(AddressError);
    expect(error.message.length).toBeLessThan(200);
  });

  it.each([undefined, null, 5, {}, ["net:a:1"]])("refuses %o, which is no string", (value) => {
    expect(() => parseAddress(value as unknown as string)).toThrow(TypeError);
  });
});

describe("section", () => {
  it("escapes what would end an argument", () => {
    expect(section("net", "a:b;c~d!", "e").text).toBe("net:a!:b!;c!~d!!:e");
    expect(section("noauth").text).toBe("noauth");
    expect(section("noauth", "").text).toBe("noauth:");
  });

  it.each(["", "n", "Net", "net:", "1net", "-net", "né", "net\n", "net~"])(
    "refuses the name %j",
    (name) => {
      expect(() => section(name)).toThrow(TypeError);
    },
  );

  it.each(["\n", "a\u0000b", "\u007f", "\u009b"])(
    "refuses the argument %j, as parse would",
    (bad) => {
      expect(() => section("net", "fine", bad)).toThrow(TypeError);
      expect(() => parseAddress(`net:fine:${bad}`)).toThrow(AddressError);
    },
  );

  it("refuses an argument that is no string", () => {
    expect(() => section("net", "localhost", 80 as unknown as string)).toThrow(TypeError);
  });
});

describe("hostAndPort", () => {
  it.each([
    ["net:example.org:9000", "example.org", 9000],
    ["net:127.0.0.1:0", "127.0.0.1", 0],
    ["net:::1:80", "::1", 80],
    ["net:[::1]:80", "::1", 80],
    ["net:[!:!:1]:80", "::1", 80],
    ["net:fe80::1%eth0:65535", "fe80::1%eth0", 65_535],
    ["net::8080", "localhost", 8080],
    ["net::::0", "::", 0],
    ["net:::ffff:127.0.0.1:80", "::ffff:127.0.0.1", 80],
    ["net:[fe80::1%eth0.5]:80", "fe80::1%eth0.5", 80],
    ["net:1:2:3:4:5:6:7:8:80", "1:2:3:4:5:6:7:8", 80],
  ])("reads %s", (text, host, port) => {
    expect(hostAndPort(one(text))).toEqual({ host, port });
  });

  it.each([
    "net",
    "net:80",
    "net:host",
    "net:host:",
    "net:host:65536",
    "net:host:-1",
    "net:host:+1",
    "net:host:1e3",
    "net:host:0x10",
    "net:host: 80",
    "net:host:000080",
    "net:host:٨٠",
    "net:80:host",
  ])("refuses %s", (text) => {
    expect(() => hostAndPort(one(text))).toThrow(AddressError);
  });

  it.each([
    ["net:::8008", '":"'],
    ["net:h:1:8008", '"h:1"'],
    ["net:1:2:3:4:5:6:7:8008", '"1:2:3:4:5:6:7"'],
    ["net:::1:::8008", '"::1::"'],
    ["net:fe80::1%:8008", '"fe80::1%"'],
    ["net:[::1:8008", '"[::1"'],
    ["net:::1]:8008", '"::1]"'],
    ["net:[[::1]]:8008", '"[[::1]]"'],
    ["net:a[::1]:8008", '"a[::1]"'],
    ["net:[]:8008", '"[]"'],
    ["net:[example.org]:8008", '"[example.org]"'],
    ["net:[127.0.0.1]:8008", '"[127.0.0.1]"'],
    ["net:a[b]:8008", '"a[b]"'],
  ])("refuses %s, whose host can never be one, and says how it is written", (text, shown) => {
    const error = thrownBy(() => hostAndPort(one(text)));
    expect(error).toMatchObject({ code: "ADDRESS_MALFORMED", address: text });
    expect((error as Error).message).toContain(`${shown} is no host`);
    expect((error as Error).message).toContain("net:::1:8008 or net:[::1]:8008");
  });

  it("knows IPv6 as Node does", () => {
    const group = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom("0", "1", "ff", "DB8", "12ab") },
      {
        weight: 2,
        arbitrary: fc.constantFrom("", "g", "12345", "127.0.0.1", "256.0.0.1", "1.2.3"),
      },
    );
    const built = fc
      .tuple(fc.array(group, { minLength: 1, maxLength: 9 }), fc.constantFrom("", "%eth0", "%"))
      .map(([groups, zone]) => groups.join(":") + zone);
    const valid = fc.ipV6();
    let [read, refused] = [0, 0];
    fc.assert(
      fc.property(fc.oneof(built, valid), (host) => {
        fc.pre(host.includes(":"));
        let taken = true;
        try {
          expect(hostAndPort(one(`net:${host}:80`)).host).toBe(host);
        } catch (error) {
          expect(error).toBeInstanceOf(AddressError);
          taken = false;
        }
        expect(taken).toBe(isIPv6(host));
        if (taken) read++;
        else refused++;
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(read, refused)).toBeGreaterThan(100);
  });
});

describe("sectionKey", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => (i * 41 + 250) & 0xff);
  const text = toBase64(key);
  const url = text.replaceAll("+", "-").replaceAll("/", "_");

  it("reads a key of 32 bytes, and tells none from a bad one", () => {
    expect(sectionKey(section("noise", text))).toEqual(key);
    expect(sectionKey(section("noise"))).toBeUndefined();
  });

  it("is made from both alphabets", () => {
    expect(text).toMatch(/[+/]/);
    expect(url).not.toBe(text);
  });

  it.each([
    ["without padding", text.replace("=", "")],
    ["in the URL alphabet", url],
    ["in the URL alphabet without padding", url.replace("=", "")],
    ["as an SSB id", `@${text}.ed25519`],
    ["as an SSB id without padding", `@${text.replace("=", "")}.ed25519`],
    ["as ssb-keys keeps it", `${text}.ed25519`],
    ["behind an @", `@${text}`],
    ["with blanks around it", ` ${text}\u00a0 `],
    ["as an SSB id with blanks around it", `  @${text}.ed25519 `],
  ])("reads one %s", (_form, form) => {
    const read = parseAddress(`net:h:1~shs:${form}`).routes[0]?.sections[1];
    expect(read === undefined ? undefined : sectionKey(read)).toEqual(key);
    expect(sectionKey(section("noise", form, "more"))).toEqual(key);
  });

  it.each([
    "",
    " ",
    "@",
    ".ed25519",
    "@.ed25519",
    "AAAA",
    "KEY!",
    toBase64(key.subarray(1)),
    toBase64(concat(key, key.subarray(0, 1))),
    `@@${text}`,
    `${text}.ed25519.ed25519`,
    `${text}.ED25519`,
    `${text}.sha256`,
    `${text}=`,
    `${text}junk`,
    `${text.slice(0, 20)} ${text.slice(20)}`,
    `@ ${text}`,
  ])("refuses %j: never dialled in a weaker form", (form) => {
    expect(() => sectionKey(section("noise", form))).toThrow(AddressError);
  });

  it("shows nothing of what it could not read", () => {
    const secret = toBase64(key.subarray(1));
    const error = thrownBy(() => sectionKey(section("shs", secret, secret)));
    expect(JSON.stringify(error) + String(error)).not.toContain(secret);
  });
});

describe("shownAddress", () => {
  it("keeps what is needed to know the way, and nothing that may be secret", () => {
    for (const [given, shown] of [
      ["net:h:1~shs:KEY:SEED;net:h:2~noauth", "net:h:1~shs:KEY;net:h:2~noauth"],
      ["ws://user:pass@h:80/a@b~noise", "ws://…@h:80/a@b~noise"],
      ["wss://token@h~noise", "wss://…@h~noise"],
      ["unix:/tmp/a@b~noise", "unix:/tmp/a@b~noise"],
      ["not an address", "(not an address)"],
    ] as const) {
      expect(shownAddress(given)).toBe(shown);
    }
  });
});
