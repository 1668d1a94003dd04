import { createServer as createHttp, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import { equal, MultiServer, SCOPES, type Scope } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { LOCALHOST } from "../../../../test/support/tls.ts";
import { echo, failureOf, pattern, Reader } from "../../../../test/support/traffic.ts";
import { noise } from "../../src/noise/index.ts";
import { type WsOptions, ws } from "../../src/ws/index.ts";
import { at, portOf, World } from "./support.ts";

expectNoLeaks();

const world = new World();
afterEach(() => world.close());

function told(options: WsOptions): Partial<Record<Scope, string>> {
  const transport = ws(options);
  const { place } = transport;
  if (place === undefined) throw new Error("it says nowhere to listen");
  return Object.fromEntries(
    SCOPES.map((scope) => [
      scope,
      (transport.advertised?.(place, scope) ?? []).map(({ text }) => text).join(";"),
    ]),
  );
}

async function listening(server: Server): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  world.later(() => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

describe("what ws is", () => {
  it("speaks two names, and cannot half-close", () => {
    expect(ws()).toMatchObject({ name: "ws", names: ["ws", "wss"], halfClose: false });
    expect(ws()).not.toHaveProperty("place");
  });

  it.each([
    [{ port: 65_536 }, RangeError, "port"],
    [{ port: 1.5 }, RangeError, "port"],
    [{ backlog: 0 }, RangeError, "backlog"],
    [{ maxPayloadBytes: 1_000 }, RangeError, "maxPayloadBytes"],
    [{ host: "localhost" }, TypeError, "port"],
    [{ path: "/node" }, TypeError, "port"],
    [{ port: 0, host: "a b" }, TypeError, "host"],
    [{ port: 0, path: "node" }, TypeError, "path"],
    [{ port: 0, tls: {} }, TypeError, "certificate"],
    [{ tls: { key: "k" } }, TypeError, "certificate"],
    [{ scope: "near" as Scope }, TypeError, "ws scope"],
    [{ external: "host:80" }, TypeError, "ws external"],
    [{ external: [] }, TypeError, "ws external"],
    [{ external: "ws://host:0" }, Error, "port 0"],
    [{ origins: "https://example.org" as "any" }, TypeError, "origins"],
    [{ origins: ["example.org"] }, TypeError, "origins"],
    [{ server: {} as Server }, TypeError, "server"],
    [{ handler: "x" as never }, TypeError, "handler"],
    [{ onAcceptError: "x" as never }, TypeError, "onAcceptError"],
  ] as [WsOptions, new () => Error, string][])("refuses %j", (options, kind, why) => {
    expect(() => ws(options)).toThrow(kind);
    expect(() => ws(options)).toThrow(why);
  });

  it("refuses a server beside what that server has of its own", () => {
    for (const own of [{ port: 0 }, { tls: LOCALHOST }, { handler: () => {} }]) {
      expect(() => ws({ server: createHttp(), ...own })).toThrow(TypeError);
    }
  });
});

describe("where ws listens when no address says so", () => {
  it.each([
    [{ port: 8989 }, "ws://localhost:8989"],
    [{ port: 80, host: "example.com" }, "ws://example.com"],
    [{ port: 443, tls: LOCALHOST }, "wss://localhost"],
    [{ port: 0, host: "::1" }, "ws://[::1]:0"],
    [{ port: 1, host: "[::1]", path: "/a~b" }, "ws://[::1]:1/a!~b"],
  ] as [WsOptions, string][])("%j: %s", (options, place) => {
    expect(ws(options).place?.text).toBe(place);
  });

  it("is on a given server at its real port, once it has one", async () => {
    const server = createHttp();
    const transport = ws({ server, path: "/node" });
    expect(transport.place?.text).toBe("ws://localhost:0/node");
    await listening(server);
    const { port } = server.address() as { port: number };
    expect(transport.place?.text).toBe(`ws://127.0.0.1:${port}/node`);
    expect(ws({ server, host: "example.org" }).place?.text).toBe(`ws://example.org:${port}`);
    expect(ws({ server: createHttps() }).place?.text).toBe("wss://localhost:0");
  });
});

describe("what ws tells others", () => {
  // As the published multiserver prints them, but for scopes that it does not serve.
  it.each([
    [
      { port: 80, host: "h", scope: ["device", "public"], external: "e.x" },
      { device: "ws://h", local: "", private: "", public: "ws://e.x" },
    ],
    [
      { port: 9, host: "h", scope: "device" },
      { device: "ws://h:9", local: "", private: "", public: "" },
    ],
    [
      { port: 443, host: "h", tls: LOCALHOST },
      { device: "wss://h", public: "wss://h" },
    ],
    [{ port: 80, host: "h", tls: LOCALHOST }, { device: "wss://h:80" }],
    [
      { port: 3, host: "h", scope: "public", external: ["one.example", "::7"] },
      { device: "", public: "ws://one.example:3;ws://[::7]:3" },
    ],
    [
      { port: 3, host: "10.1.2.3", path: "/node" },
      { device: "ws://10.1.2.3:3/node", local: "ws://10.1.2.3:3/node", public: "" },
    ],
  ] as [WsOptions, Partial<Record<Scope, string>>][])("%j", (options, expected) => {
    expect(told(options)).toMatchObject(expected);
  });

  it("has whole URLs of a proxy in front, in place of hosts or beside them", () => {
    const external = "wss://example.org/a~b";
    expect(told({ port: 3, host: "127.0.0.1", external })).toMatchObject({
      device: "ws://127.0.0.1:3",
      local: "",
      public: "wss://example.org/a!~b",
    });
    const both = told({ port: 3, host: "h", external: [external, "other.example"] });
    expect(both.public).toBe("wss://example.org/a!~b;ws://other.example:3");
    expect(told({ port: 3, host: "h", external, scope: "local" }).public).toBe("");
  });

  it("tells nothing of a port that it does not have yet", () => {
    expect(told({ port: 0 })).toMatchObject({ device: "", public: "" });
  });

  it("tells of every address of a wildcard, and prints one of them", async () => {
    const transport = ws({ port: 0, scope: "device", host: "0.0.0.0" });
    const listener = await world.listenBy(transport, "ws://0.0.0.0:0");
    const port = portOf(listener);
    expect(listener.section.text).toBe(`ws://127.0.0.1:${port}`);
    expect(listener.bound?.text).toBe(`ws://0.0.0.0:${port}`);
    expect(listener.local).toBe(false);
    expect(transport.advertised?.(listener.bound ?? at("ws://h"), "device")).toEqual([
      listener.section,
    ]);
  });

  it("prints localhost as where it was bound, and with a certificate as the name it is for", async () => {
    const plain = await world.listen("ws://localhost:0");
    expect(plain.section.text).toMatch(/^ws:\/\/(127\.0\.0\.1|\[::1\]):\d+$/);
    expect(plain.bound?.text).toMatch(/^ws:\/\/localhost:\d+$/);
    const secure = await world.listen("wss://localhost:0", { tls: LOCALHOST });
    expect(secure.section.text).toMatch(/^wss:\/\/localhost:\d+$/);
    expect(plain.local && secure.local).toBe(true);
  });
});

describe("what ws listens on", () => {
  it.each([
    ["wss://127.0.0.1:0", {}, "certificate"],
    ["ws://127.0.0.1:0", { tls: LOCALHOST }, "wss://"],
    ["wss://127.0.0.1:0", { server: createHttp() }, "no TLS"],
    ["ws://127.0.0.1:0", { server: createHttps() }, "wss://"],
  ] as [string, WsOptions, string][])("is not %s with %j", async (place, options, why) => {
    const error = await failureOf(world.listen(place, options));
    expect(error).toMatchObject({ code: "ADDRESS_UNSUPPORTED", address: place });
    expect(String(error)).toContain(why);
    expect(() => ws(options).check?.(at(place), "listener")).toThrow(why);
    expect(() => ws(options).check?.(at("ws://example.org"), "dialer")).not.toThrow();
  });

  it("is no certificate that cannot be read", async () => {
    const tls = { key: "no key", cert: "no certificate" };
    const error = await failureOf(world.listen("wss://127.0.0.1:0", { tls }));
    expect(error).toMatchObject({ code: "LISTEN_FAILED" });
  });
});

describe("a stack over ws", () => {
  it("is dialled at what it advertises, over TLS too", async () => {
    for (const options of [{}, { tls: LOCALHOST, dialTls: { ca: LOCALHOST.cert } }]) {
      const node = new MultiServer([[ws({ port: 0, path: "/node", ...options }), noise()]]);
      const serving = await node.server((stream) => void echo(stream));
      world.later(() => serving.close({ graceMs: 0 }));
      const address = node.stringify("device");
      expect(address).toMatch(options.tls ? /^wss:.*\/node~noise:/ : /^ws:.*\/node~noise:/);
      const stream = await new MultiServer([[ws(options), noise()]]).client(address);
      world.later(() => stream.abort(new Error("the test is over")));
      stream.write(pattern(100_000));
      expect(equal(await new Reader(stream).take(100_000), pattern(100_000))).toBe(true);
      expect(stream.remote?.equals(node.identity.id)).toBe(true);
    }
  });
});
