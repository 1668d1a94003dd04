/**
 * Server: answers what other nodes ask, from the table and the store, never by asking further.
 *
 * Each peer has a budget; one that goes far beyond it is closed. Only nodes that passed a check of ours are
 * handed out, and the one that asks is not told of itself.
 */

import {
  equal,
  type InboundMessage,
  type Message,
  type MessageContext,
  NetworkError,
  networkError,
  type Peer,
} from "@testudo/core";
import { isExpired } from "../record/record.ts";
import { sourceOf } from "../source.ts";
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
/** What keeping a value costs of it: a signature is verified. */
const STORE_COST = 4;
/** So many questions beyond that, and the peer is closed. */
const MAX_EXCESS = 1_000;
/** So many broken records, and the peer is closed. One may only be a clock that is wrong. */
const MAX_BROKEN = 8;

interface Account {
  readonly budget: Budget;
  excess: number;
  broken: number;
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
    if (!peer.authenticated || !peer.connected) return undefined;
    const account = this.#accountOf(peer);
    const cost = message.opcode === StoreRequest.opcode ? STORE_COST : 1;
    if (!this.#affords(account, cost, peer)) return undefined;
    const record = message.as(RecordNews);
    if (record !== undefined) return this.#learn(record, peer, account);
    const lookup = message.as(LookupRequest);
    if (lookup !== undefined) return LookupResponse.of(this.#nearest(lookup, peer));
    const find = message.as(FindValue);
    if (find !== undefined) return LookupResponse.of(this.#find(find, peer));
    const store = message.as(StoreRequest);
    return store === undefined ? undefined : StoreResponse.of(this.#keep(store, peer));
  }

  #accountOf(peer: Peer): Account {
    const { now } = this.#overlay;
    let account = this.#accounts.get(peer.id.text);
    if (account === undefined) {
      const budget = new Budget(QUESTIONS_PER_SECOND, QUESTIONS_BURST, now);
      account = { budget, excess: 0, broken: 0 };
      this.#accounts.set(peer.id.text, account);
    }
    return account;
  }

  #affords(account: Account, cost: number, peer: Peer): boolean {
    if (account.budget.take(cost, this.#overlay.now)) {
      account.excess = 0;
      return true;
    }
    if (++account.excess === MAX_EXCESS) {
      peer.close({ code: "PEER_REFUSED", text: "it asks more than a node may" });
    }
    return false;
  }

  /** A peer's own record, and nobody else's. It is asked by the keeper before it is handed out. */
  #learn(bytes: Uint8Array, peer: Peer, account: Account): undefined {
    try {
      if (!startsWith(bytes, peer.id.bytes)) {
        throw networkError("BODY_MALFORMED", "it told of somebody else unasked");
      }
      const contact = this.#overlay.contact(bytes, this.#overlay.scopeOf(peer));
      if (contact === undefined) return;
      this.#overlay.seen(contact, false);
      // Whom we dialled ourselves we may ask at once; strangers wait for the keeper's turn.
      if (peer.side === "dialer") this.#overlay.check(contact);
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      this.#overlay.network.logger.debug({ peer: peer.id.text, error }, "a record was refused");
      if (++account.broken >= MAX_BROKEN) {
        peer.close({ code: "BODY_MALFORMED", text: error.message });
      }
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

  #keep({ value: bytes, lifeMs }: StoreRequest, peer: Peer): Stored {
    const { network } = this.#overlay;
    try {
      const value = readValue(bytes, network.networkId);
      if (!this.#overlay.isOurs(value.key)) return STORED.elsewhere;
      return this.#store.put(value, network.runtime.wallClock(), lifeMs, sourceOf(peer));
    } catch (error) {
      if (error instanceof NetworkError) return STORED.malformed;
      throw error;
    }
  }
}

function startsWith(bytes: Uint8Array, head: Uint8Array): boolean {
  return bytes.length >= head.length && equal(bytes.subarray(0, head.length), head);
}
