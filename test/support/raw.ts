/**
 * Raw: a stranger on a TCP socket who speaks the frames of the protocol, or lies in them, to a listener
 * over `noauth`.
 */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { concat, writeU32 } from "@testudo/core";
import {
  decodeFrame,
  encodeHeader,
  type Frame,
  FrameDecoder,
} from "../../packages/core/src/frame.ts";
import { decodeGoodbye, type Goodbye } from "../../packages/core/src/goodbye.ts";
import { OPCODES } from "../../packages/core/src/opcode.ts";

export class Raw {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  /** What the listener said in leaving. */
  goodbye: Goodbye | undefined;
  readonly closed: Promise<unknown>;

  /** `address` is a listener's, as `net:127.0.0.1:PORT~noauth`. */
  static async dial(address: string): Promise<Raw> {
    const port = Number(address.split(/[:~]/)[2]);
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return new Raw(socket);
  }

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    this.closed = once(socket, "close");
    const decoder = new FrameDecoder(2 ** 24);
    socket.on("data", (chunk: Uint8Array) => {
      for (let at = 0; at < chunk.length; ) {
        at = decoder.push(chunk, at, (buffer, start, end) => {
          const frame = decodeFrame(buffer, start, end);
          this.frames.push(frame);
          if (frame.opcode === OPCODES.disconnect) this.goodbye = decodeGoodbye(frame.payload);
          return true;
        });
      }
    });
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(concat(...frames));
  }
}

/** A frame, as it should be. */
export function frame(
  opcode: number,
  body: Uint8Array = new Uint8Array(0),
  flags: number = 0,
  nonce: number = 1,
): Uint8Array {
  return concat(encodeHeader(opcode, nonce, flags, [body]), body);
}

/** The same bytes with a false length in front. */
export function withLength(bytes: Uint8Array, length: number): Uint8Array {
  const changed = bytes.slice();
  writeU32(changed, 0, length);
  return changed;
}
