/**
 * Hand: what a second implementation of docs/protocol.md needs, made of Node's own parts. Nothing of core
 * is used, so that the page and not the code says what is on the wire.
 */

import { connect, type Socket } from "node:net";
import { crc32 } from "node:zlib";
import type { Route } from "@testudo/core";

export const u16 = (value: number): Buffer => Buffer.from([value, value >>> 8]);
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** `u32 length · u32 opcode · u32 nonce · u8 flags · u32 checksum · payload` */
export function frame(
  opcode: number,
  payload: Uint8Array,
  nonce: number = 0,
  flags: number = 0,
): Buffer {
  const head = Buffer.concat([
    u32(13 + payload.length),
    u32(opcode),
    u32(nonce),
    Buffer.from([flags]),
  ]);
  return Buffer.concat([head, u32(crc32(Buffer.concat([payload, head]))), payload]);
}

/** A socket whose bytes are asked for by number. */
export class Hand {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #got: Buffer = Buffer.alloc(0);

  /** Connects to a `net` listener. */
  constructor(route: Route | undefined) {
    const port = Number(route?.sections[0]?.args.at(-1));
    this.#socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.#chunks = this.#socket[Symbol.asyncIterator]();
  }

  send(...pieces: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(pieces));
  }

  /** Exactly so many bytes. */
  async read(length: number): Promise<Buffer> {
    while (this.#got.length < length) {
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error("the connection ended");
      this.#got = Buffer.concat([this.#got, value]);
    }
    const bytes = this.#got.subarray(0, length);
    this.#got = this.#got.subarray(length);
    return bytes;
  }

  /** Whether the other side has ended and nothing is left to read. */
  async ended(): Promise<boolean> {
    return this.#got.length === 0 && (await this.#chunks.next()).done === true;
  }

  close(): void {
    this.#socket.destroy();
  }
}
