/**
 * Paths of Unix sockets: their text in a section, how long they may be, and what Windows makes of them.
 * Pure functions; nothing here touches the file system.
 */

import { networkError, type Section, section } from "@testudo/core";

/** Bytes of a path that fit into the system's `sockaddr_un` with the zero behind them. */
const LINUX_PATH_BYTES = 107;
const BSD_PATH_BYTES = 103;

const PIPE_NAME = /^\\\\[.?]\\pipe\\/;

/** `unix:/run/node/socket`: colons stand bare, as multiserver prints them. */
export function unixSection(path: string): Section {
  return section("unix", ...path.split(":"));
}

/** The path of a section. Throws `AddressError` when it is missing, empty or longer than `platform` takes. */
export function pathOf(from: Section, platform: NodeJS.Platform = process.platform): string {
  const path = from.args.join(":");
  if (path === "") throw malformed(from, "unix needs a PATH");
  const problem = lengthProblem(path, platform);
  if (problem !== undefined) throw malformed(from, problem);
  return path;
}

/** Why the path is too long for a socket, if it is. Windows has no such limit. */
export function lengthProblem(path: string, platform: NodeJS.Platform): string | undefined {
  if (platform === "win32") return undefined;
  const most = platform === "linux" ? LINUX_PATH_BYTES : BSD_PATH_BYTES;
  const bytes = Buffer.byteLength(path);
  if (bytes <= most) return undefined;
  return `a socket's path has at most ${most} bytes on this system, and this one has ${bytes}`;
}

/** What the system is given: on Windows a name of its pipes, which are no files; elsewhere the path as it is. */
export function systemPath(path: string, platform: NodeJS.Platform = process.platform): string {
  return platform !== "win32" || PIPE_NAME.test(path) ? path : `\\\\?\\pipe\\${path}`;
}

function malformed(from: Section, why: string): Error {
  return networkError("ADDRESS_MALFORMED", `${from.text} cannot be used: ${why}`, {
    address: from.text,
  });
}
