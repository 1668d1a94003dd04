/**
 * Stranger: a bare TCP socket in a test's hand. No error of it is ever unhandled, and it knows when it is over.
 */

import { connect, type Socket } from "node:net";
import { concat, deferred } from "@testudo/core";

export class Stranger {
  readonly socket: Socket;
  /** Settles when the socket is gone, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #heard: Uint8Array[] = [];
  #over = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    const closed = deferred<void>();
    this.closed = closed.promise;
    socket.on("error", () => {});
    socket.on("data", (chunk) => this.#heard.push(chunk));
    socket.on("close", () => {
      this.#over = true;
      closed.resolve();
    });
  }

  /** Resolves when connected, or when it never will be. */
  static async connect(port: number, localAddress = "127.0.0.1"): Promise<Stranger> {
    const to = { port, host: "127.0.0.1", localAddress };
    const socket = connect({ ...to, noDelay: true, allowHalfOpen: true });
    const stranger = new Stranger(socket);
    await Promise.race([
      new Promise<void>((resolve) => socket.once("connect", () => resolve())),
      stranger.closed,
    ]);
    return stranger;
  }

  get over(): boolean {
    return this.#over;
  }

  get heard(): Uint8Array {
    return concat(...this.#heard);
  }

  say(bytes: Uint8Array): void {
    if (!this.#over) this.socket.write(bytes);
  }

  /** Says it, and that nothing follows; resolves when the other side is done, too. */
  async leaveWith(bytes: Uint8Array): Promise<void> {
    this.socket.end(bytes);
    this.socket.on("end", () => this.socket.destroy());
    await this.closed;
  }

  /** A reset: leaves nothing behind, not even a port that waits. */
  cut(): void {
    if (!this.#over) this.socket.resetAndDestroy();
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
