/**
 * Peer: who is at the other end, whether broadcasts go there, and what was asked and not yet answered. Holds
 * exactly one stream. Replies are matched here, before any plugin sees them.
 */

import { type Channel, ChannelHost } from "./channel.ts";
import type { DatagramPipe, Side } from "./connection.ts";
import { PeerDatagrams } from "./datagrams.ts";
import { NetworkError, networkError } from "./errors.ts";
import { FLAGS, type Frame } from "./frame.ts";
import { type Goodbye, saidByUs } from "./goodbye.ts";
import { confirmationOf, greetingByte, isStay } from "./greeting.ts";
import type { PeerId } from "./identity.ts";
import { LANES, type Lane } from "./lane.ts";
import {
  checkMessage,
  flagsOf,
  InboundMessage,
  isSigned,
  type Message,
  type MessageOrigin,
  type MessageType,
  payloadOf,
} from "./message.ts";
import { Move } from "./move.ts";
import { isAuditOpcode, isCoreOpcode, OPCODES } from "./opcode.ts";
import type { Batch } from "./outbox.ts";
import type { Peer, PeerOwner } from "./peer-types.ts";
import { Requests } from "./requests.ts";
import type { Stream } from "./stream.ts";
import { addTraffic, noTraffic, type Traffic } from "./traffic.ts";

export type { Peer, PeerOwner } from "./peer-types.ts";

export class LivePeer implements Peer, MessageOrigin {
  readonly id: PeerId;
  readonly authenticated: boolean;
  writable = false;
  passing = false;
  roundTripMs: number | undefined;
  connected = false;
  /** Whether it ever was in the table. */
  admitted = false;
  /** `runtime.wallClock()` at admission. */
  since = 0;
  /** What last went wrong with it: a message its queue refused, a request it did not answer, its end. */
  lastError: NetworkError | undefined;
  /** Hooks under way for this peer's messages. */
  inFlight = 0;
  readonly #owner: PeerOwner;
  /** Whether it is to be writable once it stays. */
  #worthy = false;
  #holds = 0;
  /** Requests under way that are no audits. */
  #asking = 0;
  /** Numbers the channels, and stays what it was when the peer moves. */
  readonly #channelSide: Side;
  #stream: Stream;
  #move: Move | undefined;
  /** Of streams that the peer moved away from. */
  readonly #past: Traffic = noTraffic();
  /** Made with the first request, as what follows is with its first use: most peers of a large network are idle. */
  #requests: Requests | undefined;
  #channels: ChannelHost | undefined;
  #datagrams: PeerDatagrams | undefined;

  constructor(id: PeerId, stream: Stream, owner: PeerOwner) {
    this.id = id;
    this.authenticated = id.proved;
    this.#stream = stream;
    this.#channelSide = stream.side;
    this.#owner = owner;
  }

  /** Where it is written to. */
  get stream(): Stream {
    return this.#stream;
  }

  /** An older stream still brings what the other side had accepted for it. */
  get moving(): boolean {
    return this.#move !== undefined;
  }

  /** Counted over all its streams. */
  get traffic(): Traffic {
    const total = { ...this.#past };
    addTraffic(total, this.#stream);
    if (this.#move !== undefined) addTraffic(total, this.#move.from);
    return total;
  }

  /** Goes over to another stream of the same node; `done` is called when the old one is over. */
  moveTo(to: Stream, hooks: { readonly done: () => void; readonly released: () => void }): void {
    const { runtime, limits } = this.#owner;
    const from = this.#stream;
    this.#stream = to;
    to.handler = this;
    this.#datagrams?.moveTo(to.datagrams);
    this.#move = new Move({
      from,
      to,
      runtime,
      // The other side may have much to read first: it is given what a live stream is given.
      patienceMs: limits.stallTimeoutMs,
      frame: (frame) => this.frame(frame),
      over: (error) => {
        this.#move = undefined;
        addTraffic(this.#past, from);
        hooks.done();
        // What was on the old stream is gone: who went on would have a hole in his messages and not know.
        const text = `the stream it moved from was lost: ${error?.message}`;
        if (error !== undefined) this.close({ code: error.code, text });
        else if (!this.paused) to.release();
      },
      released: hooks.released,
    });
  }

  get worthy(): boolean {
    return this.writable || (this.passing && this.#worthy);
  }

  /** Reads no more until `resume`. */
  pause(): void {
    this.#move?.from.hold();
    this.#stream.hold();
  }

  resume(): void {
    if (this.#move === undefined) this.#stream.release();
    else this.#move.from.release();
  }

  /** It is here in passing: what it may be once it stays is kept. */
  pass(): void {
    this.passing = true;
    this.#worthy = this.writable;
    this.writable = false;
    this.#owner.used(this);
  }

  /** It is here for good from now on, and the other side is told. Nothing for a peer that is. */
  stay(): void {
    if (!this.passing) return;
    this.#stays();
    void this.#postCore(LANES.control, OPCODES.stay, []).catch((error) => this.#failed(error));
  }

  #stays(): void {
    if (!this.passing) return;
    this.passing = false;
    this.writable ||= this.#worthy;
    this.#owner.used(this);
  }

  hold(): () => void {
    let held = true;
    this.#holds++;
    return () => {
      if (held) this.#holds--;
      if (held && this.passing) this.#owner.used(this);
      held = false;
    };
  }

  /** Whether somebody here has use for it, though no message may come or go. */
  get inUse(): boolean {
    const waiting = this.#asking + this.inFlight + this.queuedBytes;
    return this.#holds + this.channels + waiting > 0 || this.moving;
  }

  #uses(opcode: number): void {
    if (!isAuditOpcode(opcode)) this.#owner.used(this);
  }

  get networkId(): Uint8Array {
    return this.#owner.networkId;
  }

  /** A body broke its type: this peer is at fault. */
  malformed(error: Error): void {
    this.close({ code: "BODY_MALFORMED", text: error.message });
  }

  get address(): string {
    return this.stream.address;
  }

  get side(): Side {
    return this.stream.side;
  }

  get auth(): unknown {
    return this.stream.auth;
  }

  get bytesIn(): number {
    return this.traffic.bytesIn;
  }

  get queuedBytes(): number {
    return this.stream.queuedBytes;
  }

  get paused(): boolean {
    return this.inFlight >= this.#owner.limits.maxInFlight;
  }

  get pendingRequests(): number {
    return this.#requests?.size ?? 0;
  }

  get channels(): number {
    return this.#channels?.count ?? 0;
  }

  send(message: Message): Promise<void> {
    checkMessage(message, this.#owner.limits);
    return this.#post(LANES.normal, message, this.#nonceOf(message), flagsOf(message));
  }

  /** Answers `message`: the other side's `request` with that nonce resolves. */
  reply(message: Message, to: InboundMessage): Promise<void> {
    checkMessage(message, this.#owner.limits);
    if (isSigned(message))
      throw new TypeError("a signed message has its own nonce and cannot be a reply");
    return this.#post(LANES.reply, message, to.nonce, FLAGS.reply);
  }

  /** One frame encoded for many peers. Throws what `Stream.send` throws. */
  sendEncoded(header: Uint8Array, payload: readonly Uint8Array[]): Batch {
    try {
      if (this.passing) this.#owner.used(this);
      return this.stream.sendEncoded(LANES.normal, header, payload);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  request<R>(
    message: Message,
    reply: MessageType<R>,
    options: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<R> {
    checkMessage(message, this.#owner.limits);
    if (typeof reply?.decode !== "function") throw new TypeError("reply must be a message type");
    if (options.timeoutMs !== undefined && !(options.timeoutMs > 0))
      throw new RangeError("timeoutMs must be a positive number");
    if (isSigned(message) && this.#requests?.has(message.nonce))
      throw new TypeError("this signed message already waits for its reply; sign it anew");
    return this.#request(message, reply, options);
  }

  async #request<R>(
    message: Message,
    reply: MessageType<R>,
    options: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<R> {
    options.signal?.throwIfAborted();
    const nonce = this.#nonceOf(message);
    const send = (): void => {
      this.#send(LANES.normal, message, nonce, flagsOf(message));
    };
    if (isAuditOpcode(message.opcode)) return this.#asked.ask(nonce, reply, send, options);
    this.#asking++;
    try {
      return await this.#asked.ask(nonce, reply, send, options);
    } finally {
      this.#asking--;
    }
  }

  openChannel(name: string, options: { signal?: AbortSignal } = {}): Promise<Channel> {
    return this.#channelHost.open(name, options);
  }

  get datagrams(): DatagramPipe | undefined {
    const { datagrams } = this.stream;
    if (datagrams === undefined) return undefined;
    this.#datagrams ??= new PeerDatagrams(datagrams, this.stream.ended !== undefined);
    return this.#datagrams;
  }

  /** One frame of an admitted peer. Throws `ProtocolError` when the protocol is broken. */
  frame(frame: Frame): void {
    if (isCoreOpcode(frame.opcode)) {
      this.#coreFrame(frame);
      return;
    }
    if (this.passing) this.#uses(frame.opcode);
    const message = new InboundMessage(frame, this.id, this);
    if (message.isReply && this.#requests?.answered(message) === true) return;
    this.#owner.received(this, message);
  }

  /** The stream is over: everything that waits for this peer fails now, with the reason. */
  ended(reason: NetworkError): void {
    this.lastError = reason;
    this.#requests?.fail(reason);
    this.#channels?.close(reason);
    this.#datagrams?.finish();
    this.#move?.from.close({ code: "STREAM_CLOSED", text: "the peer is over" });
    this.#owner.left(this, reason);
  }

  released(): void {
    this.#owner.released(this);
  }

  close(goodbye: Goodbye): void {
    this.stream.close(goodbye, saidByUs(goodbye, { peer: this.id.text, address: this.address }));
  }

  #coreFrame(frame: Frame): void {
    if (frame.opcode === OPCODES.bytes) {
      this.#channelHost.receive(frame.payload);
      return;
    }
    if (isStay(frame)) {
      this.#stays();
      return;
    }
    // An unproved dialer needs no confirmation: it was admitted before its own arrived, which comes first.
    const unneeded = frame.opcode === OPCODES.confirm && this.side === "listener";
    if (unneeded && !this.authenticated && this.stream.framesIn === 1) {
      if (confirmationOf(greetingByte(frame, OPCODES.confirm) ?? 0).passing) this.pass();
      return;
    }
    throw networkError("FRAME_MALFORMED", `opcode ${frame.opcode} has no place here`);
  }

  #nonceOf(message: Message): number {
    if (isSigned(message)) return message.nonce;
    let nonce = this.#owner.nextNonce();
    while (this.#requests?.has(nonce)) nonce = this.#owner.nextNonce();
    return nonce;
  }

  #post(lane: Lane, message: Message, nonce: number, flags: number): Promise<void> {
    return sentOrRefused(() => this.#send(lane, message, nonce, flags));
  }

  #send(lane: Lane, message: Message, nonce: number, flags: number): Batch {
    try {
      if (this.passing) this.#uses(message.opcode);
      return this.stream.send(lane, message.opcode, nonce, flags, payloadOf(message));
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): unknown {
    if (error instanceof NetworkError) this.lastError = error;
    return error;
  }

  get #asked(): Requests {
    const { runtime, limits } = this.#owner;
    this.#requests ??= new Requests({
      runtime,
      limits,
      peer: this.id.text,
      late: (error) => {
        this.lastError = error;
      },
    });
    return this.#requests;
  }

  get #channelHost(): ChannelHost {
    this.#channels ??= new ChannelHost({
      side: this.#channelSide,
      limits: this.#owner.limits,
      runtime: this.#owner.runtime,
      port: { send: (lane, body) => this.#postCore(lane, OPCODES.bytes, body) },
      handler: (name) => {
        const handler = this.#owner.channelHandler(name);
        return handler === undefined ? undefined : (channel) => handler(channel, this);
      },
      fault: (error) => this.close({ code: error.code, text: error.message }),
    });
    return this.#channels;
  }

  #postCore(lane: Lane, opcode: number, body: readonly Uint8Array[]): Promise<void> {
    return sentOrRefused(() => this.stream.send(lane, opcode, 0, 0, body));
  }
}

/** When a batch is out, or a rejection that crashes nobody who does not look at it. */
function sentOrRefused(send: () => Batch): Promise<void> {
  try {
    return send().sent;
  } catch (error) {
    const rejection = Promise.reject(error);
    rejection.catch(() => {});
    return rejection;
  }
}
