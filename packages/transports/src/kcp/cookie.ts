/**
 * Cookies: how a listener learns that an address is real before it keeps anything about it.
 *
 * A cookie binds address, port, the dialer's connection id and a slot of time under a secret that never leaves
 * this object. The present slot and the one before it are accepted: a cookie lives for 10 to 20 seconds. No
 * state per cookie; it can be used again in its time, so who takes it must bear repetition.
 */

import { equal, type Runtime, toUtf8, writeU32 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { COOKIE_BYTES, type ConnectionId } from "./packet.ts";
import type { Place } from "./place.ts";

export const SLOT_MS = 10_000;
const SECRET_BYTES = 32;

export class Cookies {
  readonly #runtime: Runtime;
  readonly #secret: Uint8Array;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#secret = runtime.randomBytes(SECRET_BYTES);
  }

  make(place: Place, id: ConnectionId): Uint8Array {
    return this.#at(this.#slot(), place, id);
  }

  /** Compares in constant time. */
  verify(cookie: Uint8Array, place: Place, id: ConnectionId): boolean {
    const slot = this.#slot();
    return equal(cookie, this.#at(slot, place, id)) || equal(cookie, this.#at(slot - 1, place, id));
  }

  #slot(): number {
    return Math.floor(this.#runtime.now() / SLOT_MS);
  }

  #at(slot: number, { address, port }: Place, id: ConnectionId): Uint8Array {
    const numbers = new Uint8Array(8);
    writeU32(numbers, 0, slot);
    writeU32(numbers, 4, port);
    const parts = [numbers, id.bytes, toUtf8(address)];
    return provider.hmac("SHA256", this.#secret, ...parts).subarray(0, COOKIE_BYTES);
  }
}
