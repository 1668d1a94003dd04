/**
 * Secret files: short ones that nobody but their owner should read.
 *
 * It warns of a file that others may read, and reads it all the same. No message here shows what is in it.
 */

import { open } from "node:fs/promises";

/** No identity and no password needs more. */
const MAX_FILE_BYTES = 4_096;

/**
 * The bytes of a file; of one longer than 4,096 bytes the first 4,097, which is for the caller to refuse.
 * `warn` hears of a file that others may read. Rejects with what the system says.
 */
export async function readSecretFile(
  file: string,
  warn: (text: string) => void,
): Promise<Uint8Array> {
  const handle = await open(file, "r");
  try {
    const { mode } = await handle.stat();
    const buffer = new Uint8Array(MAX_FILE_BYTES + 1);
    let length = 0;
    // A pipe gives what it has, and more when asked again.
    for (let bytesRead = -1; bytesRead !== 0 && length < buffer.length; length += bytesRead) {
      ({ bytesRead } = await handle.read(buffer, length, buffer.length - length));
    }
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      warn(`others may read ${file}; keep it to yourself: chmod 600 ${file}`);
    }
    return buffer.subarray(0, length);
  } finally {
    await handle.close();
  }
}

/** Whether a file was longer than any secret is. */
export function tooLong(bytes: Uint8Array): boolean {
  return bytes.length > MAX_FILE_BYTES;
}
