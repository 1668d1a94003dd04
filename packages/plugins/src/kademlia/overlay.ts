/**
 * Overlay: this node's place among the others: its table, its record, and questions to other nodes.
 *
 * Who answered a question of ours enters the table; what an answer names is asked before it is believed to
 * be there. Nothing here happens by itself: the keeper has the clock, the server the questions of others.
 */

import {
  Deadline,
  type MessageType,
  type Network,
  NetworkError,
  type Peer,
  type PeerId,
  randomInteger,
  type Scope,
} from "@testudo/core";
import { scopeOfAddress } from "../record/host.ts";
import { OwnRecord } from "../record/own-record.ts";
import { Contacts, type NodeContact, type PuzzleBits } from "./contacts.ts";
import { Lookup } from "./lookup.ts";
import { LookupRequest, LookupResponse, MAX_RECORDS } from "./messages.ts";
import { type Contact, nodeIdOf } from "./node-id.ts";
import { type Question, Rpc } from "./rpc.ts";
import { type SearchOptions, search } from "./search.ts";
import { RoutingTable } from "./table.ts";

export interface OverlayOptions {
  readonly k: number;
  readonly s: number;
  readonly d: number;
  readonly alpha: number;
  readonly puzzle: PuzzleBits;
  readonly solution: Uint8Array | undefined;
  readonly addresses: (() => readonly string[]) | undefined;
  readonly seq: number;
  readonly queryTimeoutMs: number;
  readonly patienceMs: number;
  readonly lookupTimeoutMs: number;
  readonly maxRecords: number;
}

/** How a lookup ends, and what its answers are used for. */
export interface Quest {
  /** Asked of each node; answered as a lookup is. Default: a lookup of the target. */
  readonly question?: MessageType<LookupRequest>;
  /** Told each answer that came, and whose. */
  readonly heard?: (answer: LookupResponse, from: NodeContact) => void;
  /** Asked after each answer: whether that is enough. Default: never. */
  readonly enough?: () => boolean;
  /** Disjoint paths. Default: the overlay's. */
  readonly d?: number;
  /** Ask the nodes found themselves, before they are handed out. Default: true. */
  readonly confirm?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export class Overlay {
  readonly network: Network;
  readonly options: OverlayOptions;
  readonly self: Contact;
  readonly table: RoutingTable<NodeContact>;
  readonly record: OwnRecord;
  readonly #contacts: Contacts;
  readonly #rpc: Rpc;
  /** Lookups under way. */
  readonly #lookups = new Set<AbortController>();
  #closed: NetworkError | undefined;

  constructor(network: Network, options: OverlayOptions) {
    this.network = network;
    this.options = options;
    this.self = { id: network.id.text, nodeId: nodeIdOf(network.id.bytes) };
    this.table = new RoutingTable<NodeContact>({ self: this.self, k: options.k, s: options.s });
    this.#contacts = new Contacts(network, options.puzzle, options.maxRecords);
    this.record = new OwnRecord(network, {
      addresses: options.addresses,
      puzzle: options.solution,
      seq: options.seq,
    });
    this.#rpc = new Rpc(network, {
      timeoutMs: options.queryTimeoutMs,
      maxConcurrent: 64,
      maxWaiting: 1_024,
    });
  }

  close(reason: NetworkError): void {
    this.#closed = reason;
    this.#rpc.close(reason);
    for (const lookup of this.#lookups) lookup.abort(reason);
  }

  get now(): number {
    return this.network.runtime.now();
  }

  /** A whole number in [0, bound). */
  random(bound: number): number {
    return randomInteger(this.network.runtime, bound);
  }

  /** The contact of a record that came from somebody in this scope. Throws `BODY_MALFORMED`. */
  contact(bytes: Uint8Array, scope: Scope): NodeContact | undefined {
    return this.#contacts.read(bytes, scope);
  }

  expire(): void {
    this.#contacts.expire();
  }

  /**
   * Asks a node for those it knows nearest to `target`, and enters it in the table, or counts the failure.
   * Rejects as `Rpc.ask` does.
   */
  async ask(
    to: NodeContact,
    target: Uint8Array,
    question: MessageType<LookupRequest> = LookupRequest,
    began?: (end: AbortController) => void,
  ): Promise<LookupResponse> {
    const message = question.of({ target, count: Math.min(this.options.k, MAX_RECORDS) });
    let ended: AbortController | undefined;
    try {
      const answer = await this.#rpc.ask({ to, message, reply: LookupResponse }, (end) => {
        ended = end;
        began?.(end);
      });
      this.seen(to, true);
      return answer;
    } catch (error) {
      // What we ourselves broke off, or never asked, says nothing about the node.
      const silent = error instanceof NetworkError && error.code === "REQUEST_TIMEOUT";
      if (ended !== undefined && (silent || !ended.signal.aborted)) {
        this.table.failed(to.id, this.now);
      }
      throw error;
    }
  }

  /** Asks a node anything; a failure is not counted against it. Rejects as `Rpc.ask` does. */
  request<R>(question: Question<R>, began?: (end: AbortController) => void): Promise<R> {
    return this.#rpc.ask(question, began);
  }

  /** A node was heard of at first hand. Whoever stands in its way is asked whether it lives. */
  seen(contact: NodeContact, answered: boolean): void {
    const { check } = this.table.insert(contact, { answered }, this.now);
    if (check !== undefined) this.check(check);
  }

  /** Asks whether a node lives, and for its neighbours by the way. Never rejects. */
  check(contact: NodeContact): void {
    this.ask(contact, this.self.nodeId).catch((error: unknown) =>
      this.network.logger.debug({ peer: contact.id, error }, "a node of the table did not answer"),
    );
  }

  /**
   * Looks a target up over d disjoint paths; resolves with the s nearest that answered (`confirm: false`: among
   * those that were asked), nearest first. Rejects with the signal's reason.
   */
  async lookup(target: Uint8Array, quest: Quest = {}): Promise<NodeContact[]> {
    const { k, s, alpha, patienceMs, lookupTimeoutMs } = this.options;
    const { d = this.options.d, question, heard, enough = () => false, confirm = true } = quest;
    this.table.looked(target, this.now);
    const seeds = this.table.closest(target, Math.max(k, d));
    const lookup = new Lookup<NodeContact>({
      target,
      self: this.self,
      seeds,
      d,
      k,
      s,
      alpha,
      confirm,
    });
    const ask: SearchOptions["ask"] = async (contact, began) => {
      const answer = await this.ask(contact, target, question, began);
      const scope = this.#scopeOf(contact);
      const contacts = this.#read(answer.records, scope, contact);
      heard?.(answer, contact);
      return { contacts, terminal: answer.terminal };
    };
    const { runtime } = this.network;
    const limit = new AbortController();
    const late = new Error("the lookup took too long");
    const deadline = new Deadline(
      runtime,
      lookupTimeoutMs,
      () => late,
      quest.signal,
      (reason) => limit.abort(reason),
    );
    this.#lookups.add(limit);
    try {
      if (this.#closed !== undefined) throw this.#closed;
      await search({ lookup, runtime, patienceMs, ask, found: enough, signal: limit.signal });
    } catch (error) {
      // What was found until then is worth having, if it was only the time that ran out.
      if (error !== late) throw error;
    } finally {
      deadline.clear();
      this.#lookups.delete(limit);
    }
    return lookup.result();
  }

  /** Somewhere that leads to this node; from the table if it was heard from just now, else looked up. */
  async find(id: PeerId, signal?: AbortSignal): Promise<NodeContact | undefined> {
    const target = nodeIdOf(id.bytes);
    let found: NodeContact | undefined;
    await this.lookup(target, {
      confirm: false,
      signal,
      heard: ({ records }, from) => {
        const [nearest] = this.#read(records, this.#scopeOf(from), from).filter(
          (contact) => contact.id === id.text,
        );
        if (nearest !== undefined && (found?.record.seq ?? -1) < nearest.record.seq)
          found = nearest;
        if (from.id === id.text) found ??= from;
      },
      enough: () => found !== undefined,
    });
    return found ?? this.table.get(id.text);
  }

  /** From how far away a peer, or a node that we dial, talks to us. */
  scopeOf(peer: Peer): Scope {
    return scopeOfAddress(peer.address);
  }

  #scopeOf(contact: NodeContact): Scope {
    const peer = this.network.peers.get(contact.id);
    return peer === undefined ? "public" : this.scopeOf(peer);
  }

  /** Those records that can be used; one that is none costs its bringer the rest of its answer. */
  #read(records: readonly Uint8Array[], scope: Scope, from: NodeContact): NodeContact[] {
    const contacts: NodeContact[] = [];
    try {
      for (const bytes of records) {
        const contact = this.contact(bytes, scope);
        if (contact !== undefined) contacts.push(contact);
      }
    } catch (error) {
      this.network.logger.debug({ peer: from.id, error }, "a node handed out a broken record");
    }
    return contacts;
  }
}
