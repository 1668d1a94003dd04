/**
 * File storage: what a plugin keeps over restarts, in a file. Node only.
 *
 *     kademlia({ storage: fileStorage("overlay.bin") })
 *
 * Written beside the file and renamed over it, so that a crash leaves the old content or the new one; of
 * two storages of one path what one of them wrote, never a mixture.
 */

import { randomUUID } from "node:crypto";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Storage } from "./storage.ts";

export type { Storage } from "./storage.ts";

/** What no plugin here ever writes is not read either. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Mode 0600. Throws `TypeError` unless `path` is a text. */
export function fileStorage(path: string): Storage {
  if (typeof path !== "string" || path === "") throw new TypeError("path must be a file's path");
  return {
    async load() {
      try {
        const { size } = await stat(path);
        if (size > MAX_BYTES) throw new RangeError(`${path} exceeds ${MAX_BYTES} bytes`);
        const bytes = await readFile(path);
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    save: (bytes) => write(path, bytes),
  };
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  // Of this call only: another storage of this path, or another thread, may write at the same time.
  const beside = `${path}.${process.pid}.${randomUUID()}.tmp`;
  try {
    const file = await open(beside, "wx", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes the renaming itself last. Not every system can, and the content is whole without. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  try {
    await folder?.sync();
  } catch {
    return;
  } finally {
    await folder?.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
