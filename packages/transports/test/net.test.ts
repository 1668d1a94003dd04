import { getEventListeners } from "node:events";
import { connect, isIP, type Server, Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { type Connection, deferred, type Listener, SCOPES, type Section } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import { failureOf, pattern, Reader, readAll, turns } from "../../../test/support/traffic.ts";
import { isLoopback, isWildcard, netSection } from "../src/net/host.ts";
import { net } from "../src/net/index.ts";
import { speaksIpv6 } from "../src/net/interfaces.ts";
import { at } from "./net-support.ts";

expectNoLeaks();

const WILDCARDS = speaksIpv6(networkInterfaces()) ? ["0.0.0.0", "::"] : ["0.0.0.0"];

const opened: { abort(reason: Error): void }[] = [];
const listeners: Listener[] = [];
const raw: Socket[] = [];

afterEach(async () => {
  for (const connection of opened.splice(0)) connection.abort(new Error("over"));
  for (const socket of raw.splice(0)) socket.destroy();
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

const soon = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });

async function listen(
  place: string,
  accept: (connection: Connection) => void = () => {},
  options: Parameters<typeof net>[0] = {},
): Promise<Listener> {
  const listener = await net(options).listen?.(at(place), (connection) => {
    opened.push(connection);
    accept(connection);
  });
  if (listener === undefined) throw new Error("net can listen");
  listeners.push(listener);
  return listener;
}

function portOf(listener: Listener): number {
  return Number(listener.section.args.at(-1));
}

/** One accepted connection and the plain socket at its other end. */
async function withRawSocket(): Promise<{ connection: Connection; socket: Socket }> {
  const arrived = deferred<Connection>();
  const listener = await listen("net:127.0.0.1:0", arrived.resolve);
  const socket = connect({ port: portOf(listener), host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  raw.push(socket);
  return { connection: await arrived.promise, socket };
}

/** The server below a listener, to make it suffer what only a kernel can do. */
function serverOf(listener: Listener): Server {
  const active = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  const server = active.find(
    (handle) => (handle as Server).listening && portAt(handle as Server) === portOf(listener),
  );
  if (server === undefined) throw new Error("no such server");
  return server as Server;
}

function portAt(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("dialling", () => {
  it("says what is wrong, and keeps the system's error", async () => {
    const listener = await listen("net:127.0.0.1:0");
    await listener.close();
    const error = await failureOf(net().dial(listener.section, soon()));
    expect(error).toMatchObject({
      code: "DIAL_REFUSED",
      address: listener.section.text,
      cause: { code: "ECONNREFUSED" },
      message: expect.stringContaining("nobody listens there"),
    });
  });

  it("refuses port 0 before it opens anything", async () => {
    const error = await failureOf(net().dial(at("net:127.0.0.1:0"), soon()));
    expect(error).toMatchObject({ code: "ADDRESS_MALFORMED", address: "net:127.0.0.1:0" });
  });

  it("gives up on a name at once when the signal fires", async () => {
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const stages: string[] = [];
    const stage = (name: string): void => {
      stages.push(name);
      controller.abort(reason);
    };
    const signal = controller.signal;
    const error = await failureOf(net().dial(at("net:localhost:1"), { signal, stage }));
    expect(error).toBe(reason);
    expect(stages).toEqual(["resolve"]);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("reports a host that is no host as one that cannot be reached", async () => {
    const error = await failureOf(net().dial(at("net:not a host:80"), soon()));
    expect(error).toMatchObject({ code: "DIAL_REFUSED" });
  });
});

describe("listening", () => {
  it("says what to do when the port is in use", async () => {
    const { section } = await listen("net:127.0.0.1:0");
    expect(await failureOf(listen(section.text))).toMatchObject({
      code: "LISTEN_FAILED",
      address: section.text,
      cause: { code: "EADDRINUSE" },
      message: expect.stringContaining("choose another port"),
    });
  });

  it("says what to do when the address is not ours", async () => {
    expect(await failureOf(listen("net:203.0.113.7:0"))).toMatchObject({
      code: "LISTEN_FAILED",
      message: expect.stringContaining("this machine has no such address"),
    });
  });

  it("advertises what can be dialled when bound to everything", async () => {
    const { section, local } = await listen("net:0.0.0.0:0");
    const host = section.args.slice(0, -1).join(":");
    expect(isIP(host)).not.toBe(0);
    expect(isWildcard(host)).toBe(false);
    expect(portOf({ section } as Listener)).toBeGreaterThan(0);
    expect(local).toBe(false);
  });

  it.each(WILDCARDS)("on %s can be dialled by what it tells this machine", async (host) => {
    const arrived = deferred<Connection>();
    const transport = net();
    const listener = await listen(netSection(host, 0).text, arrived.resolve);
    expect(listener.bound?.text).toBe(netSection(host, portOf(listener)).text);
    const [section] = transport.advertised?.(listener.bound as Section, "device") ?? [];
    const dialed = await transport.dial(section as Section, soon());
    opened.push(dialed);
    expect(dialed.local).toBe(true);
    expect((await arrived.promise).local).toBe(true);
  });

  it("says where it is bound, as it was asked for but with the real port", async () => {
    for (const host of ["localhost", "127.0.0.1"]) {
      const { bound } = await listen(`net:${host}:0`);
      expect(bound?.text).toMatch(new RegExp(`^net:${host}:[1-9]\\d+$`));
    }
    // Another way to write the wildcard.
    expect((await listen("net:0:0")).bound?.text).toMatch(/^net:0\.0\.0\.0:[1-9]\d+$/);
  });

  it("prints no zone, which means nothing elsewhere, and knows it where it is bound", async ({
    skip,
  }) => {
    const found = Object.entries(networkInterfaces()).flatMap(([name, infos = []]) =>
      infos.filter((info) => info.address.startsWith("fe80:")).map((info) => [name, info.address]),
    );
    const [name, address] = found[0] ?? [];
    if (address === undefined) return skip("no link-local address here");
    const { section, bound } = await listen(`net:${address}%${name}:0`);
    expect(section.text).toMatch(new RegExp(`^net:${address}:\\d+$`));
    expect(bound?.text).toMatch(new RegExp(`^net:${address}%${name}:\\d+$`));
  });

  it("prints an external host in place of a wildcard, and what is bound in place of nothing", async () => {
    const external = ["a.example", "b.example"];
    const all = await listen("net:0.0.0.0:0", undefined, { external });
    expect(all.section.text).toBe(`net:a.example:${portOf(all)}`);
    const device = await listen("net:0.0.0.0:0", undefined, { scope: "device" });
    expect(device.section.text).toBe(`net:127.0.0.1:${portOf(device)}`);
    const one = await listen("net:127.0.0.1:0", undefined, { external, scope: "public" });
    expect(one.section.text).toBe(`net:127.0.0.1:${portOf(one)}`);
  });

  it("listens at its own place", async () => {
    const transport = net({ port: 0, host: "127.0.0.1", external: ["a.example", "b.example"] });
    const listener = await transport.listen?.(transport.place as Section, () => {});
    if (listener?.bound === undefined) throw new Error("net listens and says where");
    listeners.push(listener);
    const { bound } = listener;
    const port = portOf(listener);
    const said = SCOPES.map((scope) =>
      transport.advertised?.(bound, scope).map(({ text }) => text),
    );
    expect(said).toEqual([
      [`net:127.0.0.1:${port}`],
      [],
      [],
      [`net:a.example:${port}`, `net:b.example:${port}`],
    ]);
  });

  it("gives the bound address for localhost and for no host", async () => {
    for (const place of ["net:localhost:0", "net::0"]) {
      const { section, local } = await listen(place);
      expect(isLoopback(section.args.slice(0, -1).join(":"))).toBe(true);
      expect(local).toBe(true);
    }
  });

  it("names a visitor over IPv4 plainly on a socket for both families", async ({ skip }) => {
    const arrived = deferred<Connection>();
    const listener = await listen("net::::0", arrived.resolve).catch(() => undefined);
    if (listener === undefined) return skip("no IPv6 here");
    const dialed = await net().dial(netSection("127.0.0.1", portOf(listener)), soon());
    opened.push(dialed);
    const accepted = await arrived.promise;
    expect(accepted.remote.text).toMatch(/^net:127\.0\.0\.1:\d+$/);
    expect(accepted.local).toBe(true);
  });

  it("goes on when an accept fails, and tells who asked", async () => {
    const told: Error[] = [];
    const arrived = deferred<Connection>();
    const listener = await listen("net:127.0.0.1:0", arrived.resolve, {
      onAcceptError: (error) => told.push(error),
    });
    const failure = Object.assign(new Error("accept EMFILE"), { code: "EMFILE" });
    serverOf(listener).emit("error", failure);
    expect(told).toEqual([failure]);
    opened.push(await net().dial(listener.section, soon()));
    await arrived.promise;
  });

  it("goes on when an accept fails and nobody asked", async () => {
    const arrived = deferred<Connection>();
    const listener = await listen("net:127.0.0.1:0", arrived.resolve);
    serverOf(listener).emit("error", new Error("accept EMFILE"));
    opened.push(await net().dial(listener.section, soon()));
    await arrived.promise;
  });

  it("drops who is gone before it was accepted", async () => {
    let accepted = 0;
    const listener = await listen("net:127.0.0.1:0", () => accepted++);
    const gone = new Socket();
    serverOf(listener).emit("connection", gone);
    expect(gone.destroyed).toBe(true);
    expect(accepted).toBe(0);
  });

  it("cuts a connection whose acceptance throws, and takes the next", async () => {
    const failure = new Error("cannot take it");
    const taken: Connection[] = [];
    const listener = await listen("net:127.0.0.1:0", (connection) => {
      taken.push(connection);
      if (taken.length === 1) throw failure;
    });
    // The reset may be there before the dialer knows that it was connected.
    const first = await net()
      .dial(listener.section, soon())
      .then(readAll)
      .catch((error) => error);
    expect(first.code).toMatch(/^(TRUNCATED|DIAL_REFUSED)$/);
    expect(await taken[0]?.closed).toBe(failure);
    const second = await net().dial(listener.section, soon());
    opened.push(second);
    second.write(pattern(5));
    await turns(1);
    expect(await new Reader(taken[1] as Connection).take(5)).toEqual(pattern(5));
  });
});

describe("a connection", () => {
  it("reports a reset with its cause", async () => {
    const { connection, socket } = await withRawSocket();
    const reading = failureOf(readAll(connection));
    socket.resetAndDestroy();
    const error = await reading;
    expect(error).toMatchObject({
      code: "TRUNCATED",
      address: connection.remote.text,
      cause: { code: "ECONNRESET" },
    });
    expect(await connection.closed).toBe(error);
  });

  it("reports a write into nowhere, and throws nothing", async () => {
    const { connection, socket } = await withRawSocket();
    socket.destroy();
    const chunk = pattern(65_536);
    while (connection.write(chunk) || connection.write(chunk)) await turns(1);
    await connection.drain();
    for (let over = false; !over; ) {
      connection.write(chunk);
      over = await Promise.race([connection.closed.then(() => true), turns(1).then(() => false)]);
    }
    expect(await connection.closed).toMatchObject({ code: "TRUNCATED" });
    expect(connection.write(chunk)).toBe(false);
  });

  it("is over without error when both sides have ended", async () => {
    const { connection, socket } = await withRawSocket();
    socket.resume();
    socket.end("bye");
    expect(await readAll(connection)).toEqual(new TextEncoder().encode("bye"));
    await connection.end();
    expect(await connection.closed).toBeUndefined();
  });

  it("says all it had to say when it is aborted after its end", async () => {
    const { connection, socket } = await withRawSocket();
    const chunks: Buffer[] = [];
    const ended = new Promise<void>((resolve) => socket.once("end", resolve));
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    connection.write(pattern(100));
    await connection.end();
    connection.abort(new Error("no patience for the other side's end"));
    await ended;
    expect(new Uint8Array(Buffer.concat(chunks))).toEqual(pattern(100));
  });

  it("hears the end while its own writes wait", async () => {
    const { connection, socket } = await withRawSocket();
    const chunk = pattern(65_536);
    // More than the kernel takes from a reader that does not read.
    for (let i = 0; i < 200; i++) connection.write(chunk);
    socket.end("done");
    expect(await readAll(connection)).toEqual(new TextEncoder().encode("done"));
  });
});
