/**
 * Refusal: finds out that nobody listens at a place, where the system there says so (ICMP). The socket that is
 * shared by all dials is never told of that, one connected to the place is; so a question is sent from one.
 *
 * Only ever shortens a wait: no answer, or any other one, means nothing.
 */

import { createSocket } from "node:dgram";
import { isIP } from "node:net";
import type { Place } from "./place.ts";

export class Refusal {
  readonly #place: Place;
  readonly #question: Uint8Array;
  readonly #refused: (error: Error) => void;
  #socket: ReturnType<typeof createSocket> | undefined;

  /** `question`: a datagram whose answer can be ignored. `refused` is called once at most. */
  constructor(place: Place, question: Uint8Array, refused: (error: Error) => void) {
    this.#place = place;
    this.#question = question;
    this.#refused = refused;
  }

  /** Asks, and again at every further call. */
  ask(): void {
    if (this.#socket !== undefined) {
      this.#send();
      return;
    }
    const { address, port } = this.#place;
    const socket = createSocket(isIP(address) === 6 ? "udp6" : "udp4");
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => this.#onError(error));
    socket.once("connect", () => this.#send());
    socket.connect(port, address);
  }

  /** Idempotent. */
  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #send(): void {
    try {
      this.#socket?.send(this.#question, (error) => {
        if (error !== null) this.#onError(error);
      });
    } catch {
      // Not connected yet: the question goes out when it is.
    }
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#socket === undefined || error.code !== "ECONNREFUSED") return;
    this.close();
    this.#refused(error);
  }
}
