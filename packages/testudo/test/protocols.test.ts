import { Identity, type NetworkError, networkError, parseAddress, Stack } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { isProtocol, noneOf, Protocols, type Use } from "../src/protocols.ts";

const key = Identity.generate().id.text;
const routeOf = (text: string) => {
  const [route] = parseAddress(text).routes;
  if (route === undefined) throw new Error("no route");
  return route;
};
const problemOf = async (text: string, use: Use): Promise<NetworkError | undefined> =>
  (await new Protocols().speak(routeOf(text), use)).problem;

describe("what can be wrong with a route", () => {
  test.each([
    "net:127.0.0.1:80~noise",
    `net:127.0.0.1:80~noise:${key}`,
    `net:::1:80~noise-chacha:${key}`,
    `net:host:80~shs:${key}`,
    "net:127.0.0.1:80~noauth",
    "kcp:127.0.0.1:80~noise",
    `kcp:::1:80~shs:${key}`,
  ])("nothing with %s", async (text) => {
    expect(await problemOf(text, { side: "dialer" })).toBeUndefined();
  });

  test.each([
    ["net:127.0.0.1:0~noise", "ADDRESS_MALFORMED", /port 0/],
    ["net:127.0.0.1~noise", "ADDRESS_MALFORMED", /HOST:PORT/],
    ["net:127.0.0.1:80~noise:short", "ADDRESS_MALFORMED", /32 bytes/],
    ["net:127.0.0.1:80~shs", "ADDRESS_MALFORMED", /shs:KEY/],
    ["net:127.0.0.1:80~noauth:x", "ADDRESS_MALFORMED", /no arguments/],
    ["net:127.0.0.1:80", "ADDRESS_UNSUPPORTED", /~noise/],
    ["carrier-pigeon:a~noise", "ADDRESS_UNSUPPORTED", /no transport of this build; it has net/],
    ["net:127.0.0.1:80~rot13", "ADDRESS_UNSUPPORTED", /no transform of this build/],
    ["net:127.0.0.1:80~constructor", "ADDRESS_UNSUPPORTED", /no transform/],
    ["kcp:127.0.0.1:0~noise", "ADDRESS_MALFORMED", /port 0/],
    ["kcp:127.0.0.1~noise", "ADDRESS_MALFORMED", /HOST:PORT/],
    ["kcp:127.0.0.1:80", "ADDRESS_UNSUPPORTED", /~noise/],
    ["kcpgo:127.0.0.1:80~noise", "ADDRESS_UNSUPPORTED", /--kcpgo-password-file/],
  ])("%s: %s", async (text, code, message) => {
    const problem = await problemOf(text, { side: "dialer" });
    expect(problem).toMatchObject({ name: "AddressError", code });
    expect(problem?.message).toMatch(message);
  });

  test("a listener may take port 0 and needs no key", async () => {
    expect(await problemOf("net:127.0.0.1:0~shs", { side: "listener" })).toBeUndefined();
  });

  test("a bare transport is right only where it is asked for", async () => {
    expect(await problemOf("net:127.0.0.1:80", { side: "dialer", bare: true })).toBeUndefined();
  });

  test("no secret of the address is in the error", async () => {
    const seed = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=";
    for (const text of [
      `net:127.0.0.1:0~shs:${key}:${seed}`,
      `carrier-pigeon:a~shs:${key}:${seed}`,
    ]) {
      const problem = await problemOf(text, { side: "dialer" });
      expect(problem?.address).toBe(text.replace(`:${seed}`, ""));
      expect(JSON.stringify(problem) + String(problem)).not.toContain(seed);
    }
  });
});

describe("the alternatives of an address", () => {
  const address = "quic:a:1~noise;net:127.0.0.1:80~noise";

  test("a dialer takes those it can use, and knows what is wrong with the others", async () => {
    const usable = await new Protocols().usable(address, { side: "dialer" });
    expect(usable.text).toBe("net:127.0.0.1:80~noise");
    expect(usable.problems).toMatchObject([
      { address: "quic:a:1~noise", stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED" } },
    ]);
  });

  test("none at all is one error with all of them", async () => {
    const using = new Protocols().usable("quic:a:1~noise;net:a:0~noise", { side: "dialer" });
    await expect(using).rejects.toMatchObject({
      name: "AddressError",
      code: "ADDRESS_UNSUPPORTED",
      message: expect.stringMatching(/^none of 2 .*quic is no transport.*port 0/),
      attempts: [{ address: "quic:a:1~noise" }, { address: "net:a:0~noise" }],
    });
  });

  test("a listener needs them all", async () => {
    const listener = { side: "listener" } as const;
    await expect(new Protocols().usable(address, listener)).rejects.toThrow(
      /^quic is no transport/,
    );
    await expect(new Protocols().usable("", listener)).rejects.toThrow(/empty/);
  });

  test("what was not tried stands before what was", () => {
    const cause = networkError("DIAL_REFUSED", "nobody there");
    const attempt = { address: "net:b:1", stage: "connect", afterMs: 0, tookMs: 1, cause } as const;
    const dialled = networkError("DIAL_REFUSED", "nobody there", { attempts: [attempt] });
    const odd = networkError("ADDRESS_UNSUPPORTED", "what?");
    const problem = { address: "a", stage: "parse", afterMs: 0, tookMs: 0, cause: odd } as const;
    const error = noneOf([problem], dialled);
    expect(error).toMatchObject({ code: "DIAL_REFUSED", address: "a;net:b:1", cause: dialled });
    expect(error.attempts).toEqual([problem, attempt]);
    expect(error.message).toBe("none of 2 alternatives worked. a: what?. net:b:1: nobody there");
  });
});

describe("the stacks", () => {
  const namesOf = async (protocols: Protocols): Promise<string[]> =>
    (await protocols.stacks()).map((parts) => new Stack(parts).name);

  test("each is loaded once", async () => {
    const protocols = new Protocols();
    await protocols.usable(
      "net:a:1~noise;net:b:1~noise;net:a:2~noise-chacha;net:a:3~shs;net:a:4~noauth;net:a:5",
      { side: "listener", bare: true },
    );
    await protocols.usable("net:c:1~noise;unix:/a~noise", { side: "dialer" });
    expect(await namesOf(protocols)).toEqual([
      "net~noise",
      "net~noise-chacha",
      "net~shs",
      "net~noauth",
      "net",
      "unix~noise",
    ]);
  });

  test("kcpgo is there when it has what both ends must know, and passed over otherwise", async () => {
    const dialer = { side: "dialer" } as const;
    const address = "kcpgo:a:1~noise;kcp:a:1~noise;kcpgo:a:0~noise";
    const without = new Protocols();
    expect(await without.usable(address, dialer)).toMatchObject({ text: "kcp:a:1~noise" });
    expect(await namesOf(without)).toEqual(["kcp~noise"]);
    const knowing = new Protocols({ kcpgo: { password: "secret", fec: [10, 3] } });
    expect(await knowing.usable(address, dialer)).toMatchObject({
      text: "kcpgo:a:1~noise;kcp:a:1~noise",
      problems: [{ cause: { code: "ADDRESS_MALFORMED" } }],
    });
    expect(await namesOf(knowing)).toEqual(["kcpgo~noise", "kcp~noise"]);
  });

  test("what is not named is not there", async () => {
    const protocols = new Protocols();
    await protocols.speak(routeOf("quic:a:1~noise"), { side: "dialer" });
    await protocols.speak(routeOf("net:a:1~rot13"), { side: "dialer" });
    expect(await namesOf(protocols)).toEqual([]);
  });
});

test.each([
  ["noise", true],
  ["net", true],
  ["net~noise", true],
  ["unix~shs", true],
  ["net~noise~noise", true],
  ["kcp~noise", true],
  ["kcpgo", true],
  ["", false],
  ["noise~net", false],
  ["net~rot13", false],
  ["quic", false],
  ["constructor", false],
  ["net~", false],
])("%j is the name of a protocol or stack: %s", (name, is) => {
  expect(isProtocol(name)).toBe(is);
});
