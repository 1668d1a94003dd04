/**
 * Socket file: how a listening Unix socket gets its name in the file system, and how that is taken away.
 *
 * The socket is bound in a folder of its own that only we may enter, made private there, and then linked to
 * its path. So nobody can dial it before its mode is right, without touching the process's umask; taking the
 * path fails when somebody else has it; and Node, which removes the name it has bound, never removes a file
 * that another process has put there since. Tools that list sockets show the name of that folder.
 */

import { chmod, link, lstat, mkdir, rename, rm, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { asError, systemRuntime } from "@testudo/core";
import { connectUnix } from "./dial.ts";
import { lengthProblem } from "./path.ts";

/** How often the path is fought for: each time a stale file was removed, or a folder's name was taken. */
const ATTEMPTS = 10;

/** A socket file that is in its place. */
export interface SocketFile {
  /** Removes it if it is still ours. Idempotent; never rejects, since the next listener finds a stale file by itself. */
  remove(): Promise<void>;
}

/**
 * Lets `bind` listen under another name, and then puts the socket at `path`, mode 0600. A socket file that
 * nobody serves any more is replaced; one that is served, and whatever is no socket, is left alone and an
 * error says so. Rejects with the system's error otherwise; the caller then closes what `bind` opened.
 */
export async function placeSocket(
  path: string,
  bind: (path: string) => Promise<void>,
): Promise<SocketFile> {
  const nook = await makeNook(path);
  try {
    const made = join(nook, "s");
    await bind(made);
    await chmod(made, 0o600);
    const own = await lstat(made, { bigint: true });
    await take(path, made, nook);
    return {
      async remove() {
        const now = await lstat(path, { bigint: true }).catch(asError);
        if (now instanceof Error || now.ino !== own.ino || now.dev !== own.dev) return;
        await unlink(path).catch(asError);
      },
    };
  } finally {
    await rm(nook, { recursive: true, force: true });
  }
}

/** An empty folder beside `path`, for this process alone. Its name is no longer than `socket`'s would be. */
async function makeNook(path: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const nook = join(dirname(path), `.${randomName()}`);
    const problem = lengthProblem(join(nook, "s"), process.platform);
    if (problem !== undefined)
      throw new Error(`${basename(path)} is in too long a folder: ${problem}`);
    try {
      await mkdir(nook, { mode: 0o700 });
      return nook;
    } catch (error) {
      if (!is(error, "EEXIST") || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Three characters. */
function randomName(): string {
  return Buffer.from(systemRuntime.randomBytes(2)).toString("base64url");
}

async function take(path: string, made: string, nook: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await link(made, path);
    } catch (error) {
      if (!is(error, "EEXIST") || attempt === ATTEMPTS) throw error;
    }
    await removeStale(path, join(nook, "o"));
  }
}

/** Two probes: what was stale at `path` may be another process's new socket by the time it is moved. */
async function removeStale(path: string, aside: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSocket()) {
      throw new Error("something is there that is no socket; it was not touched");
    }
    if (await isServed(path)) throw served();
    await rename(path, aside);
  } catch (error) {
    if (is(error, "ENOENT")) return;
    throw error;
  }
  if (!(await isServed(aside))) return unlink(aside);
  await link(aside, path).catch(asError);
  throw served();
}

function served(): Error {
  return new Error("another process serves it, or another listener of this one");
}

/** Whether somebody answers. Rejects when that cannot be found out, as for a socket of another user. */
async function isServed(path: string): Promise<boolean> {
  try {
    const socket = await connectUnix(path, { signal: new AbortController().signal });
    socket.destroy();
    return true;
  } catch (error) {
    if (is(error, "ECONNREFUSED")) return false;
    // Its queue is full: it lives.
    if (is(error, "EAGAIN")) return true;
    throw error;
  }
}

function is(error: unknown, code: string): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === code;
}
