/**
 * Stream: connection + session + frames = messages in, messages out.
 *
 * One reading loop with one `for await`; everything inside it is synchronous. The stream knows frames,
 * goodbyes and congestion. Who the other side is, and what a frame means, is known above.
 */

import type { Section } from "./address.ts";
import type { DatagramPipe, Side } from "./connection.ts";
import { asNetworkError, type NetworkError, networkError } from "./errors.ts";
import { decodeFrame, encodeHeader, type Frame, FrameDecoder } from "./frame.ts";
import { decodeGoodbye, encodeGoodbye, type Goodbye, saidByPeer, saidByUs } from "./goodbye.ts";
import { LANES, type Lane } from "./lane.ts";
import type { Limits } from "./limits.ts";
import { SIGNATURE_BYTES } from "./message.ts";
import { isCoreOpcode, OPCODES } from "./opcode.ts";
import { type Batch, type BufferPool, Outbox, type OutboxOwner } from "./outbox.ts";
import { type Deferred, deferred } from "./queue.ts";
import type { Runtime, Timer } from "./runtime.ts";
import type { Link } from "./stack.ts";

export interface StreamOptions {
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  readonly pool: BufferPool;
}

/** What the floor above does with what comes in. Both are called synchronously and must not throw, but `frame` may throw a `ProtocolError`. */
export interface StreamHandler {
  frame(frame: Frame): void;
  /** Exactly once. The stream is over for everybody above; its bytes may still be winding down. */
  ended(reason: NetworkError): void;
  /** Exactly once, after `ended`: nothing of the stream is left, no socket, no timer. */
  released(): void;
}

export class Stream implements OutboxOwner {
  readonly side: Side;
  readonly address: string;
  readonly remote: Section;
  readonly local: boolean;
  readonly remoteKey: Uint8Array | undefined;
  readonly auth: unknown;
  /** Beside it; they know nothing of frames. */
  readonly datagrams: DatagramPipe | undefined;
  /** May be replaced at any time; the next frame goes to the new one. */
  handler: StreamHandler;
  /** Frames but the goodbye; messages are those of them that are not core's own. */
  framesIn = 0;
  messagesIn = 0;
  messagesOut = 0;
  bytesIn = 0;
  readonly #link: Link;
  readonly #options: StreamOptions;
  readonly #outbox: Outbox;
  readonly #decoder: FrameDecoder;
  #reason: NetworkError | undefined;
  /** Why it takes nothing more to send while it still delivers; and the goodbye that is then still to be said. */
  #leaving: NetworkError | undefined;
  #owed: Goodbye | undefined;
  /** It was left, not closed: the other side has what a live stream has to take the rest, not `closeTimeoutMs`. */
  #unhurried = false;
  #held: Deferred<void> | undefined;
  /** Cuts a peer that takes nothing, or one that is left and does not finish. */
  #timer: Timer | undefined;
  /** Resolved when the reading loop is over; made when somebody waits for it. */
  #reading: Deferred<void> | undefined;
  #readingOver = false;
  #released: Deferred<void> | undefined;
  #releasedAlready = false;

  constructor(link: Link, options: StreamOptions, handler: StreamHandler) {
    this.side = link.side;
    this.address = link.address;
    this.remote = link.connection.remote;
    this.local = link.connection.local;
    this.remoteKey = link.session.remoteKey;
    this.auth = link.session.auth;
    this.datagrams = link.datagrams;
    this.handler = handler;
    this.#link = link;
    this.#options = options;
    this.#decoder = new FrameDecoder(options.limits.maxMessageBytes + SIGNATURE_BYTES);
    this.#outbox = new Outbox({
      connection: link.connection,
      session: link.session,
      pool: options.pool,
      maxBytes: options.limits.maxSendBufferBytes,
      owner: this,
    });
  }

  /** Begins reading. */
  start(): void {
    void this.#read();
  }

  get ended(): NetworkError | undefined {
    return this.#reason;
  }

  /** The other side said goodbye: everything it had accepted was delivered. */
  saidGoodbye = false;

  /** Accepted and not yet handed to the connection. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  get bytesOut(): number {
    return this.#outbox.bytesOut;
  }

  /** Settles when nothing of the stream is left: no socket, no timer. Never rejects. */
  get released(): Promise<void> {
    this.#released ??= deferred();
    if (this.#releasedAlready) this.#released.resolve();
    return this.#released.promise;
  }

  /** Throws `SEND_BUFFER_FULL`, or the reason the stream ended with. */
  send(
    lane: Lane,
    opcode: number,
    nonce: number,
    flags: number,
    payload: readonly Uint8Array[],
  ): Batch {
    const batch = this.#append(lane, encodeHeader(opcode, nonce, flags, payload), payload);
    if (!isCoreOpcode(opcode)) this.messagesOut++;
    return batch;
  }

  /** The same for a message whose header was made once for many streams. */
  sendEncoded(lane: Lane, header: Uint8Array, payload: readonly Uint8Array[]): Batch {
    const batch = this.#append(lane, header, payload);
    this.messagesOut++;
    return batch;
  }

  #append(lane: Lane, header: Uint8Array, payload: readonly Uint8Array[]): Batch {
    // What came behind the goodbye would be taken here and ignored there.
    const over = this.#reason ?? this.#leaving;
    if (over !== undefined) throw over;
    return this.#outbox.append(lane, header, payload);
  }

  get held(): boolean {
    return this.#held !== undefined;
  }

  /** Stops reading until `release()`: the other side is slowed by its own transport. */
  hold(): void {
    this.#held ??= deferred();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  /**
   * Over at once for everybody above, with `reason`. What was accepted still goes out, then the goodbye;
   * then the other side has `closeTimeoutMs` to finish before it is cut.
   */
  close(goodbye: Goodbye, reason: NetworkError = saidByUs(goodbye)): void {
    if (this.#unhurried) {
      this.#unhurried = false;
      this.congested(false);
    }
    this.#over(reason, goodbye);
  }

  /**
   * Takes nothing more to send; what the other side still has is delivered, until its own goodbye ends the
   * stream. Ours is said behind what was accepted: `first`, or only once the other side's came. No deadline of its own.
   */
  leave(goodbye: Goodbye, first: boolean): void {
    if (this.#reason !== undefined || this.#leaving !== undefined) return;
    if (first) this.#sayGoodbye(goodbye);
    else this.#owed = goodbye;
    this.#leaving = saidByUs(goodbye);
  }

  /** Over now, without a goodbye. */
  abort(reason: NetworkError): void {
    this.#end(reason);
    this.#cut(reason);
  }

  #end(reason: NetworkError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.release();
    this.handler.ended(reason);
  }

  #cut(reason: NetworkError): void {
    this.#timer?.cancel();
    this.#outbox.close(reason);
    this.#link.connection.abort(reason);
    if (this.#releasedAlready) return;
    this.#releasedAlready = true;
    this.#released?.resolve();
    this.handler.released();
  }

  async #read(): Promise<void> {
    const { connection, session, opened } = this.#link;
    try {
      for (const plain of opened) await this.#consume(plain);
      for await (const chunk of connection) {
        if (this.#reason !== undefined) continue;
        this.bytesIn += chunk.length;
        const held = this.#open(chunk);
        if (held !== undefined) await held;
        if (session.end !== undefined && session.ended) this.#sawEnd(true);
      }
      this.#sawEnd(session.end !== undefined && session.ended);
    } catch (error) {
      const reason = asNetworkError(error, "TRUNCATED", "the connection was cut");
      this.#end(reason);
      this.#cut(reason);
    }
    this.#readingOver = true;
    this.#reading?.resolve();
  }

  /** Opens and delivers one chunk; a promise only when delivery was held. A violation ends the stream, never the loop. */
  #open(chunk: Uint8Array): Promise<void> | undefined {
    try {
      const pieces = this.#link.session.open(chunk);
      for (let i = 0; i < pieces.length; i++) {
        const held = this.#consume(pieces[i] as Uint8Array);
        if (held !== undefined) return this.#openHeld(held, pieces, i + 1);
      }
    } catch (error) {
      this.#violated(error);
    }
    return undefined;
  }

  async #openHeld(held: Promise<void>, pieces: readonly Uint8Array[], from: number): Promise<void> {
    await held;
    for (const piece of pieces.slice(from)) await this.#consume(piece);
  }

  #consume(plain: Uint8Array, from: number = 0): Promise<void> | undefined {
    let at = from;
    try {
      while (at < plain.length && this.#reason === undefined) {
        at = this.#decoder.push(plain, at, this.#onFrame);
        if (this.#held !== undefined)
          return this.#held.promise.then(() => this.#consume(plain, at));
      }
    } catch (error) {
      this.#violated(error);
    }
    return undefined;
  }

  readonly #onFrame = (buffer: Uint8Array, start: number, end: number): boolean => {
    const frame = decodeFrame(buffer, start, end);
    if (frame.opcode === OPCODES.disconnect) {
      const reason = saidByPeer(decodeGoodbye(frame.payload));
      this.saidGoodbye = true;
      this.#unhurried = this.#leaving !== undefined;
      this.#over(reason, undefined);
    } else {
      this.framesIn++;
      if (!isCoreOpcode(frame.opcode)) this.messagesIn++;
      this.handler.frame(frame);
    }
    return this.#held === undefined && this.#reason === undefined;
  };

  #violated(error: unknown): void {
    const reason = asNetworkError(error, "FRAME_MALFORMED", "input could not be processed");
    this.close({ code: reason.code, text: reason.message }, reason);
  }

  #sawEnd(goodbye: boolean): void {
    if (this.#reason !== undefined) return;
    const reason =
      goodbye && !this.#decoder.partial
        ? networkError("STREAM_CLOSED", "closed by the peer without a reason")
        : networkError("TRUNCATED", "the connection was cut without a goodbye");
    this.#over(reason, undefined);
  }

  /** Ends for everybody above, then winds the bytes down: what was accepted, the goodbye, the other side's end. */
  #over(reason: NetworkError, goodbye: Goodbye | undefined): void {
    if (this.#reason !== undefined) return;
    this.#end(reason);
    const say = this.#leaving === undefined ? goodbye : this.#owed;
    if (say === undefined && this.#leaving === undefined) this.#outbox.close(reason);
    void this.#windDown(reason, say);
  }

  #sayGoodbye(goodbye: Goodbye): void {
    try {
      const body = [encodeGoodbye(goodbye)];
      this.#outbox.append(LANES.bulk, encodeHeader(OPCODES.disconnect, 0, 0, body), body);
    } catch {
      // The queue is full: the goodbye is lost, the end of the connection still tells.
    }
  }

  async #windDown(reason: NetworkError, goodbye: Goodbye | undefined): Promise<void> {
    const { connection } = this.#link;
    this.congested(false);
    if (goodbye !== undefined) this.#sayGoodbye(goodbye);
    await this.#outbox.flushed();
    this.#outbox.close(reason);
    await connection.end();
    if (!this.#readingOver) {
      this.#reading = deferred();
      await this.#reading.promise;
    }
    this.#timer?.cancel();
    await connection.close();
    this.#cut(reason);
  }

  /** For the outbox: a session that cannot seal any more is beyond use. */
  sealingFailed(error: unknown): void {
    this.abort(asNetworkError(error, "STREAM_CLOSED", "sealing failed"));
  }

  /**
   * For the outbox. A peer that takes no byte for too long while some wait is closed: a slow reader costs a
   * bounded queue, not an endless one. Once the stream is over, whatever still goes out gives the rest new time.
   */
  congested(now: boolean): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { runtime, limits } = this.#options;
    const over = this.#reason;
    if (this.#releasedAlready) return;
    if (over !== undefined) {
      const { stallTimeoutMs, closeTimeoutMs } = limits;
      const patienceMs = this.#unhurried ? stallTimeoutMs : closeTimeoutMs;
      this.#timer = runtime.setTimer(() => this.#cut(over), patienceMs);
    } else if (now) {
      this.#timer = runtime.setTimer(() => {
        this.abort(
          networkError("STREAM_IDLE", `the peer took nothing for ${limits.stallTimeoutMs} ms`),
        );
      }, limits.stallTimeoutMs);
    }
  }
}
