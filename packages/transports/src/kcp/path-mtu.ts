/**
 * Path MTU: how large datagrams may be, found by asking (RFC 8899 in spirit). A machine: it says what to
 * probe and when, and is told what came back.
 *
 * Starts at 1,200 bytes, which every path of IPv6 and nearly every one of IPv4 carries. A size that three
 * probes did not get through is tried again only after ten minutes. When nothing gets through any more, it
 * falls back, and below 1,200 to what IPv4 promises.
 */

import { equal } from "@testudo/core";
import { LEAST_MTU, NONCE_BYTES } from "./packet.ts";

export const SAFE_MTU = 1_200;
const TRIES = 3;
const TRY_MS = 500;
const AGAIN_MS = 600_000;
/** After a fall: what fell may have been the path as a whole. */
const AFTER_FALL_MS = 10_000;

export interface Probe {
  readonly size: number;
  readonly nonce: Uint8Array;
}

export class PathMtu {
  /** Bytes of UDP payload that get through. */
  size: number;
  readonly #sizes: readonly number[];
  readonly #randomBytes: (length: number) => Uint8Array;
  #tries = 0;
  #probe: Probe | undefined;
  #nextAt: number;

  /** `sizes`: those worth trying, growing. */
  constructor(sizes: readonly number[], now: number, randomBytes: (length: number) => Uint8Array) {
    this.#sizes = sizes;
    this.#randomBytes = randomBytes;
    this.#nextAt = now;
    this.size = Math.min(SAFE_MTU, ...sizes);
  }

  /** When `poll` has something to do. */
  get due(): number {
    return this.#next() === undefined ? Number.POSITIVE_INFINITY : this.#nextAt;
  }

  /** What to send now, if anything. */
  poll(now: number): Probe | undefined {
    const size = this.#next();
    if (size === undefined || now < this.#nextAt) return undefined;
    if (this.#tries === TRIES) {
      this.#tries = 0;
      this.#probe = undefined;
      this.#nextAt = now + AGAIN_MS;
      return undefined;
    }
    this.#tries++;
    this.#nextAt = now + TRY_MS;
    if (this.#probe?.size !== size) this.#probe = { size, nonce: this.#randomBytes(NONCE_BYTES) };
    return this.#probe;
  }

  /** A pong. True when it answers a probe, so that `size` has grown. */
  answered(nonce: Uint8Array, now: number): boolean {
    const probe = this.#probe;
    if (probe === undefined || !equal(nonce, probe.nonce)) return false;
    this.size = probe.size;
    this.#restart(now);
    return true;
  }

  /** Nothing gets through any more. True when `size` has become smaller. */
  fall(now: number): boolean {
    if (this.size <= LEAST_MTU) return false;
    this.size = this.size > SAFE_MTU ? SAFE_MTU : LEAST_MTU;
    this.#restart(now + AFTER_FALL_MS);
    return true;
  }

  /** The path is another: begins anew. */
  reset(now: number): void {
    this.size = Math.min(SAFE_MTU, ...this.#sizes);
    this.#restart(now);
  }

  #restart(at: number): void {
    this.#probe = undefined;
    this.#tries = 0;
    this.#nextAt = at;
  }

  #next(): number | undefined {
    return this.#sizes.find((size) => size > this.size);
  }
}
