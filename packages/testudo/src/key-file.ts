/**
 * Identity files: `{"type":"ed25519","public":"…","secret":"…"}`, base64, mode 0600.
 *
 * `secret` is seed and public key, 64 bytes, as libsodium keeps them. A file is made whole or not at all,
 * and never overwritten. No message here shows what is in it.
 */

import { open, rm } from "node:fs/promises";
import { equal, fromBase64, Identity, toBase64 } from "@testudo/core";
import { CommandError, fileTrouble } from "./failure.ts";
import { readSecretFile } from "./secret-file.ts";

/** Where `key new` puts it unless told otherwise. */
export const DEFAULT_KEY_FILE = "testudo.key";

interface Fields {
  readonly type?: unknown;
  readonly public?: unknown;
  readonly secret?: unknown;
}

/** Throws `KEY_EXISTS` or `KEY_UNWRITABLE`. */
export async function writeKeyFile(file: string, identity: Identity): Promise<void> {
  const text = JSON.stringify({
    type: "ed25519",
    public: identity.id.text,
    secret: toBase64(identity.secret()),
  });
  const handle = await open(file, "wx", 0o600).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new CommandError(
        "KEY_EXISTS",
        `${file} exists already and is not overwritten; name another with --file, or remove it`,
      );
    }
    throw unwritable(file, error);
  });
  try {
    await handle.writeFile(`${text}\n`);
    await handle.sync();
  } catch (error) {
    await rm(file, { force: true });
    throw unwritable(file, error);
  } finally {
    await handle.close();
  }
}

/** Throws `KEY_UNREADABLE` or `KEY_MALFORMED`. `warn` hears of a file that others may read. */
export async function readKeyFile(file: string, warn: (text: string) => void): Promise<Identity> {
  const bytes = await readSecretFile(file, warn).catch((error: unknown) => {
    throw new CommandError(
      "KEY_UNREADABLE",
      `cannot read ${file}: ${fileTrouble(error)}; testudo key new --file ${file} makes one`,
      { cause: error },
    );
  });
  const fields = parsed(new TextDecoder().decode(bytes));
  const secret = typeof fields.secret === "string" ? fromBase64(fields.secret) : undefined;
  const open = typeof fields.public === "string" ? fromBase64(fields.public) : undefined;
  if (fields.type !== "ed25519" || secret?.length !== 64 || open?.length !== 32) {
    throw malformed(file);
  }
  let identity: Identity;
  try {
    identity = Identity.fromSecret(secret);
  } catch {
    throw malformed(file);
  }
  if (!equal(identity.publicKey, open)) throw malformed(file);
  return identity;
}

function parsed(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Fields) : {};
  } catch {
    return {};
  }
}

function malformed(file: string): CommandError {
  return new CommandError("KEY_MALFORMED", `${file} is not an identity file of testudo key new`);
}

function unwritable(file: string, error: unknown): CommandError {
  return new CommandError("KEY_UNWRITABLE", `cannot write ${file}: ${fileTrouble(error)}`, {
    cause: error,
  });
}
