import { createHook } from "node:async_hooks";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Connection, deferred, fromHex, type Section, section, toHex } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import { failureOf, pattern, Reader, readAll, turns } from "../../../test/support/traffic.ts";
import { net } from "../src/net/index.ts";
import { type OnionOptions, onion } from "../src/onion/index.ts";

expectNoLeaks();

const opened: Connection[] = [];
const servers: Server[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const connection of opened.splice(0)) connection.abort(new Error("over"));
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((done) => server.close(done))));
});

const soon = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });
const to = (host: string, port: number = 80): Section =>
  section("onion", ...host.split(":"), String(port));

async function dial(
  target: Section,
  options: OnionOptions,
  signal = soon().signal,
): Promise<Connection> {
  const connection = await onion(options).dial(target, { signal });
  opened.push(connection);
  return connection;
}

/** A proxy that says what the test wants: `script` is told of every chunk and how many came before. */
async function scripted(
  script: (socket: Socket, chunk: Buffer, count: number) => void,
  place: number | string = 0,
): Promise<string> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    let count = 0;
    socket.on("data", (chunk: Buffer) => script(socket, chunk, count++));
  });
  servers.push(server);
  if (typeof place === "string") server.listen(place);
  else server.listen(place, "127.0.0.1");
  await once(server, "listening");
  return typeof place === "string"
    ? `unix:${place}`
    : `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const answer = (socket: Socket, hex: string): boolean => socket.write(fromHex(hex) as Uint8Array);

/** Takes everybody, with or without credentials, and echoes; `heard` gets the chunks of each negotiation, as hex. */
function obliging(heard: string[][] = [], behind: string = ""): Parameters<typeof scripted>[0] {
  return (socket, chunk, count) => {
    const said = count === 0 ? [] : (heard.at(-1) ?? []);
    if (count === 0) heard.push(said);
    const authenticates = said[0] === "050102" || (count === 0 && toHex(chunk) === "050102");
    const last = authenticates ? 2 : 1;
    if (count <= last) said.push(toHex(chunk));
    if (count === 0) answer(socket, authenticates ? "0502" : "0500");
    else if (count < last) answer(socket, "0100");
    else if (count === last) answer(socket, `05000001000000000000${behind}`);
    else socket.write(chunk);
  };
}

/** A port where nobody listens, since a moment ago. */
async function nowhere(): Promise<string> {
  const listener = await net().listen?.(section("net", "127.0.0.1", "0"), () => {});
  await listener?.close();
  return `127.0.0.1:${listener?.section.args.at(-1)}`;
}

describe("options", () => {
  it("refuses what makes no sense", () => {
    for (const proxy of [
      "",
      "127.0.0.1",
      "127.0.0.1:0",
      "h:99999",
      "h:x",
      "unix:",
      `unix:${"x".repeat(200)}`,
    ]) {
      expect(() => onion({ proxy }), proxy).toThrow(TypeError);
      expect(() => onion({ proxy: ["127.0.0.1:9050", proxy] }), proxy).toThrow("proxy");
    }
    expect(() => onion({ proxy: [] })).toThrow("at least one");
    expect(() => onion({ proxy: 9050 as unknown as string })).toThrow(TypeError);
    expect(() => onion({ isolate: true as unknown as false })).toThrow("isolate");
  });

  it("takes proxies as people write them", () => {
    for (const proxy of ["localhost:9050", "[::1]:9050", "::1:9050", "unix:/run/tor/socks"]) {
      expect(onion({ proxy }).name).toBe("onion");
    }
  });

  it("cannot listen, and cannot half-close", () => {
    expect(onion().listen).toBeUndefined();
    expect(onion().halfClose).toBe(false);
  });
});

describe("sections", () => {
  it("that can never be dialled are refused before anything is opened", async () => {
    const bad = [
      section("onion"),
      section("onion", "a.onion"),
      to("a.onion", 0),
      to("a.onion", 65_536),
      section("onion", "a.onion", "x"),
      section("onion", "", "80"),
      section("onion", "[]", "80"),
      to("a b.onion"),
      to("ä.onion"),
      to("x".repeat(256)),
      to("fe80::1%eth0"),
    ];
    for (const each of bad) {
      const refusal = expect.objectContaining({ code: "ADDRESS_MALFORMED", address: each.text });
      expect(() => onion().check?.(each, "dialer"), each.text).toThrow(refusal);
      expect(await failureOf(dial(each, {})), each.text).toEqual(refusal);
    }
  });
});

describe("proxies", () => {
  it("are named when none can be reached, with what to do", async () => {
    const [one, two] = [await nowhere(), await nowhere()];
    const target = to("example.onion");
    const error = await failureOf(dial(target, { proxy: [one, two, "unix:/no/such/file"] }));
    expect(error).toMatchObject({ code: "DIAL_REFUSED", address: target.text });
    const { message, cause } = error as Error;
    expect(message).toContain(`no Tor at ${one} (nobody listens there (ECONNREFUSED)) or ${two}`);
    expect(message).toContain("or unix:/no/such/file (there is no such file");
    expect(message).toContain("start tor, or name its SOCKS port");
    expect((cause as AggregateError).errors.length).toBe(3);
  });

  it("are tried in order, the next only when one cannot be reached", async () => {
    const heard: string[][] = [];
    const good = await scripted(obliging(heard));
    await dial(to("example.onion"), { proxy: [await nowhere(), good] });
    expect(heard.length).toBe(1);
    const bad = await scripted((socket) => answer(socket, "05ff"));
    expect(await failureOf(dial(to("example.onion"), { proxy: [bad, good] }))).toMatchObject({
      code: "DIAL_REFUSED",
      message: expect.stringContaining("isolate: false"),
    });
    expect(heard.length).toBe(1);
  });

  it("may be sockets in the file system", async () => {
    const folder = mkdtempSync(join(tmpdir(), "testudo-"));
    try {
      const proxy = await scripted(obliging(), join(folder, "socks"));
      const connection = await dial(to("example.onion"), { proxy });
      connection.write(pattern(10));
      expect(await new Reader(connection).take(10)).toEqual(pattern(10));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("that fail leave no socket, and say why", async () => {
    const target = to("example.onion");
    const failing: [string, (socket: Socket, chunk: Buffer, count: number) => void][] = [
      ["hung up", (socket) => socket.end()],
      [
        "hung up",
        (socket, _, count) => (count === 1 ? socket.end("\x01") : answer(socket, "0502")),
      ],
      ["was lost", (socket) => socket.resetAndDestroy()],
      ["does not speak SOCKS5", (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")],
      [
        "nobody listens there",
        (socket, _, count) => answer(socket, ["0502", "0100", "0505"][count] ?? ""),
      ],
    ];
    for (const [why, script] of failing) {
      const proxy = await scripted(script);
      const error = await failureOf(dial(target, { proxy }));
      expect(error).toMatchObject({
        code: "DIAL_REFUSED",
        address: target.text,
        message: expect.stringContaining(why),
      });
      const [socket] = sockets.splice(0);
      if (socket?.closed === false) await once(socket, "close");
    }
  });
});

describe("dialling", () => {
  it("names both ends by the section, and tells that it connects", async () => {
    const proxy = await scripted(obliging());
    const stages: string[] = [];
    const target = to("example.onion");
    const connection = await onion({ proxy }).dial(target, {
      ...soon(),
      stage: (stage) => stages.push(stage),
    });
    opened.push(connection);
    expect(connection.remote).toBe(target);
    expect(connection.local).toBe(false);
    expect(stages).toEqual(["connect"]);
  });

  it("keeps what came behind the reply", async () => {
    const proxy = await scripted(obliging([], "c0ffee"));
    const connection = await dial(to("example.onion"), { proxy });
    const reader = new Reader(connection);
    expect(toHex(await reader.take(3))).toBe("c0ffee");
    connection.write(pattern(70_000));
    expect(await reader.take(70_000)).toEqual(pattern(70_000));
  });

  it("keeps what came behind the reply when an end came, too", async () => {
    const script = obliging([], "c0ffee");
    const proxy = await scripted((socket, chunk, count) => {
      script(socket, chunk, count);
      if (count === 2) socket.end();
    });
    const connection = await dial(to("example.onion"), { proxy });
    await turns(5);
    expect(toHex(await readAll(connection))).toBe("c0ffee");
  });

  it("does nothing when the signal has fired, and stops when it fires", async () => {
    const heard = deferred<Socket>();
    const proxy = await scripted((socket) => heard.resolve(socket));
    const reason = new Error("changed my mind");
    const target = to("example.onion");
    expect(await failureOf(dial(target, { proxy }, AbortSignal.abort(reason)))).toBe(reason);
    expect(sockets.length).toBe(0);
    const early = new AbortController();
    const reaching = failureOf(dial(target, { proxy: [proxy, proxy] }, early.signal));
    early.abort(reason);
    expect(await reaching).toBe(reason);
    const controller = new AbortController();
    const dialling = failureOf(dial(target, { proxy }, controller.signal));
    const socket = await heard.promise;
    controller.abort(reason);
    expect(await dialling).toBe(reason);
    if (!socket.closed) await once(socket, "close");
  });

  it("looks no name up on this machine", async () => {
    const lookups: string[] = [];
    const hook = createHook({
      init(_, type) {
        if (/ADDRINFO|QUERYWRAP|NAMEINFO/.test(type)) lookups.push(type);
      },
    }).enable();
    try {
      const heard: string[][] = [];
      const proxy = await scripted(obliging(heard));
      await dial(to("localhost", 8008), { proxy, isolate: false });
      expect(heard[0]?.[1]).toBe("05010003096c6f63616c686f73741f48");
      expect(lookups).toEqual([]);
      // What the hook would have seen.
      await net()
        .dial(section("net", "localhost", "1"), soon())
        .catch(() => {});
      expect(lookups.length).toBeGreaterThan(0);
    } finally {
      hook.disable();
    }
  });
});

describe("isolation", () => {
  /** What each dial to `hosts` showed: username and password, as hex. */
  async function shown(
    hosts: readonly string[],
    isolate?: "host" | "stream" | false,
  ): Promise<(string | undefined)[]> {
    const heard: string[][] = [];
    const proxy = await scripted(obliging(heard));
    const transport = onion({ proxy, ...(isolate === undefined ? {} : { isolate }) });
    for (const host of hosts) opened.push(await transport.dial(to(host), soon()));
    return heard.map((said) => (said[0] === "050102" ? said[1] : undefined));
  }

  it("is by host, unless somebody asks otherwise", async () => {
    const [first, again, other] = await shown(["a.onion", "A.onion", "b.onion"]);
    expect(first).toMatch(/^01/);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    // Another node behind the same proxy shows something else for the same host.
    expect((await shown(["a.onion"]))[0]).not.toBe(first);
  });

  it("can be by connection", async () => {
    const all = await shown(["a.onion", "a.onion", "b.onion"], "stream");
    expect(all.every((each) => each?.startsWith("01"))).toBe(true);
    expect(new Set(all).size).toBe(3);
  });

  it("can be left to the proxy", async () => {
    expect(await shown(["a.onion", "b.onion"], false)).toEqual([undefined, undefined]);
  });

  it("fits for the longest host", async () => {
    const [credentials = ""] = await shown(["x".repeat(255)]);
    expect(credentials.endsWith(`ff${"78".repeat(255)}`)).toBe(true);
  });
});
