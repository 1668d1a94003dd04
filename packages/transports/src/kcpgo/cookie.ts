/**
 * Cookies: how a listener learns that an address is real before it keeps anything about it.
 *
 * 63 bits that bind address, port, conv and a slot of time under a secret that never leaves this object; the
 * present slot and the one before it are accepted. No state per cookie: it can be used again in its time.
 */

import { type Runtime, readU32, toUtf8, writeU32 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import type { Place } from "../kcp/place.ts";
import type { Mark } from "./words.ts";

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

  make(place: Place, conv: number): Mark {
    return this.#at(this.#slot(), place, conv);
  }

  verify(mark: Mark, place: Place, conv: number): boolean {
    const slot = this.#slot();
    return same(mark, this.#at(slot, place, conv)) || same(mark, this.#at(slot - 1, place, conv));
  }

  #slot(): number {
    return Math.floor(this.#runtime.now() / SLOT_MS);
  }

  #at(slot: number, { address, port }: Place, conv: number): Mark {
    const numbers = new Uint8Array(12);
    writeU32(numbers, 0, slot);
    writeU32(numbers, 4, port);
    writeU32(numbers, 8, conv);
    const bytes = provider.hmac("SHA256", this.#secret, numbers, toUtf8(address));
    // Odd, so that it is neither what a live session says nor a refusal.
    return { sn: (readU32(bytes, 0) | 1) >>> 0, ts: readU32(bytes, 4) };
  }
}

/** In constant time. */
function same(a: Mark, b: Mark): boolean {
  return ((a.sn ^ b.sn) | (a.ts ^ b.ts)) === 0;
}
