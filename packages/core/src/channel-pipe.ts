/**
 * Channel pipe: one channel, its two directions and their credit windows.
 *
 * The reader's side grants credit as its user takes bytes, so a reader that stalls holds this channel and
 * nothing else. Frames are built here and sent by `channel.ts`; this file never sees the stream.
 */

import { type BlockPool, ReceiveBuffer, SendBuffer } from "./channel-buffer.ts";
import {
  encodeCredit,
  encodeHeader,
  encodeReset,
  KINDS,
  MAX_DATA_BYTES,
  MAX_U32,
  malformed,
  RESETS,
} from "./channel-frame.ts";
import type { BytePipe, Side } from "./connection.ts";
import { type NetworkError, networkError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import { type Deferred, deferred } from "./queue.ts";
import type { Runtime, Timer } from "./runtime.ts";

/**
 * A two-way pipe of bytes inside one peer's stream. Beyond what `BytePipe` says:
 *
 * `write` copies. It gives `false` once `channelWindowBytes` wait, and cuts the channel with
 * `SEND_BUFFER_FULL` when its caller goes on without `drain()` past `maxSendBufferBytes`.
 *
 * `close()` waits until everything is handed over, for as long as bytes move; then `closeTimeoutMs` for the
 * other side to end and for the user to read what arrived; then it cuts.
 *
 * `abort(reason)` sends the first 256 bytes of `reason.message` to the other side, whose reads reject
 * with it under the code `CHANNEL_RESET`.
 *
 * Reads reject with `CHANNEL_RESET`, with what `abort` was given, or with the reason the peer went with. A
 * direction that ended before that stays readable.
 */
export interface Channel extends BytePipe {
  /** Unique within the stream. Even: opened by the stream's dialer. */
  readonly id: number;
  /** What it was opened for: 1-256 bytes of UTF-8. */
  readonly name: string;
  /** `dialer` when this node opened the channel, `listener` when the other one did. */
  readonly side: Side;
}

/** What a channel needs of the host that owns it. */
export interface ChannelOwner {
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  readonly blocks: BlockPool;
  /** Credit given to a sender that has none under way, in bytes. */
  readonly window: number;
  /** Sends a frame ahead of all data. */
  control(frame: Uint8Array): void;
  /** The channel has a frame to send: ask for it with `nextFrame()` when there is room. */
  ready(channel: ByteChannel): void;
  /** The channel is over and holds nothing that counts. */
  release(channel: ByteChannel): void;
}

export function channelReset(message: string): NetworkError {
  return networkError("CHANNEL_RESET", message);
}

/** The channel as its host sees it: the user's side above, the frames that arrive for it below. */
export class ByteChannel implements Channel {
  readonly id: number;
  readonly name: string;
  readonly side: Side;
  readonly closed: Promise<Error | undefined>;

  readonly #owner: ChannelOwner;
  readonly #settled: Deferred<Error | undefined> = deferred();
  #released = false;

  readonly #outgoing: SendBuffer;
  readonly #dataHeader: Uint8Array;
  #credit = 0;
  #sentBytes = 0;
  /** `write` gave `false` and the buffer has not halved since. */
  #full = false;
  #drained: Deferred<void> | undefined;
  /** `end()` was called; the end frame was given out; it and all before it reached the socket. */
  #ending = false;
  #endSent = false;
  #ended = false;
  #framesInPort = 0;
  readonly #handedOver: Deferred<void> = deferred();
  /** Why nothing can be sent any more, other than a polite end. */
  #cut: Error | undefined;

  readonly #incoming: ReceiveBuffer;
  /** Bytes the other side may still send, and bytes taken that it was not yet told of. */
  #granted: number;
  #taken = 0;
  #remoteEnded = false;

  #closing = false;
  #closeTimer: Timer | undefined;
  #sentAtTimer = 0;

  constructor(owner: ChannelOwner, id: number, name: string, side: Side) {
    this.#owner = owner;
    this.id = id;
    this.name = name;
    this.side = side;
    this.closed = this.#settled.promise;
    this.#outgoing = new SendBuffer(owner.blocks);
    this.#dataHeader = encodeHeader(KINDS.data, id);
    this.#incoming = new ReceiveBuffer((bytes) => this.#took(bytes));
    this.#granted = owner.window;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    if (this.#ending || this.#cut !== undefined) return false;
    const { window, limits } = this.#owner;
    const waiting = this.#outgoing.size;
    if (waiting >= window && waiting >= limits.maxSendBufferBytes) {
      const text = `channel ${this.id} was written to past ${waiting} waiting bytes; await drain()`;
      this.abort(networkError("SEND_BUFFER_FULL", text));
      return false;
    }
    for (const piece of pieces) this.#outgoing.push(piece);
    if (this.#outgoing.size >= window) this.#full = true;
    if (this.hasFrame) this.#owner.ready(this);
    return !this.#full;
  }

  drain(): Promise<void> {
    if (!this.#full) return Promise.resolve();
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  end(): Promise<void> {
    this.#ending = true;
    if (this.hasFrame) this.#owner.ready(this);
    return this.#handedOver.promise;
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      void this.end();
      if (!this.#released) this.#startCloseTimer();
    }
    await this.closed;
  }

  /** With `drop` false, what arrived whole stays readable. */
  abort(reason: Error, drop: boolean = true): void {
    const told = this.#cut !== undefined || (this.#endSent && this.#remoteEnded);
    if (!this.#released && !told) this.#reset(RESETS.aborted, reason.message);
    this.lose(reason, drop);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.#incoming;
  }

  /** Whether `nextFrame()` has something to give. */
  get hasFrame(): boolean {
    if (this.#cut !== undefined || this.#endSent) return false;
    return this.#outgoing.size > 0 ? this.#credit > 0 : this.#ending;
  }

  /** The next data or end frame, in pieces that are valid until `recycle()`; only after `hasFrame`. */
  nextFrame(): Uint8Array[] {
    this.#framesInPort++;
    if (this.#outgoing.size === 0) {
      this.#endSent = true;
      return [encodeHeader(KINDS.end, this.id)];
    }
    const pieces = [this.#dataHeader];
    const count = Math.min(this.#credit, MAX_DATA_BYTES, this.#outgoing.size);
    this.#outgoing.take(count, pieces);
    this.#credit -= count;
    this.#sentBytes += count;
    if (this.#full && this.#outgoing.size * 2 <= this.#owner.window) this.#writable();
    return pieces;
  }

  /** The frame's pieces were copied or sealed. */
  recycle(): void {
    this.#outgoing.recycle();
  }

  /** One of the frames given out reached the socket; with the last one, our direction is over. */
  handedOver(): void {
    this.#framesInPort--;
    if (!this.#endSent || this.#framesInPort > 0 || this.#cut !== undefined) return;
    this.#ended = true;
    this.#handedOver.resolve();
    if (this.#closing) this.#startCloseTimer();
    this.#releaseWhenDone();
  }

  /** The other side takes `bytes` more from us. */
  receiveCredit(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > MAX_U32) throw malformed("grants more credit than 32 bits hold");
    if (this.hasFrame) this.#owner.ready(this);
  }

  receiveData(bytes: Uint8Array): void {
    if (bytes.length === 0) throw malformed("carries no data");
    if (this.#remoteEnded) throw malformed("carries data after the end");
    if (bytes.length > this.#granted) throw malformed("carries more data than was granted");
    this.#granted -= bytes.length;
    this.#incoming.push(bytes);
  }

  receiveEnd(): void {
    if (this.#remoteEnded) throw malformed("ends a channel twice");
    this.#remoteEnded = true;
    this.#incoming.finish();
    this.#releaseWhenDone();
  }

  receiveReset(code: number, reason: string): void {
    const error = channelReset(`the other side reset the channel: ${reason}`);
    if (code === RESETS.closed && this.#remoteEnded) {
      this.#stopWriting(error);
      this.#releaseWhenDone();
    } else {
      this.lose(error, true);
    }
  }

  /** Over, without a word to the other side. What arrived whole stays readable unless `drop`. */
  lose(reason: Error, drop: boolean): void {
    this.#stopWriting(reason);
    if (drop || !this.#remoteEnded) this.#incoming.fail(reason);
    this.#release();
  }

  #took(bytes: number): void {
    if (this.#remoteEnded) {
      this.#releaseWhenDone();
      return;
    }
    this.#taken += bytes;
    // Half a window at once: one credit frame pays for many data frames, and the sender never runs dry.
    if (this.#taken * 2 < this.#owner.window) return;
    this.#granted += this.#taken;
    this.#owner.control(encodeCredit(KINDS.credit, this.id, this.#taken));
    this.#taken = 0;
  }

  #reset(code: number, reason: string): void {
    this.#owner.control(encodeReset(this.id, code, reason));
  }

  #writable(): void {
    this.#full = false;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #stopWriting(reason: Error): void {
    this.#cut ??= reason;
    this.#settled.resolve(this.#cut);
    this.#outgoing.clear();
    this.#writable();
    this.#handedOver.resolve();
  }

  /** Both directions are over and read to the end. Until then the channel counts, so that unread bytes stay bounded. */
  #releaseWhenDone(): void {
    if (!this.#remoteEnded || this.#incoming.size > 0) return;
    if (this.#ended || this.#cut !== undefined) this.#release();
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#closeTimer?.cancel();
    this.#settled.resolve(this.#cut);
    this.#owner.release(this);
  }

  #startCloseTimer(): void {
    this.#closeTimer?.cancel();
    this.#sentAtTimer = this.#sentBytes;
    const delayMs = this.#owner.limits.closeTimeoutMs;
    this.#closeTimer = this.#owner.runtime.setTimer(() => this.#closeLate(), delayMs);
  }

  #closeLate(): void {
    if (!this.#ended && this.#sentBytes > this.#sentAtTimer) {
      this.#startCloseTimer();
      return;
    }
    const waitedMs = this.#owner.limits.closeTimeoutMs;
    if (!this.#remoteEnded || !(this.#ended || this.#cut !== undefined)) {
      const text = `closed, and the other side was not done after ${waitedMs} ms`;
      this.#reset(this.#ended ? RESETS.closed : RESETS.aborted, text);
      this.lose(channelReset(text), true);
      return;
    }
    // Both directions ended; only our own user has not read what is here.
    this.#incoming.fail(channelReset(`closed with bytes unread after ${waitedMs} ms`));
    this.#release();
  }
}
