/** Dialling a WebSocket: what a failure says, whom TLS trusts, and a caller who changes his mind at every stage. */

import { getEventListeners, once } from "node:events";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer as createTcp, type Socket } from "node:net";
import { createServer as createTls } from "node:tls";
import { DialError, deferred, equal } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { LOCALHOST } from "../../../../test/support/tls.ts";
import { echo, failureOf, pattern, Reader } from "../../../../test/support/traffic.ts";
import { type WsOptions, ws } from "../../src/ws/index.ts";
import { at, gone, portOf, World } from "./support.ts";

expectNoLeaks();

const world = new World();
afterEach(() => world.close());

/** A port where each connection meets `greet`. */
async function strangeServer(
  greet: (socket: Socket) => void,
  tls: boolean = false,
): Promise<number> {
  const server = tls ? createTls(LOCALHOST, greet) : createTcp(greet);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  world.later(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as { port: number }).port;
}

async function webServer(answer: RequestListener): Promise<number> {
  const server = createHttp(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  world.later(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as { port: number }).port;
}

async function refusal(place: string, options: WsOptions = {}): Promise<string> {
  const error = await failureOf(world.dial(place, options));
  expect(error).toBeInstanceOf(DialError);
  expect(error).toMatchObject({ code: "DIAL_REFUSED", address: place });
  return String(error);
}

describe("a dial that fails says why", () => {
  it("when nobody listens", async () => {
    const listener = await world.listen("ws://127.0.0.1:0");
    await listener.close();
    expect(await refusal(listener.section.text)).toContain("nobody listens there (ECONNREFUSED)");
  });

  it.each([
    ["a page", 200, "text/html", "<p>hello", "HTTP 200 OK, no WebSocket"],
    ["a page of no kind", 200, undefined, "hello", "HTTP 200 OK, no WebSocket"],
    ["nothing", 204, "text/plain", "", "HTTP 204 No Content, no WebSocket"],
    [
      "a redirect, which is not followed",
      302,
      "text/plain",
      "elsewhere",
      "HTTP 302 Found: elsewhere",
    ],
    [
      "a word in plain text",
      503,
      "text/plain; charset=utf-8",
      "come back\u001b[2J\r\nlater",
      "HTTP 503 Service Unavailable: come back [2J later",
    ],
    ["many words", 500, "text/plain", "x".repeat(100_000), `: ${"x".repeat(200)}`],
  ])("when a web server answers with %s", async (_, status, type, body, why) => {
    const port = await webServer((_request, response) => {
      response.writeHead(status, {
        Location: "/elsewhere",
        ...(type === undefined ? {} : { "Content-Type": type }),
      });
      response.end(body);
    });
    const said = await refusal(`ws://127.0.0.1:${port}/node`);
    expect(said).toContain(why);
    expect(said.length).toBeLessThan(400);
  });

  it("when what answers breaks off", async () => {
    const port = await webServer((_request, response) => {
      response.writeHead(500, { "Content-Type": "text/plain", "Content-Length": 100 });
      response.flushHeaders();
      response.socket?.end();
    });
    expect(await refusal(`ws://127.0.0.1:${port}`)).toContain("HTTP 500");
  });

  it.each([
    ["speaks something else", "SSH-2.0-thing\r\n", "does not speak HTTP"],
    ["speaks in tongues", "\u0015\u0003\u0001\u0000\u0002", "does not speak HTTP"],
    [
      "is no WebSocket after all",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
      "Sec-WebSocket-Accept",
    ],
    [
      "upgrades to something else",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
      "Upgrade",
    ],
  ])("when what listens there %s", async (_, answer, why) => {
    const port = await strangeServer((socket) => socket.once("data", () => socket.write(answer)));
    expect(await refusal(`ws://127.0.0.1:${port}`)).toContain(why);
  });

  it("when it hangs up", async () => {
    const during = await strangeServer((socket) => socket.once("data", () => socket.end()));
    expect(await refusal(`ws://127.0.0.1:${during}`)).toContain("hung up during the handshake");
    const atOnce = await strangeServer((socket) => socket.resetAndDestroy());
    expect(await refusal(`ws://127.0.0.1:${atOnce}`)).toContain("hung up");
    const inTls = await strangeServer((socket) => socket.once("data", () => socket.end()));
    expect(await refusal(`wss://127.0.0.1:${inTls}`)).toContain("hung up");
  });

  it("when one side speaks TLS and the other does not", async () => {
    const plain = await world.listen("ws://127.0.0.1:0");
    expect(await refusal(`wss://127.0.0.1:${portOf(plain)}`)).toContain("does not speak TLS");
    const secure = await world.listen("wss://127.0.0.1:0", { tls: LOCALHOST });
    expect(await refusal(`ws://127.0.0.1:${portOf(secure)}`)).toMatch(
      /behind TLS|hung up|HTTP 400/,
    );
  });
});

describe("TLS", () => {
  const trust = { dialTls: { ca: LOCALHOST.cert } };

  it.each([
    ["a certificate for its name", "localhost", trust],
    ["a certificate for its address", "127.0.0.1", trust],
    ["any certificate, when told to", "127.0.0.1", { dialTls: { rejectUnauthorized: false } }],
    [
      "a certificate for another name, when told that name",
      "127.0.0.1",
      { dialTls: { ...trust.dialTls, servername: "localhost" } },
    ],
  ] as [string, string, WsOptions][])("accepts %s", async (_, host, options) => {
    const listener = await world.listen(
      `wss://${host}:0`,
      { tls: LOCALHOST },
      { accept: (connection) => void echo(connection) },
    );
    const connection = await world.dial(`wss://${host}:${portOf(listener)}`, options);
    expect(connection.remote.text).toBe(`wss://${host}:${portOf(listener)}`);
    expect(connection.local).toBe(true);
    connection.write(pattern(300_000));
    expect(equal(await new Reader(connection).take(300_000), pattern(300_000))).toBe(true);
  });

  it("refuses a certificate that nobody vouches for, and one for another host", async () => {
    const listener = await world.listen("wss://127.0.0.1:0", { tls: LOCALHOST });
    const place = `wss://127.0.0.1:${portOf(listener)}`;
    expect(await refusal(place)).toContain("self-signed; trust it by ws({ dialTls");
    const elsewhere = { dialTls: { ca: LOCALHOST.cert, servername: "example.org" } };
    expect(await refusal(place, elsewhere)).toContain("for another host");
    expect(world.accepted).toEqual([]);
  });

  it("says the host's name to the server, and no address", async () => {
    const names: unknown[] = [];
    const tls = {
      ...LOCALHOST,
      SNICallback: (name: string, done: (error: Error | null) => void) => {
        names.push(name);
        done(null);
      },
    };
    const listener = await world.listen("wss://localhost:0", { tls });
    await world.dial(`wss://localhost:${portOf(listener)}`, trust);
    await world.dial(`wss://127.0.0.1:${portOf(listener)}`, trust);
    expect(names).toEqual(["localhost"]);
  });
});

describe("a dialer", () => {
  it("tells of its stages", async () => {
    const { section } = await world.listen("ws://localhost:0");
    const stages: string[] = [];
    const stage = (reached: string): void => void stages.push(reached);
    const { signal } = new AbortController();
    const named = at(`ws://localhost:${new URL(section.text).port}`);
    for (const to of [named, section]) {
      const connection = await ws().dial(to, { signal, stage });
      world.later(() => connection.abort(new Error("the test is over")));
    }
    expect(stages).toEqual(["resolve", "connect", "connect"]);
  });

  it("asks for the path and query it was given, with no extension and no origin", async () => {
    const asked = deferred<string>();
    const port = await strangeServer((socket) => {
      socket.once("data", (head) => {
        asked.resolve(String(head));
        socket.end();
      });
    });
    await refusal(`ws://127.0.0.1:${port}/a!~b?c=d`);
    const head = await asked.promise;
    expect(head).toMatch(/^GET \/a~b\?c=d HTTP\/1\.1\r\n/);
    expect(head).toContain(`\r\nHost: 127.0.0.1:${port}\r\n`);
    expect(head).not.toMatch(/\r\n(Origin|Sec-WebSocket-Extensions|Sec-WebSocket-Protocol):/i);
  });

  it.each([
    ["while TCP is silent, over TLS", true, ""],
    ["while HTTP is silent", false, ""],
    ["in the middle of an answer", false, "HTTP/1.1 101 Switching Pro"],
    ["in the middle of a refusal", false, "HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n"],
  ])("may change his mind %s", async (_, secure, said) => {
    const met = deferred<Socket>();
    const port = await strangeServer((socket) => {
      socket.once("data", () => {
        socket.write(said);
        met.resolve(socket);
      });
    });
    const controller = new AbortController();
    const section = at(`${secure ? "wss" : "ws"}://127.0.0.1:${port}`);
    const dialling = ws().dial(section, { signal: controller.signal });
    const failure = failureOf(dialling);
    const closed = gone(await met.promise);
    const reason = new Error("changed my mind");
    controller.abort(reason);
    expect(await failure).toBe(reason);
    await closed;
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  it("may change his mind once TLS is there and HTTP is silent", async () => {
    const met = deferred<Socket>();
    const port = await strangeServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => met.resolve(socket));
    }, true);
    const controller = new AbortController();
    const dialTls = { ca: LOCALHOST.cert };
    const dialling = ws({ dialTls }).dial(at(`wss://127.0.0.1:${port}`), controller);
    const failure = failureOf(dialling);
    const closed = gone(await met.promise);
    controller.abort();
    expect(await failure).toBe(controller.signal.reason);
    await closed;
  });

  it("hears what comes glued behind the answer", async () => {
    const listener = await world.listen(
      "ws://127.0.0.1:0",
      {},
      { accept: (connection) => connection.write(pattern(7)) },
    );
    const connection = await world.dial(listener.section);
    expect(await new Reader(connection).take(7)).toEqual(pattern(7));
  });

  it("meets an end that comes with the answer", async () => {
    const listener = await world.listen(
      "ws://127.0.0.1:0",
      {},
      { accept: (connection) => void connection.end() },
    );
    const connection = await world.dial(listener.section);
    expect(await connection.closed).toBeUndefined();
  });

  it("may be a stranger who uses no Origin or any other WebSocket there is", async () => {
    const { stranger, connection } = await world.withStranger();
    stranger.send(pattern(4));
    expect(await new Reader(connection).take(4)).toEqual(pattern(4));
    connection.write(pattern(5));
    const [echoed] = await once(stranger, "message");
    expect(new Uint8Array(echoed as Buffer)).toEqual(pattern(5));
  });
});
