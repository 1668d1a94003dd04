/**
 * Overlay: this node's place among the others: its table, its record, and questions to other nodes.
 *
 * Who answered a question of ours enters the table; what an answer names is asked before it is believed to
 * be there. Nothing here happens by itself: the keeper has the clock, the server the questions of others.
 */

import {
  asError,
  Deadline,
  type MessageType,
  type Network,
  NetworkError,
  type Peer,
  randomInteger,
  type Scope,
} from "@testudo/core";
import { scopeOfAddress } from "../record/host.ts";
import { OwnRecord } from "../record/own-record.ts";
import { subnetOfAddress } from "../source.ts";
import { Candidates } from "./candidates.ts";
import { Contacts, type NodeContact, type PuzzleBits } from "./contacts.ts";
import { Lookup } from "./lookup.ts";
import { LookupRequest, LookupResponse, MAX_RECORDS } from "./messages.ts";
import { type Contact, compareDistance, nodeIdOf } from "./node-id.ts";
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

/** Unreadable records in one answer, after which the rest of it is not read. */
const MAX_BROKEN = 4;
/** What goes wrong on our side, or says that the other is there: no sign that it is gone. */
const NO_FAILURE: ReadonlySet<string> = new Set([
  "SEND_BUFFER_FULL",
  "NETWORK_CLOSED",
  "TOO_MANY_PEERS",
]);

/** How a lookup ends, and what its answers are used for. */
export interface Quest {
  /** Asked of each node; answered as a lookup is. Default: a lookup of the target. */
  readonly question?: MessageType<LookupRequest>;
  /** Told each answer that came, and whose. */
  readonly heard?: (
    answer: LookupResponse,
    from: NodeContact,
    contacts: readonly NodeContact[],
  ) => void;
  /** Told that somebody who was asked did not answer, or nothing of use. */
  readonly missed?: () => void;
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
  /** Nodes that others named. */
  readonly candidates: Candidates<NodeContact>;
  readonly record: OwnRecord;
  readonly #contacts: Contacts;
  readonly #rpc: Rpc;
  /** Lookups and pauses under way. */
  readonly #lookups = new Set<AbortController>();
  #closed: NetworkError | undefined;

  constructor(network: Network, options: OverlayOptions) {
    this.network = network;
    this.options = options;
    this.self = { id: network.id.text, nodeId: nodeIdOf(network.id.bytes) };
    this.table = new RoutingTable<NodeContact>({ self: this.self, k: options.k, s: options.s });
    this.candidates = new Candidates((contact) => this.table.wants(contact));
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

  /** The contact of a record that came from somebody in this scope; default: from the node itself. Throws `BODY_MALFORMED`. */
  contact(bytes: Uint8Array, scope: Scope, from?: Contact): NodeContact | undefined {
    return this.#contacts.read(bytes, scope, from);
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
    const { k, s } = this.options;
    const message = question.of({ target, count: Math.min(Math.max(k, s), MAX_RECORDS) });
    let ended: AbortController | undefined;
    try {
      const answer = await this.#rpc.ask({ to, message, reply: LookupResponse }, (end) => {
        ended = end;
        began?.(end);
      });
      this.candidates.answered(to.id);
      this.seen(to, true);
      return answer;
    } catch (error) {
      // What we ourselves broke off, or never asked, says nothing about the node.
      const code = error instanceof NetworkError ? error.code : undefined;
      const broken = ended?.signal.aborted !== false && code !== "REQUEST_TIMEOUT";
      if (!broken && !NO_FAILURE.has(code ?? "")) {
        this.table.failed(to.id, this.now);
        this.candidates.failed(to.id, this.now);
      }
      throw error;
    }
  }

  /** Asks a node who its neighbours are, or near what they are; those named are asked in their turn. Rejects as `ask` does. */
  async meet(to: NodeContact, near: Uint8Array = this.self.nodeId): Promise<void> {
    const { records } = await this.ask(to, near);
    this.#named(this.#read(records, to));
  }

  /** Asks a node anything; a failure is not counted against it. Rejects as `Rpc.ask` does. */
  request<R>(question: Question<R>, began?: (end: AbortController) => void): Promise<R> {
    return this.#rpc.ask(question, began);
  }

  /** A node was heard of at first hand. Whoever stands in its way is asked whether it lives. */
  seen(contact: NodeContact, answered: boolean): void {
    if (answered) this.#contacts.reached(contact);
    const present = this.table.get(contact.id);
    // Its news may have come while we waited for it.
    const newer = present !== undefined && present.record.seq > contact.record.seq;
    const counted = this.#counted(newer ? present : contact);
    const { check } = this.table.insert(counted, { answered }, this.now);
    if (check !== undefined) this.check(check);
  }

  /** Who came to us has proved none of his addresses: he counts under the subnet that he came from, too. */
  #counted(contact: NodeContact): NodeContact {
    const peer = this.network.peers.get(contact.id);
    const subnet = peer?.side === "listener" ? subnetOfAddress(peer.address) : undefined;
    const { subnets = [] } = contact;
    if (subnet === undefined || subnets.includes(subnet)) return contact;
    return { ...contact, subnets: [...subnets, subnet] };
  }

  /**
   * Whether we are among the nodes that keep what has this key: as far as we know, fewer than 2 * s are nearer. Twice,
   * for whoever brings it may not know of all that we know of.
   */
  isOurs(key: Uint8Array): boolean {
    const { s } = this.options;
    const last = this.table.closest(key, 2 * s)[2 * s - 1];
    return last === undefined || compareDistance(key, this.self.nodeId, last.nodeId) < 0;
  }

  /** Asks whether a node lives, and for its neighbours by the way. Never rejects. */
  check(contact: NodeContact): void {
    this.meet(contact).catch((thrown: unknown) => {
      const error = asError(thrown);
      this.network.logger.debug({ peer: contact.id, error }, "a node of the table did not answer");
    });
  }

  /**
   * Looks a target up over d disjoint paths; resolves with the s nearest that answered (`confirm: false`: among
   * those that were asked), nearest first. Rejects with the signal's reason.
   */
  async lookup(target: Uint8Array, quest: Quest = {}): Promise<NodeContact[]> {
    const { k, s, alpha, patienceMs, lookupTimeoutMs } = this.options;
    const { d = this.options.d, confirm = true, enough = () => false } = quest;
    const { question, heard, missed } = quest;
    this.table.looked(target, this.now);
    const seeds = this.#seeds(target, Math.max(k, d));
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
      try {
        const answer = await this.ask(contact, target, question, began);
        const contacts = this.#read(answer.records, contact);
        this.#named(contacts);
        heard?.(answer, contact, contacts);
        return { contacts, terminal: answer.terminal };
      } catch (error) {
        missed?.();
        throw error;
      }
    };
    const { runtime } = this.network;
    // What was found until then is worth having, if it was only the time that ran out.
    await this.#limited(lookupTimeoutMs, quest.signal, (signal) =>
      search({ lookup, runtime, patienceMs, ask, found: enough, signal }),
    );
    return lookup.result();
  }

  /** Lets time pass. Rejects with the signal's reason, or when the overlay closes. */
  async pause(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#limited(
      ms,
      signal,
      (end) =>
        new Promise((_, reject) => {
          end.addEventListener("abort", () => reject(end.reason), { once: true });
        }),
    );
  }

  /** From how far away a peer, or a node that we dial, talks to us. */
  scopeOf(peer: Peer): Scope {
    return scopeOfAddress(peer.address);
  }

  /** Does it until it is done, or the time is up; rejects with the signal's reason, or when the overlay closes. */
  async #limited(
    ms: number,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const limit = new AbortController();
    const late = new Error("the time is up");
    const { runtime } = this.network;
    const end = (reason: unknown): void => limit.abort(reason);
    const deadline = new Deadline(runtime, ms, () => late, signal, end);
    this.#lookups.add(limit);
    try {
      if (this.#closed !== undefined) throw this.#closed;
      limit.signal.throwIfAborted();
      await work(limit.signal);
    } catch (error) {
      if (error !== late) throw error;
    } finally {
      deadline.clear();
      this.#lookups.delete(limit);
    }
  }

  #scopeOf(contact: NodeContact): Scope {
    const peer = this.network.peers.get(contact.id);
    return peer === undefined ? "public" : this.scopeOf(peer);
  }

  /** Where nobody answered when asked last, it may be that only we were gone: then all are worth another question. */
  #seeds(target: Uint8Array, n: number): NodeContact[] {
    const seeds = this.table.closest(target, n);
    if (seeds.length > 0) return seeds;
    const all = Array.from(this.table.values(), ({ contact }) => contact);
    return all.sort((a, b) => compareDistance(target, a.nodeId, b.nodeId)).slice(0, n);
  }

  #named(contacts: readonly NodeContact[]): void {
    for (const contact of contacts) this.candidates.offer(contact, this.now);
  }

  /** Those records that can be used. One that is none, or past its date, is left out; after a few of them, all. */
  #read(records: readonly Uint8Array[], from: NodeContact): NodeContact[] {
    const scope = this.#scopeOf(from);
    const contacts: NodeContact[] = [];
    let broken = 0;
    for (const bytes of records) {
      try {
        const contact = this.contact(bytes, scope, from);
        if (contact !== undefined) contacts.push(contact);
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error;
        this.network.logger.debug({ peer: from.id, error }, "a node handed out a broken record");
        if (++broken >= MAX_BROKEN) break;
      }
    }
    return contacts;
  }
}
