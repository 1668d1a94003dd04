/**
 * Path: where the other end is, and the one place it may have moved to. A machine.
 *
 * A packet with our id from another place means that the other end has moved, or that somebody repeats its
 * packets from there. So the place is asked: a fresh challenge of 8 bytes goes there, never more than came
 * from it, and only its answer from there makes it the path. Until then data stays where it was.
 */

import { equal } from "@testudo/core";
import { type Place, samePlace } from "../udp/place.ts";
import { HEADER_BYTES, NONCE_BYTES } from "./packet.ts";

const CHALLENGE_BYTES: number = HEADER_BYTES + NONCE_BYTES;
const TRIES = 4;
const TRY_MS = 250;
/** A place that says nothing makes room for the next after this long. */
const PATIENCE_MS = 1_000;

interface Candidate {
  readonly place: Place;
  readonly nonce: Uint8Array;
  readonly since: number;
  received: number;
  sent: number;
  tries: number;
  nextAt: number;
}

export interface Challenge {
  readonly to: Place;
  readonly nonce: Uint8Array;
}

export class Path {
  #place: Place;
  #candidate: Candidate | undefined;
  readonly #randomBytes: (length: number) => Uint8Array;

  constructor(place: Place, randomBytes: (length: number) => Uint8Array) {
    this.#place = place;
    this.#randomBytes = randomBytes;
  }

  /** Where data goes. */
  get place(): Place {
    return this.#place;
  }

  /** When `poll` has something to do. */
  get due(): number {
    const candidate = this.#candidate;
    if (candidate === undefined || !mayAsk(candidate)) return Number.POSITIVE_INFINITY;
    return candidate.nextAt;
  }

  /** So many bytes came from there. */
  heard(from: Place, bytes: number, now: number): void {
    if (samePlace(from, this.#place)) return;
    const known = this.#candidate;
    if (known !== undefined && samePlace(known.place, from)) {
      known.received += bytes;
      return;
    }
    if (known !== undefined && now - known.since < PATIENCE_MS) return;
    const nonce = this.#randomBytes(NONCE_BYTES);
    const counts = { received: bytes, sent: 0, tries: 0, nextAt: now };
    this.#candidate = { place: from, nonce, since: now, ...counts };
  }

  /** What to ask now, if anything. */
  poll(now: number): Challenge | undefined {
    const candidate = this.#candidate;
    if (candidate === undefined || now < candidate.nextAt || !mayAsk(candidate)) return undefined;
    candidate.tries++;
    candidate.sent += CHALLENGE_BYTES;
    candidate.nextAt = now + TRY_MS;
    return { to: candidate.place, nonce: candidate.nonce };
  }

  /** A pong. True when it makes the place it came from the path. */
  answered(nonce: Uint8Array, from: Place): boolean {
    const candidate = this.#candidate;
    if (candidate === undefined || !samePlace(candidate.place, from)) return false;
    if (!equal(nonce, candidate.nonce)) return false;
    this.#place = candidate.place;
    this.#candidate = undefined;
    return true;
  }
}

function mayAsk(candidate: Candidate): boolean {
  return candidate.tries < TRIES && candidate.sent + CHALLENGE_BYTES <= candidate.received;
}
