/**
 * Peer types: what users and plugins see of a peer, and what a peer asks of whoever holds it.
 */

import type { Channel } from "./channel.ts";
import type { DatagramPipe, Side } from "./connection.ts";
import type { NetworkError } from "./errors.ts";
import type { Goodbye } from "./goodbye.ts";
import type { PeerId } from "./identity.ts";
import type { Limits } from "./limits.ts";
import type { InboundMessage, Message, MessageType } from "./message.ts";
import type { LivePeer } from "./peer.ts";
import type { Runtime } from "./runtime.ts";

/** What users and plugins see of a peer. */
export interface Peer {
  readonly id: PeerId;
  /** How we reached it, or where it came from. */
  readonly address: string;
  readonly side: Side;
  /** Whether the handshake proved its key. */
  readonly authenticated: boolean;
  /** What the transform's own authorisation said, for example `shs`'s `authenticate`. */
  readonly auth: unknown;
  /** Whether `broadcast(msg)` and `broadcastRandomly` go to it. Set it at any time. */
  writable: boolean;
  /**
   * Met only to ask something: not writable, not wanted, and closed once nobody uses it (`limits.passingIdleMs`).
   * False for ever once either side's `network.add` wants it to stay.
   */
  readonly passing: boolean;
  /**
   * Writable; or, in passing, what would be once it stays. For plugins that hand on messages of their own accord:
   * this is whom the application allows.
   */
  readonly worthy: boolean;
  /** The last measured round trip in milliseconds, once a plugin has measured one. */
  roundTripMs: number | undefined;
  /** False once it left the route table; it never comes back as this object. */
  readonly connected: boolean;
  /** Bytes that came from it, as they were on the wire: when this stands still, the peer is silent. */
  readonly bytesIn: number;
  /** Bytes accepted for it and waiting for its connection. */
  readonly queuedBytes: number;
  /** Whether its reading waits for our own plugins (`limits.maxInFlight`): its silence is ours then. */
  readonly paused: boolean;
  /** Resolves when handed to the socket and the socket wants more; rejects `StreamError`, never drops in silence. */
  send(message: Message): Promise<void>;
  /**
   * Sends and waits for the reply. Rejects `REQUEST_TIMEOUT` after `timeoutMs` (default
   * `limits.requestTimeoutMs`), the signal's reason, or the reason the peer left with, at once.
   */
  request<R>(
    message: Message,
    reply: MessageType<R>,
    options?: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<R>;
  /** A byte pipe inside this peer's stream, once the other side's handler for `name` took it. */
  openChannel(name: string, options?: { signal?: AbortSignal }): Promise<Channel>;
  /**
   * Unreliable messages beside its stream; `undefined` where its stack has none. Those of a peer that moves to
   * another stream go on there, and rest while that has none. They end with the peer.
   */
  readonly datagrams: DatagramPipe | undefined;
  /**
   * Keeps a passing peer from being closed by this side for want of use, until the function returned is called,
   * or the peer leaves. Counted: each hold has its own end, and a second call of one does nothing.
   */
  hold(): () => void;
  /**
   * Leaves it politely: what was sent still goes out, then `goodbye` tells it why. Its address stays
   * wanted, so it may be dialled again; `network.delete(peer)` takes the address back. Idempotent.
   */
  close(goodbye: Goodbye): void;
}

/** What a peer asks of whoever holds it. */
export interface PeerOwner {
  readonly networkId: Uint8Array;
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  nextNonce(): number;
  received(peer: LivePeer, message: InboundMessage): void;
  left(peer: LivePeer, reason: NetworkError): void;
  /** Nothing of its stream is left. */
  released(peer: LivePeer): void;
  /** A peer in passing was used, or is lasting from now on. */
  used(peer: LivePeer): void;
  channelHandler(
    name: string,
  ): ((channel: Channel, peer: Peer) => void | Promise<void>) | undefined;
}
