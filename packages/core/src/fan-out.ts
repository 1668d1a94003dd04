/**
 * Fan-out: one message to many peers, encoded once. The only such loop there is.
 */

import { parseAddress, shownAddress } from "./address.ts";
import { fromBase64 } from "./bytes.ts";
import { PeerDelivery } from "./delivery.ts";
import { asNetworkError, networkError } from "./errors.ts";
import { encodeHeader } from "./frame.ts";
import { PeerId } from "./identity.ts";
import type { Logger } from "./logger.ts";
import { flagsOf, isSigned, type Message, payloadOf } from "./message.ts";
import type { LivePeer, Peer } from "./peer.ts";

/** A peer, its id, its id's text, or an address of it. */
export type PeerName = Peer | PeerId | string;

export interface FanOutOptions {
  readonly logger: Logger;
  nextNonce(): number;
  /** The live peer of that name, if there is one. Throws `AddressError` for text that names nothing. */
  find(name: PeerName): LivePeer | undefined;
  dial(address: string): Promise<LivePeer>;
}

export class FanOut {
  readonly #options: FanOutOptions;

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  toPeers(message: Message, peers: readonly LivePeer[]): PeerDelivery {
    const delivery = new PeerDelivery();
    if (peers.length > 0) this.#post(message, peers, delivery);
    return delivery;
  }

  /** Addresses not connected are dialled; an id not connected is a failure of the delivery, never silence. */
  toNamed(message: Message, names: readonly PeerName[]): PeerDelivery {
    const delivery = new PeerDelivery();
    const here = new Set<LivePeer>();
    // All names are read before anything is dialled: a bad one must not leave half a broadcast behind.
    const found = names.map((name) => ({ name, peer: this.#options.find(name) }));
    for (const { name, peer } of found) {
      if (peer !== undefined) here.add(peer);
      else if (isAddress(name)) this.#toAddress(message, name, delivery, here);
      else this.#toNobody(message, name, delivery);
    }
    if (here.size > 0) this.#post(message, [...here], delivery);
    return delivery;
  }

  #post(message: Message, peers: readonly LivePeer[], delivery: PeerDelivery): void {
    const payload = payloadOf(message);
    const nonce = isSigned(message) ? message.nonce : this.#options.nextNonce();
    const header = encodeHeader(message.opcode, nonce, flagsOf(message), payload);
    for (const peer of peers) {
      try {
        delivery.add(peer, peer.sendEncoded(header, payload));
      } catch (error) {
        delivery.fail(peer, asNetworkError(error, "STREAM_CLOSED", "not sent"));
      }
    }
  }

  /** `served` are the peers that have the message: several names may turn out to be one peer. */
  #toAddress(
    message: Message,
    address: string,
    delivery: PeerDelivery,
    served: Set<LivePeer>,
  ): void {
    const sending = this.#options.dial(address).then(
      (peer) => {
        if (served.has(peer)) return;
        served.add(peer);
        this.#post(message, [peer], delivery);
      },
      (error: unknown) => {
        const { logger } = this.#options;
        const shown = shownAddress(address);
        logger.warn(
          { address: shown, opcode: message.opcode },
          "a broadcast's address was not reached",
        );
        delivery.fail(
          address,
          asNetworkError(error, "DIAL_REFUSED", "not sent", { address: shown }),
        );
      },
    );
    delivery.wait(sending);
  }

  #toNobody(message: Message, name: PeerName, delivery: PeerDelivery): void {
    const peer = idOf(name);
    const { logger } = this.#options;
    logger.warn({ peer, opcode: message.opcode }, "a broadcast named a peer that is not connected");
    const why = `peer ${peer} is not connected; add its address first`;
    const shown = typeof name === "string" || name instanceof PeerId ? peer : name;
    delivery.fail(shown, networkError("STREAM_CLOSED", why, { peer }));
  }
}

/** Whether a name is neither a peer nor an id. Throws `AddressError` when it is no address either. */
function isAddress(name: PeerName): name is string {
  if (typeof name !== "string" || fromBase64(name)?.length === 32) return false;
  parseAddress(name);
  return true;
}

/** The id's text that a name stands for; an address stands for itself. */
export function idOf(name: PeerName): string {
  if (typeof name === "string") return name;
  return name instanceof PeerId ? name.text : name.id.text;
}
