/** `onion` through a SOCKS5 server that somebody else wrote: Debian's microsocks. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import {
  type Connection,
  deferred,
  EMPTY,
  equal,
  hostAndPort,
  type Listener,
  type Section,
  section,
} from "@testudo/core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import {
  echo,
  failureOf,
  pattern,
  Reader,
  readAll,
  writeAll,
} from "../../../test/support/traffic.ts";
import { connectTcp } from "../src/net/dial.ts";
import { net } from "../src/net/index.ts";
import { type OnionOptions, onion } from "../src/onion/index.ts";
import { connectThrough } from "../src/onion/proxy.ts";
import { Socks5 } from "../src/onion/socks5.ts";

const TIMEOUT_MS = 20_000;
const USER = "somebody";
const PASSWORD = "not a secret";
const installed = spawnSync("microsocks", ["-h"]).error === undefined;
const hasIpv6 = Object.values(networkInterfaces()).some((infos) =>
  infos?.some((info) => info.address === "::1"),
);

if (!installed) it.skip("skipped: microsocks is not installed; .ci/run installs it", () => {});

describe.skipIf(!installed)("onion through microsocks", () => {
  expectNoLeaks();

  const opened: Connection[] = [];
  const listeners: Listener[] = [];
  const children: ChildProcess[] = [];
  let open = "";
  let guarded = "";

  beforeAll(async () => {
    [open, guarded] = await Promise.all([start(), start("-u", USER, "-P", PASSWORD)]);
  }, TIMEOUT_MS);
  afterEach(async () => {
    for (const connection of opened.splice(0)) connection.abort(new Error("over"));
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  });
  afterAll(async () => {
    for (const child of children.splice(0)) {
      const gone = once(child, "exit");
      child.kill();
      await gone;
    }
  });

  /** A proxy of its own; gives its place once it answers. */
  async function start(...flags: readonly string[]): Promise<string> {
    const free = await listen();
    const { port } = hostAndPort(free.section);
    await free.close();
    const child = spawn("microsocks", ["-i", "127.0.0.1", "-p", String(port), ...flags], {
      stdio: "ignore",
    });
    children.push(child);
    for (;;) {
      if (child.exitCode !== null) throw new Error("microsocks has ended");
      try {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        (await connectTcp({ host: "127.0.0.1", port }, { signal })).destroy();
        return `127.0.0.1:${port}`;
      } catch {
        // It says nothing when it is ready.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }

  async function listen(
    accept: (connection: Connection) => void = (connection) => void echo(connection),
    host: string = "127.0.0.1",
  ): Promise<Listener> {
    const listener = await net().listen?.(section("net", ...host.split(":"), "0"), (connection) => {
      opened.push(connection);
      accept(connection);
    });
    if (listener === undefined) throw new Error("net can listen");
    listeners.push(listener);
    return listener;
  }

  async function dial(target: Section, options: OnionOptions = {}): Promise<Connection> {
    const { signal } = new AbortController();
    const transport = onion({ proxy: open, isolate: false, ...options });
    const connection = await transport.dial(target, { signal });
    opened.push(connection);
    return connection;
  }

  const at = (host: string, { section: { args } }: Listener): Section =>
    section("onion", ...host.split(":"), args.at(-1) ?? "");

  it.each([1, 1_460, 65_537, 1_048_576])("echoes %i bytes, by name", async (size) => {
    const connection = await dial(at("localhost", await listen()));
    const sent = pattern(size, size);
    const reading = new Reader(connection).take(size);
    await writeAll(connection, [sent]);
    expect(equal(await reading, sent)).toBe(true);
  });

  it.each(["127.0.0.1", ...(hasIpv6 ? ["::1"] : [])])("reaches %s", async (host) => {
    const listener = await listen(undefined, host);
    const connection = await dial(at(host, listener));
    connection.write(pattern(9));
    expect(await new Reader(connection).take(9)).toEqual(pattern(9));
  });

  it("brings what was written before an end, and then ends both directions", async () => {
    const connection = await dial(
      at(
        "localhost",
        await listen((accepted) => {
          accepted.write(pattern(300_000));
          void accepted.end();
        }),
      ),
    );
    expect(equal(await readAll(connection), pattern(300_000))).toBe(true);
    await connection.close();
    expect(await connection.closed).toBeUndefined();
  });

  it("lets the other side know that it is over when it aborts", async () => {
    const arrived = deferred<Connection>();
    const connection = await dial(at("localhost", await listen(arrived.resolve)));
    const reading = readAll(await arrived.promise).catch(() => EMPTY);
    connection.abort(new Error("enough"));
    expect((await reading).length).toBe(0);
  });

  it("says what the proxy says", async () => {
    const gone = await listen();
    await gone.close();
    const target = at("127.0.0.1", gone);
    expect(await failureOf(dial(target))).toMatchObject({
      code: "DIAL_REFUSED",
      address: target.text,
      message: expect.stringContaining("nobody listens there"),
    });
  });

  it("does not go on without isolation that was asked for", async () => {
    const listener = await listen();
    for (const isolate of ["host", "stream"] as const) {
      expect(await failureOf(dial(at("localhost", listener), { isolate }))).toMatchObject({
        code: "DIAL_REFUSED",
        message: expect.stringContaining("isolate: false"),
      });
    }
    expect(await failureOf(dial(at("localhost", listener), { proxy: guarded }))).toMatchObject({
      message: expect.stringContaining("wants a username and a password"),
    });
  });

  it("shows a username and a password as the proxy wants them", async () => {
    const target = at("localhost", await listen());
    const through = async (password: string): Promise<Connection> => {
      const { signal } = new AbortController();
      const [host = "", port] = guarded.split(":");
      const socket = await connectTcp({ host, port: Number(port) }, { signal });
      const machine = new Socks5(hostAndPort(target), { username: USER, password });
      return connectThrough(socket, machine, target, signal);
    };
    const connection = await through(PASSWORD);
    opened.push(connection);
    connection.write(pattern(9));
    expect(await new Reader(connection).take(9)).toEqual(pattern(9));
    expect(await failureOf(through("a guess"))).toMatchObject({
      code: "DIAL_REFUSED",
      message: expect.stringContaining("does not take that username"),
    });
  });
});
