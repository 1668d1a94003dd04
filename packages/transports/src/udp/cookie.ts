/**
 * Cookies: how a listener learns that an address is real before it keeps anything about it.
 *
 * A cookie binds address, port, the dialer's id and a slot of time under a secret that never leaves this object.
 * The present slot and the one before it are accepted: a cookie lives for 10 to 20 seconds. No state per cookie;
 * it can be used again in its time, so who takes it must bear repetition.
 */

import { type Runtime, toUtf8, writeU32 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import type { Place } from "./place.ts";

/** A cookie lives for one to two of these. */
export const SLOT_MS = 10_000;
const SECRET_BYTES = 32;

export class Cookies {
  readonly #runtime: Runtime;
  readonly #secret: Uint8Array;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#secret = runtime.randomBytes(SECRET_BYTES);
  }

  /** 32 bytes, of which a protocol takes as many as it has room for. */
  make(place: Place, id: Uint8Array): Uint8Array {
    return this.#at(this.#slot(), place, id);
  }

  /** Whether `same` says, in constant time, that a cookie that is good now is the one that came. */
  verify(same: (cookie: Uint8Array) => boolean, place: Place, id: Uint8Array): boolean {
    const slot = this.#slot();
    return same(this.#at(slot, place, id)) || same(this.#at(slot - 1, place, id));
  }

  #slot(): number {
    return Math.floor(this.#runtime.now() / SLOT_MS);
  }

  #at(slot: number, { address, port }: Place, id: Uint8Array): Uint8Array {
    const numbers = new Uint8Array(8);
    writeU32(numbers, 0, slot);
    writeU32(numbers, 4, port);
    return provider.hmac("SHA256", this.#secret, numbers, id, toUtf8(address));
  }
}
