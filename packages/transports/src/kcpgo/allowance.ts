/**
 * Allowance: what may go to an end that has not proved that it receives what is sent there. A machine.
 *
 * Acknowledgements, since they are no longer than what they answer; and data of as many bytes as came from there, of
 * which a little may be repeated, since the first of it can be lost. The proof is an acknowledgement: it brings back a
 * timestamp, which only who got the data can know.
 */

import { acknowledges, carriesData } from "./words.ts";

/** How often data beyond what came from there may be repeated. */
const SPARE_PACKETS = 3;
/** No longer round trip is believed. */
const LATEST_PROOF_MS = 60_000;

export class Allowance {
  #proved: boolean;
  /** Bytes that came, less those of data that went. */
  #credit = 0;
  #spare = SPARE_PACKETS;
  #firstAt: number | undefined;

  constructor(proved: boolean) {
    this.#proved = proved;
  }

  get proved(): boolean {
    return this.#proved;
  }

  /** A packet of so many bytes came from there. */
  came(bytes: number): void {
    if (!this.#proved) this.#credit += bytes;
  }

  /** How large a packet of data may be, beyond its overhead and at least one byte; its timestamp is `at`. */
  probe(overhead: number, at: number): number {
    this.#firstAt ??= at;
    return Math.max(this.#credit - overhead, 1);
  }

  /** Whether the datagram may go, in a packet of so many bytes. */
  mayGo(datagram: Uint8Array, bytes: number): boolean {
    if (this.#proved || !carriesData(datagram)) return true;
    if (bytes > this.#credit) {
      if (this.#spare === 0) return false;
      this.#spare--;
    }
    this.#credit = Math.max(this.#credit - bytes, 0);
    return true;
  }

  /** Looks for the proof in a datagram that the machine believed, `at` on the clock of the timestamps. */
  examine(datagram: Uint8Array, at: number): void {
    if (this.#proved || this.#firstAt === undefined) return;
    const from = Math.max(this.#firstAt, at - LATEST_PROOF_MS);
    this.#proved = acknowledges(datagram, Math.floor(from), Math.floor(at));
  }
}
