/**
 * Opening: a dialer's half of the handshake, until the listener has accepted. A machine.
 *
 * Asks, repeats itself with growing pauses, brings the cookie back that it is given. A dial that is given up
 * after its cookie was sent stays for a moment: if the listener has accepted it by then, it is told.
 */

import { EMPTY, equal, networkError } from "@testudo/core";
import { type Place, samePlace } from "../udp/place.ts";
import type { Residence, Resident } from "./endpoint.ts";
import {
  type Accept,
  type ConnectionId,
  decodeAccept,
  decodeReset,
  decodeRetry,
  encodeOpen,
  encodeReset,
  type Terms,
} from "./packet.ts";
import { agreed } from "./settings.ts";

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 2_000;
/** How long one that was given up waits for an accept. */
const LINGER_MS = 1_000;

export interface OpeningEvents {
  /** With what was agreed. The opening is over, its id free for the session. */
  accepted(accept: Accept, terms: Terms): void;
  failed(error: Error): void;
  /** Nothing has come back so far: it may be that nobody is there. */
  unheard?(): void;
}

export interface OpeningParts {
  readonly id: ConnectionId;
  readonly place: Place;
  readonly terms: Terms;
  readonly timeoutMs: number;
  readonly label: string;
  readonly now: number;
}

export class Opening implements Resident {
  readonly #parts: OpeningParts;
  readonly #residence: Residence;
  readonly #events: OpeningEvents;
  readonly #until: number;
  #cookie: Uint8Array | undefined;
  #waitMs = FIRST_WAIT_MS;
  #nextAt: number;
  #sent = 0;
  #heard = false;
  #cancelledAt: number | undefined;
  #over = false;

  constructor(parts: OpeningParts, residence: Residence, events: OpeningEvents) {
    this.#parts = parts;
    this.#residence = residence;
    this.#events = events;
    this.#until = parts.now + parts.timeoutMs;
    this.#nextAt = parts.now;
  }

  due(_now: number): number {
    if (this.#cancelledAt !== undefined) return this.#cancelledAt + LINGER_MS;
    return Math.min(this.#nextAt, this.#until);
  }

  receive(packet: Uint8Array, from: Place, now: number): void {
    if (this.#over || !samePlace(from, this.#parts.place)) return;
    const cookie = decodeRetry(packet);
    const accept = decodeAccept(packet);
    const reset = decodeReset(packet);
    if (cookie !== undefined) this.#onRetry(cookie, now);
    else if (accept !== undefined) this.#onAccept(accept);
    else if (reset !== undefined) {
      const why = reset.reason === "full" ? "it has no room for more" : "nobody listens there";
      this.#fail(this.#error("DIAL_REFUSED", why));
    }
  }

  turn(now: number): void {
    if (this.#over) return;
    if (this.#cancelledAt !== undefined) {
      if (now >= this.#cancelledAt + LINGER_MS) this.#leave();
      return;
    }
    if (now >= this.#until) {
      const { timeoutMs } = this.#parts;
      this.#fail(this.#error("DIAL_TIMEOUT", `no answer in ${timeoutMs} ms`));
      return;
    }
    if (now < this.#nextAt) return;
    this.#nextAt = now + this.#waitMs;
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    this.#send();
    this.#sent++;
    if (this.#sent > 1 && !this.#heard) this.#events.unheard?.();
  }

  /** Gives up. Tells nobody here; the listener is told if it accepts. */
  cancel(now: number): void {
    if (this.#over || this.#cancelledAt !== undefined) return;
    if (this.#cookie === undefined) {
      this.#leave();
      return;
    }
    this.#cancelledAt = now;
    this.#residence.wake();
  }

  drop(reason: Error): void {
    this.#fail(reason);
  }

  #onRetry(cookie: Uint8Array, now: number): void {
    this.#heard = true;
    // A repeated one says nothing new, and is no reason to send.
    if (this.#cancelledAt !== undefined) return;
    if (this.#cookie !== undefined && equal(cookie, this.#cookie)) return;
    this.#cookie = cookie;
    this.#nextAt = now;
    this.#waitMs = FIRST_WAIT_MS;
    this.#residence.wake();
  }

  #onAccept(accept: Accept): void {
    if (this.#cookie === undefined) return;
    const terms = agreed(this.#parts.terms, accept);
    if (this.#cancelledAt !== undefined || terms === undefined) {
      const reset = encodeReset(accept.id, "cut", true);
      this.#residence.transmit(this.#parts.place, reset, EMPTY);
      if (this.#cancelledAt === undefined) {
        this.#fail(this.#error("DIAL_REFUSED", "its answer does not fit"));
      } else this.#leave();
      return;
    }
    this.#over = true;
    this.#events.accepted(accept, terms);
  }

  #send(): void {
    const { id, place, terms } = this.#parts;
    this.#residence.transmit(place, encodeOpen({ ...terms, id, cookie: this.#cookie }), EMPTY);
  }

  #error(code: "DIAL_REFUSED" | "DIAL_TIMEOUT", why: string): Error {
    const { label } = this.#parts;
    return networkError(code, `cannot reach ${label}: ${why}`, { address: label });
  }

  #fail(error: Error): void {
    if (this.#over) return;
    const cancelled = this.#cancelledAt !== undefined;
    this.#leave();
    if (!cancelled) this.#events.failed(error);
  }

  #leave(): void {
    this.#over = true;
    this.#residence.gone();
  }
}
