/**
 * Keys: how a shared password becomes the key of a crypt, by the conventions around kcp-go (PBKDF2 with HMAC-SHA1).
 *
 * kcp-go itself takes a key; its README derives one in one way, kcptun in another, and both ends must do the same. It takes a few
 * milliseconds, once per transport. Node only.
 */

import { pbkdf2Sync } from "node:crypto";

export interface KcpgoKeyOptions {
  /** Default `demo salt`, as in kcp-go's README. */
  salt?: string;
  /** Default 1024. */
  iterations?: number;
  /** Length of the key. Default 32, which is enough for every crypt. */
  bytes?: number;
}

const README: Readonly<Required<KcpgoKeyOptions>> = {
  salt: "demo salt",
  iterations: 1024,
  bytes: 32,
};

/** As kcptun does it: `kcpgoKey(password, KCPTUN_KEY)`. */
export const KCPTUN_KEY: Readonly<KcpgoKeyOptions> = { salt: "kcp-go", iterations: 4096 };

/** Not so many that a slip of the hand stops the process for an hour. */
const MAX_ITERATIONS = 10_000_000;
const MAX_KEY_BYTES = 1024;

/** `TypeError` for an empty password, `RangeError` for numbers that are not whole or out of 1..10^7 and 1..1024. */
export function kcpgoKey(password: string, options: KcpgoKeyOptions = {}): Uint8Array {
  const { salt = README.salt, iterations = README.iterations, bytes = README.bytes } = options;
  if (typeof password !== "string" || password === "") {
    throw new TypeError("password must be a text that is not empty");
  }
  checkWhole("iterations", iterations, MAX_ITERATIONS);
  checkWhole("bytes", bytes, MAX_KEY_BYTES);
  return new Uint8Array(pbkdf2Sync(password, salt, iterations, bytes, "sha1"));
}

function checkWhole(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new RangeError(`${name} must be a whole number from 1 to ${most}`);
  }
}
