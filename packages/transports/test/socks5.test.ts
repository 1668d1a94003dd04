import { concat, DialError, fromHex, toHex, toUtf8 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Socks5, type SocksCredentials } from "../src/onion/socks5.ts";

const TARGET = { host: "example.onion", port: 8008 };
const CREDENTIALS: SocksCredentials = { username: "user", password: "sesame" };
/** 05 01 00 03, length, name, port. */
const REQUEST = `050100030d${toHex(toUtf8("example.onion"))}1f48`;
/** The longest answers there are: a method, a permission, a reply with a name of 255 bytes. */
const LONGEST = 2 + 2 + 4 + 1 + 255 + 2;

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text.replaceAll(" ", ""));
  if (bytes === undefined) throw new Error(`${text} is not hex`);
  return bytes;
};

/** What the machine sends after its greeting, as hex, one text for each chunk it is given. */
function converse(machine: Socks5, ...chunks: readonly string[]): string[] {
  return chunks.map((chunk) => toHex(machine.receive(hex(chunk))));
}

function requestFor(host: string, port: number = 80): string {
  return converse(new Socks5({ host, port }), "0500")[0] ?? "";
}

describe("asking", () => {
  it("needs two messages without credentials", () => {
    const machine = new Socks5(TARGET);
    expect(toHex(machine.greeting)).toBe("050100");
    expect(converse(machine, "0500", "05000001 00000000 0000")).toEqual([REQUEST, ""]);
    expect(machine.done).toBe(true);
    expect(machine.rest.length).toBe(0);
  });

  it("needs three with credentials", () => {
    const machine = new Socks5(TARGET, CREDENTIALS);
    expect(toHex(machine.greeting)).toBe("050102");
    const sent = converse(machine, "0502", "0100", "05000001 7f000001 1234");
    expect(sent).toEqual([`01047573657206${toHex(toUtf8("sesame"))}`, REQUEST, ""]);
    expect(machine.done).toBe(true);
  });

  it("takes a permission under the protocol's own version", () => {
    expect(converse(new Socks5(TARGET, CREDENTIALS), "0502", "0500")[1]).toBe(REQUEST);
  });

  it("names hosts by name, IPv4 and IPv6", () => {
    expect(requestFor("a.b")).toBe("0501000303612e620050");
    expect(requestFor("x".repeat(255))).toBe(`05010003ff${"78".repeat(255)}0050`);
    expect(requestFor("203.0.113.9", 65_535)).toBe("05010001cb007109ffff");
    for (const [ip, bytes] of [
      ["::", "00".repeat(16)],
      ["::1", `${"00".repeat(15)}01`],
      ["2001:db8::", `20010db8${"00".repeat(12)}`],
      ["2001:DB8:0:1::f:2", "20010db800000001000000000" + "00f0002"],
      ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
      ["::ffff:192.0.2.1", `${"00".repeat(10)}ffffc0000201`],
    ] as const) {
      expect(requestFor(ip)).toBe(`05010004${bytes}0050`);
    }
  });

  it("takes a reply with any kind of address, and leaves what comes behind it", () => {
    for (const address of ["01 7f000001", `04 ${"11".repeat(16)}`, "03 00", "03 03 616263"]) {
      const machine = new Socks5(TARGET);
      converse(machine, "0500", `050000 ${address} 0050 cafe`);
      expect(toHex(machine.rest)).toBe("cafe");
    }
  });
});

describe("a proxy that will not", () => {
  const refusal = (
    credentials: SocksCredentials | undefined,
    ...chunks: readonly string[]
  ): unknown => {
    const machine = new Socks5(TARGET, credentials);
    try {
      converse(machine, ...chunks);
    } catch (error) {
      expect(machine.done).toBe(false);
      expect(machine.rest.length).toBe(0);
      return error;
    }
    throw new Error("it should have been refused");
  };

  it.each([
    ["wants credentials", undefined, ["05ff"], "wants a username and a password"],
    ["takes no credentials", CREDENTIALS, ["05ff"], "isolate: false"],
    ["picks what was not offered", undefined, ["0502"], "does not keep to SOCKS5"],
    ["picks less than was asked", CREDENTIALS, ["0500"], "does not keep to SOCKS5"],
    ["picks GSSAPI", CREDENTIALS, ["0501"], "does not keep to SOCKS5"],
    ["does not take these", CREDENTIALS, ["0502", "0101"], "does not take that username"],
    ["answers in another version", CREDENTIALS, ["0502", "0400"], "does not keep to SOCKS5"],
    ["speaks out of turn", undefined, ["050005"], "does not keep to SOCKS5"],
    ["permits out of turn", CREDENTIALS, ["0502", "010005"], "does not keep to SOCKS5"],
    ["is SOCKS4", undefined, ["005b"], "does not speak SOCKS5"],
    ["is a web server", undefined, [toHex(toUtf8("HTTP/1.1 400 Bad"))], "does not speak SOCKS5"],
    ["changes its version", undefined, ["0500", "04"], "does not speak SOCKS5"],
    ["has another kind of address", undefined, ["0500", "0500000200"], "does not keep to SOCKS5"],
  ] as const)("%s", (_, credentials, chunks, why) => {
    const error = refusal(credentials, ...chunks);
    expect(error).toBeInstanceOf(DialError);
    expect(error).toMatchObject({ code: "DIAL_REFUSED", message: expect.stringContaining(why) });
    expect(String(error)).not.toContain(CREDENTIALS.password);
  });

  it.each([
    [0x01, "does not say why"],
    [0x02, "rules"],
    [0x03, "no way to that network"],
    [0x04, "no way to that host"],
    [0x05, "nobody listens there"],
    [0x06, "no answer in time"],
    [0x07, "no TCP connections"],
    [0x08, "kind of address"],
    [0x09, "error 9"],
    [0xf0, "is not known"],
    [0xf1, "cannot be read"],
    [0xf2, "introduced"],
    [0xf3, "meeting point"],
    [0xf4, "none to show"],
    [0xf5, "does not take the proof"],
    [0xf6, "not valid"],
    [0xf7, "did not answer in time"],
    [0xff, "error 255"],
  ])("says so by number %i, even when it hangs up at once", (code, why) => {
    const number = code.toString(16).padStart(2, "0");
    for (const reply of [`05${number}`, `05${number}0001000000000000`]) {
      expect(refusal(undefined, "0500", reply)).toMatchObject({
        message: expect.stringContaining(why),
      });
    }
  });
});

describe("chunks", () => {
  const conversation = fc.record({
    credentials: fc.option(fc.constant(CREDENTIALS), { nil: undefined }),
    address: fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map((ip) => concat(Uint8Array.of(1), ip)),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((ip) => concat(Uint8Array.of(4), ip)),
      fc.uint8Array({ maxLength: 255 }).map((it) => concat(Uint8Array.of(3, it.length), it)),
    ),
    rest: fc.uint8Array({ maxLength: 100 }),
  });

  it("of any size mean the same", () => {
    fc.assert(
      fc.property(
        conversation,
        fc.infiniteStream(fc.nat(40)),
        ({ credentials, address, rest }, sizes) => {
          const answers = [
            credentials === undefined ? hex("0500") : hex("0502"),
            ...(credentials === undefined ? [] : [hex("0100")]),
            concat(hex("050000"), address, hex("0050"), rest),
          ];
          const machine = new Socks5(TARGET, credentials);
          const behind: Uint8Array[] = [];
          let sent = "";
          for (const answer of answers) {
            for (let at = 0; at < answer.length; ) {
              const size = sizes.next().value;
              const chunk = answer.subarray(at, at + size);
              at += size;
              if (machine.done) behind.push(chunk);
              else sent += toHex(machine.receive(chunk));
            }
          }
          expect(machine.done).toBe(true);
          expect(sent.endsWith(REQUEST)).toBe(true);
          expect(toHex(concat(machine.rest, ...behind))).toBe(toHex(rest));
        },
      ),
    );
  });

  it("of any bytes do no harm, and are not collected without end", () => {
    // Bytes that mean something are likely, so that every state is reached.
    const byte = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 5, 0xf0, 0xff), fc.nat(255));
    const chunk = fc.oneof(
      fc.constantFrom("0500", "0502", "0100", "05000001", "05000003ff").map(hex),
      fc.array(byte, { maxLength: 40 }).map((bytes) => Uint8Array.from(bytes)),
    );
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(chunk, { minLength: 200, maxLength: 300 }),
        (authenticates, chunks) => {
          const machine = new Socks5(TARGET, authenticates ? CREDENTIALS : undefined);
          let taken = 0;
          try {
            for (const each of chunks) {
              if (machine.done) break;
              expect(taken).toBeLessThan(LONGEST);
              expect(machine.receive(each).length).toBeLessThan(LONGEST);
              taken += each.length;
            }
            expect(machine.rest.length).toBeLessThanOrEqual(taken);
          } catch (error) {
            expect(error).toMatchObject({ code: "DIAL_REFUSED" });
          }
        },
      ),
    );
  });
});
