/**
 * The long-term keys that `shs` shows: a node's own, or a pair as multiserver's programs keep them.
 *
 * Spec: the forms are those of multiserver's `shs({ keys })` and of the file that ssb-keys writes. Whatever
 * the form, both halves must belong together. No message shows any of it.
 */

import { equal, fromBase64, Identity } from "@testudo/core";
import { curveAgreement } from "./curve.ts";
import type { LongTermKeys } from "./handshake.ts";

/** As libsodium makes it: 32 bytes, and 64 of which the latter half is the public key again. */
export interface SodiumKeys {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** As ssb-keys keeps it: base64 with `.ed25519` behind it, the id with `@` before it. */
export interface SsbKeys {
  readonly curve: "ed25519";
  readonly public: string;
  readonly private: string;
  readonly id?: string;
}

export type ShsKeys = Identity | SodiumKeys | SsbKeys;

const PUBLIC_BYTES = 32;
const SECRET_BYTES = 64;

/** Throws `TypeError` for anything else, and for halves that do not belong together. */
export function readKeys(keys: ShsKeys): Identity {
  if (keys instanceof Identity) return keys;
  if (typeof keys !== "object" || keys === null) throw wrong("");
  if ("publicKey" in keys) {
    return fromHalves(keys.publicKey, keys.secretKey);
  }
  if (!("curve" in keys)) throw wrong("");
  if (keys.curve !== "ed25519") throw wrong(": only the curve ed25519 will do");
  const publicKey = readText(keys.public);
  if (keys.id !== undefined && keys.id !== `@${keys.public}`) {
    throw wrong(": the id is not that of the public key");
  }
  return fromHalves(publicKey, readText(keys.private));
}

function fromHalves(publicKey: unknown, secretKey: unknown): Identity {
  if (!isBytes(publicKey, PUBLIC_BYTES) || !isBytes(secretKey, SECRET_BYTES)) {
    throw wrong(
      `: the public key must be ${PUBLIC_BYTES} bytes and the secret one ${SECRET_BYTES}`,
    );
  }
  let identity: Identity;
  try {
    identity = Identity.fromSecret(secretKey);
  } catch {
    throw wrong(": the halves of the secret key do not belong together");
  }
  if (!equal(identity.publicKey, publicKey)) {
    throw wrong(": the public key is not that of the secret key");
  }
  return identity;
}

function isBytes(given: unknown, length: number): given is Uint8Array {
  return given instanceof Uint8Array && given.length === length;
}

function readText(given: unknown): Uint8Array | undefined {
  return typeof given === "string" ? fromBase64(given.replace(/\.ed25519$/, "")) : undefined;
}

function wrong(why: string): TypeError {
  return new TypeError(
    `shs keys must be an Identity, { publicKey, secretKey } or what ssb-keys loads${why}`,
  );
}

/** Converting a secret costs a hash and a key import, so each identity's is kept as long as the identity. */
const converted: WeakMap<Identity, LongTermKeys> = /* @__PURE__ */ new WeakMap();

/** Both forms of a node's keys. */
export function longTermKeys(identity: Identity): LongTermKeys {
  let keys = converted.get(identity);
  if (keys === undefined) {
    const secret = identity.secret();
    keys = {
      publicKey: identity.publicKey,
      sign: (message) => identity.sign(message),
      agreement: curveAgreement(secret.subarray(0, PUBLIC_BYTES)),
    };
    secret.fill(0);
    converted.set(identity, keys);
  }
  return keys;
}
