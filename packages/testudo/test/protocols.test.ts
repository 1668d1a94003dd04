import { Identity, parseAddress, Stack } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { loadStacks, problemOf, usableRoutes } from "../src/protocols.ts";

const key = Identity.generate().id.text;
const routeOf = (text: string) => {
  const [route] = parseAddress(text).routes;
  if (route === undefined) throw new Error("no route");
  return route;
};

describe("what can be wrong with a route", () => {
  test.each([
    "net:127.0.0.1:80~noise",
    `net:127.0.0.1:80~noise:${key}`,
    `net:::1:80~noise-chacha:${key}`,
    `net:host:80~shs:${key}`,
    "net:127.0.0.1:80~noauth",
  ])("nothing with %s", (text) => {
    expect(problemOf(routeOf(text), { side: "dialer" })).toBeUndefined();
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
  ])("%s: %s", (text, code, message) => {
    const problem = problemOf(routeOf(text), { side: "dialer" });
    expect(problem).toMatchObject({ name: "AddressError", code });
    expect(problem?.message).toMatch(message);
  });

  test("a listener may take port 0 and needs no key", () => {
    expect(problemOf(routeOf("net:127.0.0.1:0~shs"), { side: "listener" })).toBeUndefined();
  });

  test("a bare transport is right only where it is asked for", () => {
    const route = routeOf("net:127.0.0.1:80");
    expect(problemOf(route, { side: "dialer", bare: true })).toBeUndefined();
  });

  test("no secret of the address is in the error", () => {
    const seed = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=";
    const problem = problemOf(routeOf(`net:127.0.0.1:0~shs:${key}:${seed}`), { side: "dialer" });
    expect(problem?.address).toBe(`net:127.0.0.1:0~shs:${key}`);
    expect(JSON.stringify(problem) + String(problem)).not.toContain(seed);
  });
});

describe("the routes of an address", () => {
  const address = "ws:a:1~noise;net:127.0.0.1:80~noise";

  test("a dialer takes those it can use", () => {
    const routes = usableRoutes(address, { side: "dialer" });
    expect(routes.map(({ text }) => text)).toEqual(["net:127.0.0.1:80~noise"]);
    expect(() => usableRoutes("ws:a:1~noise;kcp:a:1~noise", { side: "dialer" })).toThrow(
      /ws is no/,
    );
  });

  test("a listener needs them all", () => {
    expect(() => usableRoutes(address, { side: "listener" })).toThrow(/ws is no transport/);
    expect(() => usableRoutes("", { side: "listener" })).toThrow(/empty/);
  });
});

test("each stack is loaded once", async () => {
  const routes = parseAddress(
    "net:a:1~noise;net:b:1~noise;net:a:2~noise-chacha;net:a:3~shs;net:a:4~noauth;net:a:5",
  ).routes;
  const stacks = (await loadStacks(routes)).map((parts) => new Stack(parts).name);
  expect(stacks).toEqual(["net~noise", "net~noise-chacha", "net~shs", "net~noauth", "net"]);
});
