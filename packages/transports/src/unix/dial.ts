/**
 * Dialling a Unix socket. Also what a failed call on one means to a person. Never retries.
 */

import { createConnection, type Socket } from "node:net";
import type { DialOptions } from "@testudo/core";
import { SOCKET_HIGH_WATER_BYTES } from "../net/connection.ts";
import { meaningOf } from "../net/host.ts";

/**
 * A connected socket, half-open, whose errors are heard until its new owner listens; that must be in the same
 * turn. `path` is what the system takes. Rejects with the system's error, or with the signal's reason;
 * nothing is left open then.
 */
export function connectUnix(path: string, options: DialOptions): Promise<Socket> {
  const { signal, stage } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    stage?.("connect");
    const how = {
      path,
      allowHalfOpen: true,
      highWaterMark: SOCKET_HIGH_WATER_BYTES,
    };
    const socket = createConnection(how);
    // Stays: an error may follow the one that ends it here, or come before the new owner listens.
    socket.on("error", () => {});
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", fail);
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("error", fail);
      resolve(socket);
    });
  });
}

const MEANINGS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there any more",
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a folder on the way is a file",
  EACCES: "not allowed to use that file or folder",
  EPERM: "not allowed to use that file or folder",
  EROFS: "that folder cannot be written to",
  EAGAIN: "too many wait to be accepted there",
  EPROTOTYPE: "what listens there takes datagrams",
};

/** `nobody listens there any more (ECONNREFUSED)`. */
export function unixMeaningOf(error: unknown): string {
  const code =
    typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const meaning = MEANINGS[code];
  return meaning === undefined ? meaningOf(error) : `${meaning} (${code})`;
}
