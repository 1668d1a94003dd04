/** Listening for WebSockets: paths, servers of our own and given ones, and strangers who never finish asking. */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttp, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import { connect, createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { type Connection, type Listener, MultiServer } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { LOCALHOST } from "../../../../test/support/tls.ts";
import { echo, failureOf, pattern, Reader } from "../../../../test/support/traffic.ts";
import { noise } from "../../src/noise/index.ts";
import { shs } from "../../src/shs/index.ts";
import { deskOf, shareOwn } from "../../src/ws/http-server.ts";
import { type WsOptions, ws } from "../../src/ws/index.ts";
import { gone, heard, portOf, request, WebSocketServer, World } from "./support.ts";

expectNoLeaks();

const world = new World();
afterEach(() => world.close());

async function opened<S extends Server>(server: S): Promise<S> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  world.later(() => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

const portOfServer = (server: Server): number => (server.address() as { port: number }).port;

/** Whether what is written comes back with this mark in front: each network of a test has its own. */
function marked(mark: number): (connection: Connection) => void {
  return (connection) => {
    connection.write(Uint8Array.of(mark));
    void echo(connection);
  };
}

async function markAt(url: string, options: WsOptions = {}): Promise<number | undefined> {
  const connection = await world.dial(url, options);
  const [mark] = await new Reader(connection).take(1);
  return mark;
}

/** What plain HTTP is answered. */
async function got(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(text);
  return heard(socket);
}

const PLAIN = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

describe("paths", () => {
  it("lead to the network that listens there, whatever the query", async () => {
    const listener = await world.listen("ws://127.0.0.1:0/one", {}, { accept: marked(1) });
    const port = portOf(listener);
    expect(listener.section.text).toBe(`ws://127.0.0.1:${port}/one`);
    expect(await markAt(`ws://127.0.0.1:${port}/one`)).toBe(1);
    expect(await markAt(`ws://127.0.0.1:${port}/one?token=x`)).toBe(1);
  });

  it.each(["/", "/one/", "/One", "/one/two"])("lead nowhere: %s", async (path) => {
    const listener = await world.listen("ws://127.0.0.1:0/one");
    const error = await failureOf(world.dial(`ws://127.0.0.1:${portOf(listener)}${path}`));
    expect(error).toMatchObject({ code: "DIAL_REFUSED" });
    expect(String(error)).toContain("404 Not Found: nobody listens on this path");
  });

  it("share a server of our own, when the same host and port are asked for", async () => {
    const first = await world.listen("ws://127.0.0.1:0/one", {}, { accept: marked(1) });
    const place = `ws://127.0.0.1:${portOf(first)}`;
    const second = await world.listen(`${place}/two`, {}, { accept: marked(2) });
    expect([await markAt(`${place}/one`), await markAt(`${place}/two`)]).toEqual([1, 2]);
    const taken = await failureOf(world.listen(`${place}/two`));
    expect(taken).toMatchObject({ code: "LISTEN_FAILED" });
    expect(String(taken)).toContain("/two");

    await first.close();
    expect(String(await failureOf(world.dial(`${place}/one`)))).toContain("404");
    expect(await markAt(`${place}/two`)).toBe(2);
    await second.close();
    expect(String(await failureOf(world.dial(`${place}/two`)))).toContain("ECONNREFUSED");
    const again = await world.listen(`${place}/three`, {}, { accept: marked(3) });
    expect(await markAt(again.section.text)).toBe(3);
  });

  it("share it by where localhost was bound, too", async () => {
    const first = await world.listen("ws://localhost:0/one");
    const second = await world.listen(first.section.text.replace("/one", "/two"));
    expect(portOf(second)).toBe(portOf(first));
  });

  it("share no server with another certificate or handler", async () => {
    const first = await world.listen("ws://127.0.0.1:0/one", {
      handler: (_, response) => response.end(),
    });
    const place = `127.0.0.1:${portOf(first)}/two`;
    const failures = [
      await failureOf(world.listen(`wss://${place}`, { tls: LOCALHOST })),
      await failureOf(world.listen(`ws://${place}`, { handler: () => {} })),
    ];
    for (const failure of failures) expect(String(failure)).toContain("EADDRINUSE");
    await world.listen(`ws://${place}`);
  });

  it("let two stacks of one node listen on one port", async () => {
    // A port that was free a moment ago.
    const probe = await world.listen("ws://127.0.0.1:0");
    const port = portOf(probe);
    await probe.close();
    const at = (path: string): WsOptions => ({ port, host: "127.0.0.1", path });
    const node = new MultiServer([
      [ws(at("/old")), shs()],
      [ws(at("/new")), noise()],
    ]);
    const serving = await node.server((stream) => void echo(stream));
    world.later(() => serving.close({ graceMs: 0 }));
    const addresses = node.stringify("device").split(";");
    expect(addresses.length).toBe(2);
    for (const address of addresses) {
      const stream = await new MultiServer([
        [ws(), shs()],
        [ws(), noise()],
      ]).client(address);
      world.later(() => stream.abort(new Error("the test is over")));
      stream.write(pattern(10));
      expect(await new Reader(stream).take(10)).toEqual(pattern(10));
    }
  });
});

describe("a given server", () => {
  it("serves several networks by path, and its own pages, and outlives them", async () => {
    const server = await opened(createHttp((_, response) => response.end("a page")));
    const place = `ws://127.0.0.1:${portOfServer(server)}`;
    const listeners = [
      await world.listen(`${place}/one`, { server }, { accept: marked(1) }),
      await world.listen("ws://127.0.0.1:0/two", { server }, { accept: marked(2) }),
    ];
    expect(listeners.map(({ section }) => section.text)).toEqual([`${place}/one`, `${place}/two`]);
    expect(listeners.every(({ local }) => local)).toBe(true);
    expect([await markAt(`${place}/one`), await markAt(`${place}/two`)]).toEqual([1, 2]);
    expect(await got(portOfServer(server), PLAIN)).toContain("a page");

    const alive = await world.dial(`${place}/one`);
    await Promise.all(listeners.flatMap((listener) => [listener.close(), listener.close()]));
    expect(server.listening).toBe(true);
    expect(server.listenerCount("upgrade")).toBe(0);
    alive.write(pattern(9));
    expect((await new Reader(alive).take(10)).subarray(1)).toEqual(pattern(9));
    expect(await got(portOfServer(server), PLAIN)).toContain("a page");
    // Nobody is told of upgrades any more, so that Node takes this for a page too.
    expect(String(await failureOf(world.dial(`${place}/one`)))).toContain("HTTP 200 OK");
  });

  it("speaks wss when it is one of HTTPS", async () => {
    const server = await opened(createHttps(LOCALHOST));
    const transport = ws({ server, host: "localhost", path: "/node" });
    const { place } = transport;
    expect(place?.text).toBe(`wss://localhost:${portOfServer(server)}/node`);
    const listener = await world.listenBy(transport, place?.text ?? "", { accept: marked(7) });
    expect(listener.section).toEqual(place);
    expect(await markAt(listener.section.text, { dialTls: { ca: LOCALHOST.cert } })).toBe(7);
    expect(world.accepted[0]?.remote.text).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/);
  });

  it("answers 404 on other paths, unless they are somebody else's business", async () => {
    const server = await opened(createHttp());
    const place = `ws://127.0.0.1:${portOfServer(server)}`;
    await world.listen(`${place}/one`, { server });
    expect(String(await failureOf(world.dial(`${place}/other`)))).toContain("404");
    const other = new WebSocketServer({ noServer: true });
    server.on("upgrade", (asked: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (asked.url === "/other") other.handleUpgrade(asked, socket, head, (peer) => peer.close());
    });
    const stranger = world.stranger({ name: "ws", args: [], text: `${place}/other` });
    await once(stranger, "open");
    await once(stranger, "close");
  });

  it("leaves alone what somebody else on it has upgraded already", async () => {
    const server = await opened(createHttp());
    const greedy = new WebSocketServer({ server });
    greedy.on("connection", (peer) => peer.send("mine"));
    world.later(() => greedy.close());
    const told: unknown[] = [];
    const onAcceptError = (error: Error): void => void told.push(error);
    const listener = await world.listen("ws://127.0.0.1:0", { server, onAcceptError });
    const stranger = world.stranger(listener.section);
    const [said] = await once(stranger, "message");
    expect(String(said)).toBe("mine");
    expect(told.length).toBe(1);
    expect(world.accepted).toEqual([]);
  });

  it("is refused before it listens, on another port, and on a pipe", async () => {
    const idle = createHttp();
    const why = async (place: string, server: Server): Promise<string> => {
      const error = await failureOf(world.listen(place, { server }));
      expect(error).toMatchObject({ code: "LISTEN_FAILED", address: place });
      return String(error);
    };
    expect(await why("ws://127.0.0.1:0", idle)).toContain("listen() first");
    const server = await opened(createHttp());
    expect(await why("ws://127.0.0.1:1", server)).toContain(`port ${portOfServer(server)}`);
    const folder = mkdtempSync(join(tmpdir(), "testudo-"));
    world.later(() => rmSync(folder, { recursive: true }));
    const piped = createHttp();
    await new Promise<void>((resolve) => piped.listen(join(folder, "socket"), resolve));
    world.later(() => piped.close());
    expect(await why("ws://127.0.0.1:0", piped)).toContain("pipe");
  });

  it("has one desk, however many listen", () => {
    const server = createHttp();
    expect(deskOf(server)).toBe(deskOf(server));
  });
});

describe("a server of our own", () => {
  it("cannot have a port that is in use; nothing is thrown, nothing stays open", async () => {
    const other = createTcp();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    world.later(() => other.close());
    const { port } = other.address() as { port: number };
    const place = `ws://127.0.0.1:${port}`;
    const failures = await Promise.all([
      failureOf(world.listen(place)),
      failureOf(world.listen(`${place}/two`)),
    ]);
    for (const error of failures) {
      expect(error).toMatchObject({ code: "LISTEN_FAILED", cause: { code: "EADDRINUSE" } });
      expect(String(error)).toContain("the port is in use");
    }
    await new Promise((resolve) => other.close(resolve));
    await world.listen(place);
  });

  it("tells who comes for a page what it is", async () => {
    const listener = await world.listen("ws://127.0.0.1:0");
    const answer = await got(portOf(listener), PLAIN);
    expect(answer).toMatch(/^HTTP\/1\.1 426 /);
    expect(answer).toContain("WebSockets only");
  });

  it("serves pages by a handler", async () => {
    const handler: NonNullable<WsOptions["handler"]> = (asked, response) => {
      response.end(`page ${asked.url}`);
    };
    const listener = await world.listen("ws://127.0.0.1:0", { handler }, { accept: marked(4) });
    expect(await got(portOf(listener), PLAIN)).toContain("page /");
    expect(await markAt(listener.section.text)).toBe(4);
  });

  it.each([
    ["no key", { "Sec-WebSocket-Key": "short" }, 400],
    ["another version", { "Sec-WebSocket-Version": "7" }, 426],
    ["another protocol", { Upgrade: "h2c" }, 400],
  ] as [string, Record<string, string>, number][])(
    "refuses a request with %s",
    async (_, lines, status) => {
      const listener = await world.listen("ws://127.0.0.1:0");
      const answer = await got(portOf(listener), request(lines));
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 (${status}|400) `));
      expect(world.accepted).toEqual([]);
    },
  );

  it("tells of a failed accept and goes on", async () => {
    const told: unknown[] = [];
    const share = await shareOwn("127.0.0.1", 0, {
      backlog: 5,
      onAcceptError: (error) => told.push(error),
    });
    const fault = new Error("too many open files");
    share.desk.server.emit("error", fault);
    expect(told).toEqual([fault]);
    expect(share.desk.server.listening).toBe(true);
    share.release();
    share.release();
    expect(share.desk.server.listening).toBe(false);
  });

  it("costs a throwing accept its own connection only", async () => {
    let fail = true;
    const accept = (connection: Connection): void => {
      if (fail) throw new Error("not today");
      void echo(connection);
    };
    const { section } = await world.listen("ws://127.0.0.1:0", {}, { accept });
    const lost = await world.dial(section);
    expect(await lost.closed).toMatchObject({ code: "TRUNCATED" });
    fail = false;
    const kept = await world.dial(section);
    kept.write(pattern(3));
    expect(await new Reader(kept).take(3)).toEqual(pattern(3));
  });

  it("cuts who has not asked for anything when it closes, and nobody else", async () => {
    const listener = await world.listen("ws://127.0.0.1:0", {}, { accept: marked(1) });
    const idle = await world.socket(listener);
    const half = await world.socket(listener);
    half.write("GET / HTTP/1.1\r\n");
    const alive = await world.dial(listener.section);
    const cut = [gone(idle), gone(half)];
    await new Reader(alive).take(1);
    await listener.close();
    await Promise.all(cut);
    alive.write(pattern(5));
    expect((await alive[Symbol.asyncIterator]().next()).value).toEqual(Buffer.from(pattern(5)));
  });

  it("cuts TLS handshakes that are under way when it closes", async () => {
    const listener = await world.listen("wss://127.0.0.1:0", { tls: LOCALHOST });
    const idle = await world.socket(listener);
    const cut = gone(idle);
    await listener.close();
    await cut;
  });
});

describe("a stranger who never finishes asking", () => {
  async function open(limits: {
    headersTimeoutMs?: number;
    maxWaiting?: number;
  }): Promise<Listener> {
    const share = await shareOwn("127.0.0.1", 0, {
      backlog: 50,
      onAcceptError: () => {},
      ...limits,
    });
    world.later(() => share.release());
    const { port } = share.desk.server.address() as { port: number };
    return world.listen(`ws://127.0.0.1:${port}`, { backlog: 50 });
  }

  it.each([
    ["nothing", ""],
    ["half a line", "GET / HT"],
    ["no end of headers", request().slice(0, -2)],
  ])("is cut in time, having said %s", async (_, said) => {
    const socket = await world.socket(await open({ headersTimeoutMs: 60 }));
    socket.write(said);
    await gone(socket);
  });

  it("makes room for others when there are many of his kind", async () => {
    const listener = await open({ maxWaiting: 3 });
    const alive = await world.dial(listener.section);
    const first = await world.socket(listener);
    const cut = gone(first);
    const others = [1, 2, 3].map(() => world.socket(listener));
    await cut;
    for (const socket of await Promise.all(others)) expect(socket.destroyed).toBe(false);
    const [accepted] = world.accepted;
    accepted?.write(pattern(4));
    expect(await new Reader(alive).take(4)).toEqual(pattern(4));
  });
});
