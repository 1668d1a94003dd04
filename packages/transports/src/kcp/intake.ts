/**
 * Intake: the bytes that arrived in order, on their way from a KCP machine to a reader, in chunks that hold as
 * many segments as there are. An empty message is the end; nothing behind it is read. A reader that pauses
 * leaves the rest in the machine, whose window closes.
 */

import { EMPTY } from "@testudo/core";
import type { Kcp } from "./machine.ts";

/** Bytes of the largest chunk, unless a single message is longer. */
const CHUNK_BYTES = 65_536;

export class Intake {
  paused = false;
  /** The end was read. */
  ended = false;
  readonly #kcp: Kcp;
  readonly #data: (chunk: Uint8Array) => void;

  constructor(kcp: Kcp, data: (chunk: Uint8Array) => void) {
    this.#kcp = kcp;
    this.#data = data;
  }

  /** Nothing is left in the machine that could be read. */
  get empty(): boolean {
    return this.#kcp.peekSize < 0;
  }

  /** Hands on what there is. True when there was something. */
  deliver(): boolean {
    const kcp = this.#kcp;
    let chunk = EMPTY;
    let used = 0;
    let any = false;
    while (!this.paused && !this.ended) {
      const size = kcp.peekSize;
      if (size < 0) break;
      if (size > chunk.length - used) {
        if (used > 0) this.#data(chunk.subarray(0, used));
        used = 0;
        chunk = EMPTY;
        // Handing on may have paused us.
        if (this.paused) break;
        const ready = size * kcp.statistics.receiveReady;
        chunk = new Uint8Array(Math.max(Math.min(ready, CHUNK_BYTES), size));
      }
      any = true;
      if (size === 0) {
        kcp.recv();
        this.ended = true;
      } else {
        kcp.recv(chunk.subarray(used, used + size));
        used += size;
      }
    }
    if (used > 0) this.#data(used === chunk.length ? chunk : chunk.subarray(0, used));
    // Whoever sends behind their own end must not fill the window with it.
    while (this.ended && kcp.peekSize >= 0) kcp.recv();
    return any;
  }
}
