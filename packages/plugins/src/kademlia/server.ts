/**
 * Server: answers what other nodes ask, from the table and the store, never by asking further.
 *
 * Each peer has a budget; one that goes far beyond it is closed. Only nodes that passed a check of ours are
 * handed out, and the one that asks is not told of itself.
 */

import {
  type InboundMessage,
  type Message,
  type MessageContext,
  NetworkError,
  type Peer,
} from "@testudo/core";
import { isExpired } from "../record/record.ts";
import { Budget } from "./budget.ts";
import {
  FindValue,
  LookupRequest,
  LookupResponse,
  MAX_RECORDS,
  RecordNews,
  StoreRequest,
  StoreResponse,
} from "./messages.ts";
import type { Overlay } from "./overlay.ts";
import { STORED, type Store, type Stored } from "./store.ts";
import { readValue } from "./value.ts";

/** Questions of one peer a second, and at once. */
const QUESTIONS_PER_SECOND = 50;
const QUESTIONS_BURST = 200;
/** So many questions beyond that, and the peer is closed. */
const MAX_EXCESS = 1_000;

interface Account {
  readonly budget: Budget;
  excess: number;
}

export class Server {
  readonly #overlay: Overlay;
  readonly #store: Store;
  /** By the text of a peer id; as long as it is a peer. */
  readonly #accounts = new Map<string, Account>();

  constructor(overlay: Overlay, store: Store) {
    this.#overlay = overlay;
    this.#store = store;
  }

  left(peer: Peer): void {
    this.#accounts.delete(peer.id.text);
  }

  /** Answers a message that is for us. A body that cannot be read closes its peer. */
  receive({ message, peer, reply }: MessageContext): Promise<void> | undefined {
    const answer = this.#answer(message, peer);
    return answer === undefined ? undefined : reply(answer);
  }

  #answer(message: InboundMessage, peer: Peer): Message | undefined {
    switch (message.opcode) {
      case LookupRequest.opcode:
      case FindValue.opcode:
      case StoreRequest.opcode:
      case RecordNews.opcode:
        break;
      default:
        return undefined;
    }
    if (!peer.authenticated || !this.#affords(peer)) return undefined;
    const record = message.as(RecordNews);
    if (record !== undefined) return this.#learn(record, peer);
    const lookup = message.as(LookupRequest);
    if (lookup !== undefined) return LookupResponse.of(this.#nearest(lookup, peer));
    const find = message.as(FindValue);
    if (find !== undefined) return LookupResponse.of(this.#find(find, peer));
    const value = message.as(StoreRequest);
    return value === undefined ? undefined : StoreResponse.of(this.#keep(value));
  }

  #affords(peer: Peer): boolean {
    const { now } = this.#overlay;
    let account = this.#accounts.get(peer.id.text);
    if (account === undefined) {
      account = { budget: new Budget(QUESTIONS_PER_SECOND, QUESTIONS_BURST, now), excess: 0 };
      this.#accounts.set(peer.id.text, account);
    }
    if (account.budget.take(1, now)) {
      account.excess = 0;
      return true;
    }
    if (++account.excess === MAX_EXCESS) {
      peer.close({ code: "PEER_REFUSED", text: "it asks more than a node may" });
    }
    return false;
  }

  /** A peer's own record. It is asked by the keeper before it is handed out. */
  #learn(bytes: Uint8Array, peer: Peer): undefined {
    try {
      const contact = this.#overlay.contact(bytes, this.#overlay.scopeOf(peer));
      if (contact === undefined) return;
      if (contact.id !== peer.id.text) return;
      this.#overlay.seen(contact, false);
      // Whom we dialled ourselves we may ask at once; strangers wait for the keeper's turn.
      if (peer.side === "dialer") this.#overlay.check(contact);
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      peer.close({ code: "BODY_MALFORMED", text: error.message });
    }
  }

  #nearest({ target, count }: LookupRequest, peer: Peer): LookupResponse {
    const { table, network } = this.#overlay;
    const now = network.runtime.wallClock();
    const contacts = table.closest(
      target,
      Math.min(count, MAX_RECORDS),
      ({ id, record }) => id !== peer.id.text && !isExpired(record.expiresAt, now),
    );
    const records = contacts.map(({ record }) => record.bytes);
    return { terminal: table.isSibling(target), records, value: undefined };
  }

  #find(request: LookupRequest, peer: Peer): LookupResponse {
    const value = this.#store.get(request.target, this.#overlay.network.runtime.wallClock());
    return { ...this.#nearest(request, peer), value: value?.bytes };
  }

  #keep(bytes: Uint8Array): Stored {
    const { network, table } = this.#overlay;
    try {
      const value = readValue(bytes, network.networkId);
      if (!table.isSibling(value.key) && table.siblings().length >= this.#overlay.options.s) {
        return STORED.elsewhere;
      }
      return this.#store.put(value, network.runtime.wallClock());
    } catch (error) {
      if (error instanceof NetworkError) return STORED.malformed;
      throw error;
    }
  }
}
