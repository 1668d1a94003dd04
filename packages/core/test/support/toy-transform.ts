/**
 * Toy transform: a greeting of two bytes each way, then bytes shifted by a number, in boxes of `u8 length`.
 *
 * A box of length 0 is the goodbye, where it has one. Good for seeing what a chain does with its parts.
 */

import { section } from "../../src/address.ts";
import { concat } from "../../src/bytes.ts";
import { networkError } from "../../src/errors.ts";
import type { Session, Transform } from "../../src/transform.ts";

const MAX_PLAIN = 255;

export interface ToyOptions {
  readonly name?: string;
  readonly shift?: number;
  /** What it says it proved; default: nothing. */
  readonly key?: Uint8Array;
  readonly auth?: unknown;
  readonly goodbye?: boolean;
  readonly exports?: boolean;
}

export function toySession(options: ToyOptions = {}): Session {
  const { shift = 1, key, auth, goodbye = true, exports = false } = options;
  let rest: Uint8Array = new Uint8Array(0);
  let ended = !goodbye;
  const session = {
    remoteKey: key,
    auth,
    boxBytes: MAX_PLAIN,
    seal(plain: readonly Uint8Array[]): Uint8Array[] {
      const bytes = concat(...plain);
      const sealed: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += MAX_PLAIN) {
        const box = bytes.subarray(at, at + MAX_PLAIN);
        sealed.push(
          Uint8Array.of(box.length),
          box.map((byte) => byte + shift),
        );
      }
      return sealed;
    },
    open(chunk: Uint8Array): Uint8Array[] {
      rest = concat(rest, chunk);
      const opened: Uint8Array[] = [];
      for (let length = rest[0]; length !== undefined && rest.length > length; length = rest[0]) {
        if (length === 0 && (ended || !goodbye)) {
          throw networkError("FRAME_MALFORMED", "an empty box");
        }
        if (length === 0) ended = true;
        else opened.push(rest.slice(1, 1 + length).map((byte) => byte - shift));
        rest = rest.subarray(1 + length);
      }
      return opened;
    },
    get ended() {
      return ended;
    },
  };
  return Object.defineProperties(session, {
    ...(goodbye ? { end: { value: () => Uint8Array.of(0) } } : {}),
    ...(exports ? { exportKey: { value: () => new Uint8Array(32).fill(shift) } } : {}),
  });
}

export function toy(options: ToyOptions = {}): Transform {
  const { name = "toy", key } = options;
  return {
    name,
    authenticates: key !== undefined,
    section: () => section(name),
    async handshake(wire) {
      wire.write(Uint8Array.of(7, 7));
      const greeting = await wire.read(2);
      if (greeting[0] !== 7) throw new Error("not a toy");
      return toySession(options);
    },
  };
}
