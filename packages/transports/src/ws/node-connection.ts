/**
 * Connection over a WebSocket of the package `ws`, on Node. All of its events end here.
 *
 * Back-pressure is the TCP or TLS socket's own; what is read is bounded by pausing it. A peer that breaks the
 * protocol is told why by a close code, and has a moment to read it.
 */

import type { Duplex } from "node:stream";
import {
  asError,
  EMPTY,
  networkError,
  type Section,
  systemRuntime,
  type Timer,
} from "@testudo/core";
import type { WebSocket } from "ws";
import { MessageConnection, textFrame, tooLarge } from "./connection.ts";

/** How long the other side has to hang up once nothing more can be said, or to read what it did wrong. */
const LINGER_MS = 1_000;

/** RFC 6455, section 7.4.1: data of a type that cannot be accepted. */
const UNSUPPORTED_DATA = 1003;

export interface NodeSocketOptions {
  readonly remote: Section;
  readonly local: boolean;
  readonly maxPayloadBytes: number;
}

export class NodeConnection extends MessageConnection {
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  #cause: Error | undefined;
  #patience: Timer | undefined;

  /** Takes over a WebSocket that is open, in the turn in which it opened, and the socket below it. */
  constructor(ws: WebSocket, socket: Duplex, options: NodeSocketOptions) {
    super(options.remote, options.local, ws);
    this.#ws = ws;
    this.#socket = socket;
    ws.on("message", (data: Uint8Array, isBinary: boolean) => {
      if (this.over) return;
      if (isBinary) this.inbox.push(data);
      else this.#refuse(textFrame(this.remote), UNSUPPORTED_DATA);
    });
    ws.on("error", (error: Error) => this.#onError(error, options.maxPayloadBytes));
    ws.on("close", (code: number, reason: Buffer) => {
      this.#patience?.cancel();
      this.onClose(code, printable(reason.toString()), this.#cause);
    });
    socket.on("drain", () => this.onDrain());
    // Both close frames are exchanged, and ours is with the kernel.
    socket.once("finish", () => this.#linger());
    // Heard here too, for its cause: the package only closes.
    socket.on("error", (error: Error) => {
      this.#cause ??= error;
    });
  }

  protected override send(message: Uint8Array): void {
    this.#ws.send(message);
  }

  protected override get congested(): boolean {
    return this.#ws.readyState !== this.#ws.OPEN || this.#socket.writableNeedDrain;
  }

  /** The socket says so by itself. */
  protected override awaitDrain(): void {}

  protected override shake(flushed: () => void): void {
    const socket = this.#socket;
    this.#ws.close(1000);
    if (socket.writableEnded || socket.destroyed || socket.writableLength === 0) flushed();
    else socket.write(EMPTY, () => flushed());
  }

  protected override cut(): void {
    this.#ws.terminate();
  }

  /** What the package found wrong, for which it has begun to close with the right code. */
  #onError(error: Error, limit: number): void {
    const code = "code" in error ? String(error.code) : "";
    if (!code.startsWith("WS_ERR_")) {
      this.#cause ??= error;
    } else if (code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") {
      this.#refuse(tooLarge(this.remote, limit));
    } else {
      const why = `${this.remote.text} broke the WebSocket protocol: ${error.message}`;
      this.#refuse(
        networkError("FRAME_MALFORMED", why, { address: this.remote.text, cause: error }),
      );
    }
  }

  #refuse(error: Error, closeCode?: number): void {
    const ws = this.#ws;
    this.inbox.clear();
    this.settle(error);
    if (closeCode !== undefined) ws.close(closeCode);
    // A pause would keep the answer from being read.
    ws.resume();
    this.#linger();
  }

  #linger(): void {
    if (this.#ws.readyState === this.#ws.CLOSED) return;
    this.#patience ??= systemRuntime.setTimer(() => this.#ws.terminate(), LINGER_MS);
  }
}

/** A stranger's text, for an error that may go to a terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ").trim();
}

/** `accept` must not throw; one that does costs its own connection only. */
export function hand(connection: NodeConnection, accept: (taken: NodeConnection) => void): void {
  try {
    accept(connection);
  } catch (error) {
    connection.abort(asError(error));
  }
}
