/**
 * Connection over a TCP socket: the pipe of `node-stream/duplex-pipe.ts` with a remote and a hard cut.
 */

import type { Socket } from "node:net";
import { type Connection, EMPTY, type Section } from "@testudo/core";
import { DuplexPipe } from "../node-stream/duplex-pipe.ts";

/**
 * Bytes a socket may hold before `write` says to wait. Two flushes of a stream fit, so that a flush the
 * kernel took at once does not cost a turn of the event loop; more would only delay what is urgent.
 */
export const SOCKET_HIGH_WATER_BYTES: number = 128 * 1024;

export class SocketConnection extends DuplexPipe implements Connection {
  readonly remote: Section;
  readonly local: boolean;
  readonly #socket: Socket;

  /** Takes over a connected socket made with `allowHalfOpen`. */
  constructor(socket: Socket, remote: Section, local: boolean) {
    super(socket, remote.text);
    this.#socket = socket;
    this.remote = remote;
    this.local = local;
  }

  /**
   * A reset, so that the other side sees a cut and not an end. A socket whose end is already with the
   * kernel cannot be reset any more: it has said all it had to say, and is just closed.
   */
  protected override cut(): void {
    const socket = this.#socket;
    const ended = socket.writableEnded && socket.writableLength === 0;
    if (ended || socket.destroyed || socket.remoteFamily === undefined) socket.destroy();
    else socket.resetAndDestroy();
  }

  /**
   * On Linux, libuv takes a reset behind unread bytes for an end, but the socket still knows: the next
   * write fails, even one of no bytes, which sends nothing. Once our own direction has ended there is no way to ask.
   */
  protected override confirmEnd(confirmed: () => void): void {
    const socket = this.#socket;
    if (socket.writableEnded) {
      confirmed();
    } else if (socket.writableLength > 0) {
      setImmediate(confirmed);
    } else {
      socket.write(EMPTY, (error) => {
        if (!error) confirmed();
      });
    }
  }
}
