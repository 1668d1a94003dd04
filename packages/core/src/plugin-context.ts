/**
 * Plugin contexts: what a hook is given. One object for each event, the same for every plugin and for
 * both spellings of the hooks.
 */

import { asError, type NetworkError } from "./errors.ts";
import type { PeerId } from "./identity.ts";
import type { InboundMessage, Message } from "./message.ts";
import type { Network } from "./network.ts";
import type { LivePeer, Peer } from "./peer.ts";
import type { MessageContext, NetworkContext, PeerContext } from "./plugin.ts";
import type { Runtime } from "./runtime.ts";

/** Whoever shows delivered messages to the plugins. */
export interface Deliverer {
  deliver(message: Message, origin: PeerId, via: Peer): void;
}

/** Time and randomness for plugins: a timer's callback that throws is told to `failed`, and not to the process. */
export function sheltered(runtime: Runtime, failed: (error: Error) => void): Runtime {
  return {
    now: () => runtime.now(),
    wallClock: () => runtime.wallClock(),
    randomBytes: (length) => runtime.randomBytes(length),
    setTimer: (callback, delayMs) =>
      runtime.setTimer(() => {
        try {
          callback();
        } catch (error) {
          failed(asError(error));
        }
      }, delayMs),
  };
}

/** For `startup` and `close`. */
export function networkContext(network: Network, deliverer: Deliverer): NetworkContext {
  return Object.freeze({
    network,
    deliver: (message: Message, origin: PeerId, via?: Peer) => {
      if (via === undefined) throw new TypeError("via is needed outside a peer's context");
      deliverer.deliver(message, origin, via);
    },
  });
}

/** For `nodeAdded`, and with a reason for `nodeDeleted`. */
export function peerContext(
  network: Network,
  deliverer: Deliverer,
  peer: LivePeer,
  reason?: NetworkError,
): PeerContext {
  return Object.freeze({
    network,
    peer,
    ...(reason === undefined ? {} : { reason }),
    deliver: (message: Message, origin: PeerId, via: Peer = peer) =>
      deliverer.deliver(message, origin, via),
  });
}

/**
 * For `newMessage`. A class, with getters: one is made per message, closures only for who asks, and no plugin
 * can change what the next one is given.
 */
export class ReceivedContext implements MessageContext {
  readonly #network: Network;
  readonly #peer: LivePeer;
  readonly #message: InboundMessage;
  readonly #deliverer: Deliverer;
  readonly #reply: ((message: Message) => Promise<void>) | undefined;

  constructor(
    network: Network,
    deliverer: Deliverer,
    peer: LivePeer,
    message: InboundMessage,
    reply?: (message: Message) => Promise<void>,
  ) {
    this.#network = network;
    this.#deliverer = deliverer;
    this.#peer = peer;
    this.#message = message;
    this.#reply = reply;
  }

  get network(): Network {
    return this.#network;
  }

  get peer(): Peer {
    return this.#peer;
  }

  get message(): InboundMessage {
    return this.#message;
  }

  get reply(): (message: Message) => Promise<void> {
    return this.#reply ?? ((message) => this.#peer.reply(message, this.#message));
  }

  get deliver(): (message: Message, origin: PeerId, via?: Peer) => void {
    return (message, origin, via = this.#peer) => this.#deliverer.deliver(message, origin, via);
  }
}
