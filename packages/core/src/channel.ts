/**
 * Channels: any number of byte pipes inside one peer's stream (opcode `bytes`). The host numbers them, hands
 * each frame to its channel, and gives their data turns, one frame each, so that few ever wait in the bulk
 * lane. It never sees a message, and keeps nothing of a channel that is over.
 *
 * The stream's dialer numbers its channels 0, 2, 4 ..., its listener 1, 3, 5 ... without gaps; so every id
 * below the next one was used once, and a late frame for it is ignored without remembering anything.
 */

import { readU32 } from "./bytes.ts";
import { BlockPool } from "./channel-buffer.ts";
import {
  decodeCredit,
  decodeOpen,
  decodeReset,
  encodeCredit,
  encodeName,
  encodeOpen,
  encodeReset,
  HEADER_BYTES,
  KINDS,
  MAX_U32,
  malformed,
  RESETS,
} from "./channel-frame.ts";
import { ByteChannel, type Channel, type ChannelOwner, channelReset } from "./channel-pipe.ts";
import type { Side } from "./connection.ts";
import { asError, asNetworkError, type NetworkError, networkError } from "./errors.ts";
import { LANES, type Lane } from "./lane.ts";
import type { Limits } from "./limits.ts";
import { type Deferred, deferred } from "./queue.ts";
import type { Runtime, Timer } from "./runtime.ts";

export type { Channel } from "./channel-pipe.ts";

/** Data of all channels that waits in the port at once. Enough to keep a socket busy, little enough to share it fairly. */
const PORT_BYTES = 128 * 1024;
/** An open, an accept, a credit or two, a reset, at their largest. */
const CONTROL_BYTES_PER_CHANNEL = 2 * 1024;
/** What a waiting frame costs beside its bytes. */
const FRAME_OVERHEAD_BYTES = 256;

export interface ChannelPort {
  /**
   * Sends one frame of opcode `bytes` whose body is the pieces joined. Resolves when it is handed to the
   * socket, rejects `StreamError`. The pieces are copied or sealed before it returns. Never throws.
   */
  send(lane: Lane, body: readonly Uint8Array[]): Promise<void>;
}

export type ChannelHandler = (channel: Channel) => void | Promise<void>;

export interface ChannelHostOptions {
  /** Our side of the stream. */
  readonly side: Side;
  readonly port: ChannelPort;
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  /** The handler registered for this name, if any. */
  handler(name: string): ChannelHandler | undefined;
  /** The peer broke the channel protocol: its owner closes it. Called at most once. */
  fault(error: NetworkError): void;
}

export class ChannelHost {
  readonly #options: ChannelHostOptions;
  readonly #owner: ChannelOwner;
  readonly #blocks = new BlockPool();
  readonly #channels = new Map<number, ByteChannel>();
  /** Ours that the other side has not answered yet. */
  readonly #opening = new Map<number, Deferred<Channel>>();
  #nextId: number;
  #nextRemoteId: number;
  /** Channels with a frame to send, in the order of their turns. */
  readonly #ready = new Set<ByteChannel>();
  /** Handlers under way. They may outlive their channels, and are bounded like them. */
  #handling = 0;
  #pumping = false;
  #dataWaiting = 0;
  #controlWaiting = 0;
  readonly #controlBound: number;
  /** Why no frame is sent or received any more: a fault of the peer, or its end. */
  #over: Error | undefined;

  constructor(options: ChannelHostOptions) {
    this.#options = options;
    this.#nextId = options.side === "dialer" ? 0 : 1;
    this.#nextRemoteId = 1 - this.#nextId;
    // What the channels themselves may need, and refusals of the peer's opens, which it may send without end.
    const { maxChannels, maxSendBufferBytes } = options.limits;
    this.#controlBound = maxChannels * CONTROL_BYTES_PER_CHANNEL + maxSendBufferBytes;
    const window = Math.floor(options.limits.channelWindowBytes);
    this.#owner = {
      limits: options.limits,
      runtime: options.runtime,
      blocks: this.#blocks,
      window: Math.min(Math.max(window, 1), MAX_U32),
      control: (frame) => this.#control(frame),
      ready: (channel) => this.#wake(channel),
      release: (channel) => this.#release(channel),
    };
  }

  /** Channels that are open, being opened, or ended with bytes still unread. */
  get count(): number {
    return this.#channels.size;
  }

  /**
   * Resolves when the other side accepted. Rejects `CHANNEL_RESET` when it refused or either side is at
   * `maxChannels`, `STREAM_CLOSED` when the peer is gone, or with the signal's reason; without a signal
   * `REQUEST_TIMEOUT` after `requestTimeoutMs`. Throws `TypeError` unless `name` is 1-256 bytes of UTF-8.
   * The signal means nothing once the channel is open.
   */
  open(name: string, options: { readonly signal?: AbortSignal } = {}): Promise<Channel> {
    const encoded = encodeName(name);
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#over !== undefined) {
      const details = { cause: this.#over };
      return Promise.reject(networkError("STREAM_CLOSED", "the peer's stream is closed", details));
    }
    if (this.count >= this.#options.limits.maxChannels || this.#nextId > MAX_U32) {
      return Promise.reject(channelReset(`the peer has ${this.count} channels open already`));
    }
    const id = this.#nextId;
    this.#nextId += 2;
    const channel = this.#add(id, name, "dialer");
    const opening = deferred<Channel>();
    this.#opening.set(id, opening);
    const { signal } = options;
    const giveUp = (reason: unknown): void => {
      if (!this.#opening.has(id)) return;
      opening.reject(reason);
      channel.abort(asError(reason));
    };
    const onAbort = (): void => giveUp(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = signal === undefined ? this.#startOpenTimer(name, giveUp) : undefined;
    void channel.closed.then((error) => opening.reject(error));
    this.#control(encodeOpen(id, this.#owner.window, encoded));
    return opening.promise.finally(() => {
      signal?.removeEventListener("abort", onAbort);
      timer?.cancel();
    });
  }

  /** Takes the body of one frame of opcode `bytes`, which must not change afterwards. Never throws. */
  receive(body: Uint8Array): void {
    if (this.#over !== undefined) return;
    try {
      this.#dispatch(body);
    } catch (thrown) {
      this.#fault(asNetworkError(thrown, "FRAME_MALFORMED", "a channel frame failed"));
    }
  }

  /** The peer is gone: opens and channels end with `reason`, nothing more is sent. Idempotent. */
  close(reason: NetworkError): void {
    this.#over ??= reason;
    for (const channel of this.#channels.values()) channel.lose(reason, false);
  }

  #startOpenTimer(name: string, late: (error: NetworkError) => void): Timer {
    const { limits, runtime } = this.#options;
    const text = `the other side did not answer the opening of ${name}`;
    return runtime.setTimer(
      () => late(networkError("REQUEST_TIMEOUT", text)),
      limits.requestTimeoutMs,
    );
  }

  #dispatch(body: Uint8Array): void {
    if (body.length < HEADER_BYTES) throw malformed("is shorter than its header");
    const kind = body[0] as number;
    const id = readU32(body, 1);
    if (kind === KINDS.open) {
      this.#receiveOpen(id, body);
      return;
    }
    const channel = this.#channels.get(id);
    if (channel === undefined) {
      const next = id % 2 === this.#nextId % 2 ? this.#nextId : this.#nextRemoteId;
      if (id >= next) throw malformed(`is about channel ${id}, which was never opened`);
      return;
    }
    switch (kind) {
      case KINDS.data:
        channel.receiveData(body.subarray(HEADER_BYTES));
        return;
      case KINDS.credit:
        if (this.#opening.has(id)) throw malformed("grants credit before it accepts");
        channel.receiveCredit(decodeCredit(body));
        return;
      case KINDS.accept:
        this.#receiveAccept(channel, decodeCredit(body));
        return;
      case KINDS.end:
        if (body.length !== HEADER_BYTES) throw malformed("ends a channel in a wrong length");
        channel.receiveEnd();
        return;
      case KINDS.reset: {
        const { code, reason } = decodeReset(body);
        channel.receiveReset(code, reason);
        return;
      }
      default:
        throw malformed(`is of the unknown kind ${kind}`);
    }
  }

  #receiveOpen(id: number, body: Uint8Array): void {
    const { credit, name } = decodeOpen(body);
    if (id !== this.#nextRemoteId) {
      throw malformed(`opens channel ${id} where ${this.#nextRemoteId} is next`);
    }
    this.#nextRemoteId += 2;
    const handler = this.#options.handler(name);
    if (handler === undefined) {
      this.#control(encodeReset(id, RESETS.refused, `no handler for ${name}`));
      return;
    }
    const busy = Math.max(this.count, this.#handling);
    if (busy >= this.#options.limits.maxChannels) {
      this.#control(encodeReset(id, RESETS.refused, `${busy} channels are open already`));
      return;
    }
    const channel = this.#add(id, name, "listener");
    this.#control(encodeCredit(KINDS.accept, id, this.#owner.window));
    channel.receiveCredit(credit);
    void this.#handle(channel, handler);
  }

  async #handle(channel: ByteChannel, handler: ChannelHandler): Promise<void> {
    this.#handling++;
    try {
      await handler(channel);
    } catch (cause) {
      // The other side learns that it failed, and only this side why.
      channel.abort(networkError("CHANNEL_RESET", "handler failed", { cause }));
    } finally {
      this.#handling--;
    }
  }

  #receiveAccept(channel: ByteChannel, credit: number): void {
    const opening = this.#opening.get(channel.id);
    if (opening === undefined) throw malformed(`accepts channel ${channel.id} unasked`);
    this.#opening.delete(channel.id);
    channel.receiveCredit(credit);
    opening.resolve(channel);
  }

  #add(id: number, name: string, side: Side): ByteChannel {
    const channel = new ByteChannel(this.#owner, id, name, side);
    this.#channels.set(id, channel);
    return channel;
  }

  #release(channel: ByteChannel): void {
    this.#channels.delete(channel.id);
    this.#opening.delete(channel.id);
    this.#ready.delete(channel);
    if (this.count === 0) this.#blocks.clear();
  }

  /** A frame ahead of all data. A peer that makes us answer and takes no answer is bounded here. */
  #control(frame: Uint8Array): void {
    if (this.#over !== undefined) return;
    const cost = frame.length + FRAME_OVERHEAD_BYTES;
    this.#controlWaiting += cost;
    if (this.#controlWaiting > this.#controlBound) {
      const text = "the peer takes none of the channel frames that answer its own";
      this.#fault(networkError("SEND_BUFFER_FULL", text));
      return;
    }
    this.#options.port.send(LANES.control, [frame]).then(
      () => {
        this.#controlWaiting -= cost;
      },
      (thrown) => {
        // The two sides no longer agree about a channel, and no frame can repair it.
        this.#fault(asNetworkError(thrown, "STREAM_CLOSED", "a channel frame was not sent"));
      },
    );
  }

  #wake(channel: ByteChannel): void {
    this.#ready.add(channel);
    this.#schedulePump();
  }

  /** In a microtask, so that the writes of one tick share frames. */
  #schedulePump(): void {
    if (this.#pumping || this.#ready.size === 0 || this.#dataWaiting >= PORT_BYTES) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    for (const channel of this.#ready) {
      if (this.#over !== undefined || this.#dataWaiting >= PORT_BYTES) return;
      // A channel with more to send goes to the back of the set, which this loop reaches in its turn.
      this.#ready.delete(channel);
      if (!channel.hasFrame) continue;
      this.#sendFrame(channel);
      if (channel.hasFrame) this.#ready.add(channel);
    }
  }

  #sendFrame(channel: ByteChannel): void {
    const pieces = channel.nextFrame();
    let cost = FRAME_OVERHEAD_BYTES;
    for (const piece of pieces) cost += piece.length;
    this.#dataWaiting += cost;
    this.#options.port.send(LANES.bulk, pieces).then(
      () => {
        this.#dataWaiting -= cost;
        channel.handedOver();
        this.#schedulePump();
      },
      (thrown) => {
        this.#dataWaiting -= cost;
        const text = "a channel's data was not sent";
        channel.abort(asNetworkError(thrown, "STREAM_CLOSED", text), false);
        this.#schedulePump();
      },
    );
    channel.recycle();
  }

  #fault(error: NetworkError): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#options.fault(error);
  }
}
