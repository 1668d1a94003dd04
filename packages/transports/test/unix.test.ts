import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { type Connection, deferred, type Listener, type Section } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import {
  echo,
  failureOf,
  isPending,
  pattern,
  Reader,
  readAll,
  turns,
} from "../../../test/support/traffic.ts";
import { type UnixOptions, unix } from "../src/unix/index.ts";
import { pathOf, unixSection } from "../src/unix/path.ts";

expectNoLeaks();

const opened: { abort(reason: Error): void }[] = [];
const listeners: Listener[] = [];
const raw: (Socket | Server)[] = [];
const children: ChildProcess[] = [];
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "testudo-"));
});
afterEach(async () => {
  for (const connection of opened.splice(0)) connection.abort(new Error("over"));
  for (const each of raw.splice(0)) "destroy" in each ? each.destroy() : each.close();
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  await Promise.all(children.splice(0).map(kill));
  rmSync(folder, { recursive: true, force: true });
});

const soon = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });
const at = (name: string): Section => unixSection(join(folder, name));
const modeOf = (path: string): number => lstatSync(path).mode & 0o777;

async function listen(
  place: Section,
  accept: (connection: Connection) => void = () => {},
  options: UnixOptions = {},
): Promise<Listener> {
  const listener = await unix(options).listen?.(place, (connection) => {
    opened.push(connection);
    accept(connection);
  });
  if (listener === undefined) throw new Error("unix can listen");
  listeners.push(listener);
  return listener;
}

async function dial(to: Section): Promise<Connection> {
  const connection = await unix().dial(to, soon());
  opened.push(connection);
  return connection;
}

const echoing = (connection: Connection): void => void echo(connection);

/** Fails unless an echoing listener is there. */
async function expectEcho(at: Section): Promise<void> {
  const dialed = await dial(at);
  dialed.write(pattern(100));
  expect(await new Reader(dialed).take(100)).toEqual(pattern(100));
}

/** A server without Testudo. */
async function foreignServer(path: string): Promise<Server> {
  const server = createServer((socket) => raw.push(socket)).listen(path);
  raw.push(server);
  await once(server, "listening");
  return server;
}

/** A socket file whose server is gone, as a crash leaves it. */
async function staleFile(path: string): Promise<void> {
  const made = `${path}.made`;
  const server = await foreignServer(made);
  renameSync(made, path);
  server.close();
}

/** Another process that listens at `path`. */
async function foreignProcess(path: string, backlog: number): Promise<ChildProcess> {
  const code = `require("node:net").createServer().listen({ path: process.argv[1], backlog: ${backlog} },
    () => console.log("ready"))`;
  const child = spawn(process.execPath, ["-e", code, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

describe("options", () => {
  it("refuses what makes no sense", () => {
    expect(() => unix({ path: "" })).toThrow(TypeError);
    expect(() => unix({ path: true as unknown as string })).toThrow("path");
    expect(() => unix({ backlog: 0 })).toThrow("backlog");
    expect(() => unix({ onAcceptError: 1 as unknown as () => void })).toThrow(TypeError);
    expect(() => unix({ path: `/${"x".repeat(120)}` })).toThrow("at most");
  });

  it("says where to listen, as multiserver means path", () => {
    expect(unix().place).toBeUndefined();
    expect(unix({ path: "/run/node" }).place?.text).toBe("unix:/run/node/socket");
  });

  it("makes the folder of its own place for this user alone, and no other", async () => {
    const path = join(folder, "deep", "er");
    const { place } = unix({ path });
    const listener = await listen(place as Section, () => {}, { path });
    expect(listener.section.text).toBe(`unix:${path}/socket`);
    expect(modeOf(path)).toBe(0o700);
    expect(existsSync(join(path, "socket"))).toBe(true);
    expect(await failureOf(listen(at("missing/socket"), () => {}, { path }))).toMatchObject({
      code: "LISTEN_FAILED",
      cause: { code: "ENOENT" },
      message: expect.stringContaining("there is no such file or folder"),
    });
  });

  it("is advertised to this machine alone", async () => {
    const listener = await listen(at("socket"));
    const { advertised } = unix();
    expect(advertised?.(listener.section, "device")).toEqual([listener.section]);
    for (const scope of ["local", "private", "public"] as const) {
      expect(advertised?.(listener.section, scope)).toEqual([]);
    }
  });
});

describe("the socket file", () => {
  it("is for this user alone, and nothing else stays beside it", async () => {
    const mask = process.umask();
    await listen(at("socket"));
    expect(lstatSync(join(folder, "socket")).isSocket()).toBe(true);
    expect(modeOf(join(folder, "socket"))).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["socket"]);
    expect(process.umask()).toBe(mask);
  });

  it("goes when the listener closes, for each of several by itself", async () => {
    const one = await listen(at("one"));
    const two = await listen(at("two"), echoing);
    expect(readdirSync(folder)).toEqual(["one", "two"]);
    await one.close();
    await one.close();
    expect(readdirSync(folder)).toEqual(["two"]);
    await expectEcho(two.section);
  });

  it("stays when it is another's by then", async () => {
    const listener = await listen(at("socket"));
    unlinkSync(join(folder, "socket"));
    const successor = await listen(at("socket"), echoing);
    await listener.close();
    await expectEcho(successor.section);
  });

  it("may be gone already when the listener closes", async () => {
    const listener = await listen(at("socket"));
    unlinkSync(join(folder, "socket"));
    await listener.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("has a whole path, whatever was asked", async () => {
    const path = join(folder, "socket");
    const arrived = deferred<Connection>();
    const asked = unixSection(relative(process.cwd(), path));
    const listener = await listen(asked, arrived.resolve);
    expect(listener.section.text).toBe(`unix:${path}`);
    const dialed = await dial(asked);
    expect(dialed.remote).toBe(asked);
    expect((await arrived.promise).remote).toBe(listener.section);
  });

  it("fits, or the error says what is too long", async () => {
    const deep = join(folder, "d".repeat(99 - folder.length));
    mkdirSync(deep);
    await listen(unixSection(join(deep, "socket")));
    const tight = join(folder, "e".repeat(103 - folder.length));
    mkdirSync(tight);
    expect(await failureOf(listen(unixSection(join(tight, "s"))))).toMatchObject({
      code: "LISTEN_FAILED",
      message: expect.stringContaining("too long a folder"),
    });
  });
});

describe("a path that is taken", () => {
  it("is taken over from a server that is gone", async () => {
    await staleFile(join(folder, "socket"));
    expect(await failureOf(dial(at("socket")))).toMatchObject({ cause: { code: "ECONNREFUSED" } });
    const listener = await listen(at("socket"), echoing);
    await expectEcho(listener.section);
    expect(readdirSync(folder)).toEqual(["socket"]);
  });

  it("is taken over from a process that was killed", async () => {
    const child = await foreignProcess(join(folder, "socket"), 5);
    expect(await failureOf(listen(at("socket")))).toMatchObject({
      code: "LISTEN_FAILED",
      message: expect.stringContaining("another process serves it"),
    });
    await kill(child);
    const listener = await listen(at("socket"), echoing);
    await expectEcho(listener.section);
  });

  it("is not taken from a process that is stopped with a full queue", async () => {
    const path = join(folder, "socket");
    const child = await foreignProcess(path, 1);
    child.kill("SIGSTOP");
    let full = false;
    while (!full) {
      const socket = connect(path);
      raw.push(socket);
      full = await Promise.race([
        once(socket, "connect").then(() => false),
        once(socket, "error").then(([error]) => error.code === "EAGAIN"),
      ]).catch((error: NodeJS.ErrnoException) => error.code === "EAGAIN");
    }
    expect(await failureOf(dial(at("socket")))).toMatchObject({
      code: "DIAL_REFUSED",
      message: expect.stringContaining("too many wait"),
    });
    expect(await failureOf(listen(at("socket")))).toMatchObject({
      code: "LISTEN_FAILED",
      message: expect.stringContaining("another process serves it"),
    });
    expect(lstatSync(path).isSocket()).toBe(true);
  });

  it("is won by one of several that want it at once", async () => {
    await staleFile(join(folder, "socket"));
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, () => listen(at("socket"), echoing)),
    );
    const won = tries.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const lost = tries.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
    expect(won.length).toBe(1);
    for (const error of lost) expect(error).toMatchObject({ code: "LISTEN_FAILED" });
    await expectEcho((won[0] as Listener).section);
    expect(readdirSync(folder)).toEqual(["socket"]);
  });

  it("is left alone when it is no socket", async () => {
    writeFileSync(join(folder, "file"), "precious");
    mkdirSync(join(folder, "folder"));
    symlinkSync(join(folder, "nowhere"), join(folder, "symlink"));
    for (const name of ["file", "folder", "symlink"]) {
      expect(await failureOf(listen(at(name)))).toMatchObject({
        code: "LISTEN_FAILED",
        address: at(name).text,
        message: expect.stringContaining("no socket"),
      });
    }
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("precious");
    expect(readdirSync(folder).toSorted()).toEqual(["file", "folder", "symlink"]);
  });
});

describe("dialling", () => {
  it("says what is wrong, and keeps the system's error", async () => {
    expect(await failureOf(dial(at("nobody")))).toMatchObject({
      code: "DIAL_REFUSED",
      address: at("nobody").text,
      cause: { code: "ENOENT" },
      message: expect.stringContaining("no such file"),
    });
    writeFileSync(join(folder, "file"), "");
    expect(await failureOf(dial(at("file/socket")))).toMatchObject({ cause: { code: "ENOTDIR" } });
    expect(await failureOf(dial(at("file")))).toMatchObject({ cause: { code: "ECONNREFUSED" } });
  });

  it("tells that it connects", async () => {
    const { section } = await listen(at("socket"));
    const stages: string[] = [];
    opened.push(await unix().dial(section, { ...soon(), stage: (stage) => stages.push(stage) }));
    expect(stages).toEqual(["connect"]);
  });
});

describe("listening", () => {
  it("cuts a connection whose acceptance throws, and takes the next", async () => {
    const failure = new Error("cannot take it");
    const taken: Connection[] = [];
    const { section } = await listen(at("socket"), (connection) => {
      taken.push(connection);
      if (taken.length === 1) throw failure;
    });
    expect(await failureOf(readAll(await dial(section)))).toMatchObject({ code: "TRUNCATED" });
    expect(await taken[0]?.closed).toBe(failure);
    const second = await dial(section);
    second.write(pattern(5));
    await turns(2);
    expect(await new Reader(taken[1] as Connection).take(5)).toEqual(pattern(5));
  });

  it("goes on when an accept fails, and tells who asked", async () => {
    const told: Error[] = [];
    const listener = await listen(at("socket"), echoing, {
      onAcceptError: (error) => told.push(error),
    });
    const active = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
    const servers = active.filter((handle) => (handle as Server).listening) as Server[];
    const failure = Object.assign(new Error("accept EMFILE"), { code: "EMFILE" });
    servers.find((server) => typeof server.address() === "string")?.emit("error", failure);
    expect(told).toEqual([failure]);
    await expectEcho(listener.section);
  });
});

describe("a connection", () => {
  it("tells an end from a close that came without one", async () => {
    const ended = deferred<Connection>();
    const first = await listen(at("one"), ended.resolve);
    const polite = connect({ path: pathOf(first.section), allowHalfOpen: true });
    raw.push(polite);
    polite.end("bye");
    const connection = await ended.promise;
    expect(await readAll(connection)).toEqual(new TextEncoder().encode("bye"));
    expect(await isPending(connection.closed)).toBe(true);

    const cut = deferred<Connection>();
    const second = await listen(at("two"), cut.resolve);
    const rude = connect({ path: pathOf(second.section), allowHalfOpen: true });
    raw.push(rude);
    rude.write("bye", () => rude.destroy());
    expect(await failureOf(readAll(await cut.promise))).toMatchObject({
      code: "TRUNCATED",
      address: second.section.text,
    });
  });
});
