/**
 * Opening: a dial until somebody has answered it. A machine.
 *
 * Greets with a question for the window, repeated with growing pauses. Any packet of our conversation is an answer: it
 * takes our key to make one. Our own listener asks for its cookie back first, or refuses; see words.ts.
 */

import { networkError } from "@testudo/core";
import { FEC_HEADER_BYTES } from "../kcp/fec.ts";
import type { Resident } from "../udp/turns.ts";
import { readHead } from "./packet.ts";
import { cookieIn, greeting, isRefusal, type Mark, readWord } from "./words.ts";

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 2_000;

export interface OpeningParts {
  readonly conv: number;
  /** Tells the answer to our greeting from others; not 0. */
  readonly nonce: number;
  readonly receiveWindow: number;
  readonly timeoutMs: number;
  readonly label: string;
  readonly now: number;
}

export interface OpeningEvents {
  /** Sends a segment, sealed. */
  send(segment: Uint8Array): void;
  /** A turn soon. */
  wake(): void;
  /** The session's first packet. The opening is over. */
  opened(first: Uint8Array): void;
  failed(error: Error): void;
  /** Nothing has come back so far: it may be that nobody is there. */
  unheard(): void;
}

export class Opening implements Resident {
  readonly #parts: OpeningParts;
  readonly #events: OpeningEvents;
  readonly #until: number;
  #mark: Mark;
  #waitMs = FIRST_WAIT_MS;
  #nextAt: number;
  #sent = 0;
  #heard = false;
  #over = false;

  constructor(parts: OpeningParts, events: OpeningEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#until = parts.now + parts.timeoutMs;
    this.#nextAt = parts.now;
    // kcp-go's listener lets a greeting begin a session only where the number is 0.
    this.#mark = { sn: 0, ts: parts.nonce };
  }

  due(): number {
    return this.#over ? Number.POSITIVE_INFINITY : Math.min(this.#nextAt, this.#until);
  }

  receive(opened: Uint8Array, now: number): void {
    const head = readHead(opened);
    if (this.#over || head?.conv !== this.#parts.conv || head.kind === "oob") return;
    this.#heard = true;
    const word = readWord(opened, head.kind === "data" ? FEC_HEADER_BYTES : 0);
    const cookie = cookieIn(word);
    if (isRefusal(word, this.#parts.nonce)) {
      this.drop(this.#error("DIAL_REFUSED", "nobody listens there, or there is no room"));
    } else if (cookie === undefined) {
      this.#over = true;
      this.#events.opened(opened);
    } else if (cookie.sn !== this.#mark.sn || cookie.ts !== this.#mark.ts) {
      // One that is repeated says nothing new, and is no reason to send.
      this.#mark = cookie;
      this.#nextAt = now;
      this.#waitMs = FIRST_WAIT_MS;
      this.#events.wake();
    }
  }

  turn(now: number): void {
    if (this.#over) return;
    const { conv, receiveWindow, timeoutMs } = this.#parts;
    if (now >= this.#until) {
      this.drop(this.#error("DIAL_TIMEOUT", `no answer in ${timeoutMs} ms; is the key the same?`));
      return;
    }
    if (now < this.#nextAt) return;
    this.#nextAt = now + this.#waitMs;
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    this.#events.send(greeting(conv, receiveWindow, this.#mark));
    this.#sent++;
    if (this.#sent > 1 && !this.#heard) this.#events.unheard();
  }

  drop(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.failed(reason);
  }

  #error(code: "DIAL_REFUSED" | "DIAL_TIMEOUT", why: string): Error {
    const { label } = this.#parts;
    return networkError(code, `cannot reach ${label}: ${why}`, { address: label });
  }
}
