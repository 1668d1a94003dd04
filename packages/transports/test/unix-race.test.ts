/** What two processes can do to one socket path between two steps of ours, forced to happen. */

import { mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection, Listener } from "@testudo/core";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import { echo, failureOf, pattern, Reader } from "../../../test/support/traffic.ts";
import { unix } from "../src/unix/index.ts";
import { unixSection } from "../src/unix/path.ts";

/** Runs right before the next call of that name. */
const before = vi.hoisted(() => new Map<string, () => Promise<void> | void>());

vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:fs/promises")>();
  const wrapped = (name: "rename" | "link" | "lstat" | "mkdir") => {
    return async (...args: unknown[]): Promise<unknown> => {
      const step = before.get(name);
      before.delete(name);
      await step?.();
      return (real[name] as (...args: unknown[]) => Promise<unknown>)(...args);
    };
  };
  return {
    ...real,
    rename: wrapped("rename"),
    link: wrapped("link"),
    lstat: wrapped("lstat"),
    mkdir: wrapped("mkdir"),
  };
});

expectNoLeaks();

const opened: Connection[] = [];
const listeners: Listener[] = [];
let folder = "";
let path = "";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "testudo-"));
  path = join(folder, "socket");
  // A file whose server is gone: renamed, so that closing does not find it.
  const { close } = await listen();
  renameSync(path, `${path}.moved`);
  await close();
  renameSync(`${path}.moved`, path);
});
afterEach(async () => {
  for (const connection of opened.splice(0)) connection.abort(new Error("over"));
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  before.clear();
  rmSync(folder, { recursive: true, force: true });
});

async function listen(accept: (connection: Connection) => void = () => {}): Promise<Listener> {
  const listener = await unix().listen?.(unixSection(path), (connection) => {
    opened.push(connection);
    accept(connection);
  });
  if (listener === undefined) throw new Error("unix can listen");
  listeners.push(listener);
  return listener;
}

it("gives a socket back that was new by the time it was moved", async () => {
  before.set("rename", async () => {
    rmSync(path);
    await listen((connection) => void echo(connection));
  });
  expect(await failureOf(listen())).toMatchObject({
    code: "LISTEN_FAILED",
    message: expect.stringContaining("another process serves it"),
  });
  const dialed = await unix().dial(unixSection(path), { signal: new AbortController().signal });
  opened.push(dialed);
  dialed.write(pattern(9));
  expect(await new Reader(dialed).take(9)).toEqual(pattern(9));
  expect(readdirSync(folder)).toEqual(["socket"]);
});

it.each(["lstat", "rename"])("goes on when the stale file is gone before %s", async (step) => {
  // The first lstat is of what was just bound.
  before.set("link", () => {
    if (step === "lstat") before.set("lstat", () => rmSync(path));
  });
  if (step === "rename") before.set("rename", () => rmSync(path));
  await listen();
  expect(readdirSync(folder)).toEqual(["socket"]);
});

it("takes another name when that of its folder is taken", async () => {
  const taken = Object.assign(new Error("taken"), { code: "EEXIST" });
  before.set("mkdir", () => {
    throw taken;
  });
  await listen();
  expect(readdirSync(folder)).toEqual(["socket"]);
});
