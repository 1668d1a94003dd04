/**
 * Directory: where the nodes are that others name. Signed contact records, and of each the addresses that make sense
 * here: loopback and private ones only where a peer of that scope brought them.
 */

import { equal, type Network, type Peer, SCOPES, type Scope } from "@testudo/core";
import {
  addressesFor,
  type ContactRecord,
  isExpired,
  OwnRecord,
  RecordBook,
  readRecord,
  scopeOfAddress,
} from "../record/index.ts";
import { sourceOf } from "../source.ts";
import { Budget } from "./budget.ts";

const MAX_RECORDS = 1_024;
/** New records of one peer in a second, and at once: each costs a signature check. */
const RECORDS_PER_SECOND = 32;
const RECORDS_AT_ONCE = 128;

export class Directory {
  readonly #network: Network;
  readonly #own: OwnRecord;
  readonly #budget = new Budget(RECORDS_PER_SECOND, RECORDS_AT_ONCE);
  readonly #book = new RecordBook({ maxRecords: MAX_RECORDS });
  /** The nearest that brought it. */
  readonly #scopes = new WeakMap<ContactRecord, Scope>();

  constructor(network: Network, addresses?: () => readonly string[]) {
    this.#network = network;
    this.#own = new OwnRecord(network, { addresses });
  }

  get size(): number {
    return this.#book.size;
  }

  /** Our own record, for others. */
  get own(): Uint8Array {
    return this.#own.current().bytes;
  }

  /**
   * Takes what a peer brought; false, and nothing is taken, where more of it is new than may be verified for this peer.
   * Throws `BODY_MALFORMED` for what is no record.
   */
  learn(peer: Peer, records: readonly Uint8Array[]): boolean {
    if (records.length === 0) return true;
    const { runtime } = this.#network;
    const [scope, source] = [scopeOfAddress(peer.address), sourceOf(peer)];
    const fresh = records.filter((bytes) => !this.#knows(bytes, scope, source));
    if (!this.#budget.take(peer.id.text, runtime.now(), fresh.length)) return false;
    for (const bytes of fresh) this.read(bytes, scope, source);
    return true;
  }

  /** Takes what somebody in that scope brought; `source`: for whom it is counted. Throws `BODY_MALFORMED` for what is no record. */
  read(bytes: Uint8Array, scope: Scope, source: string): void {
    if (this.#knows(bytes, scope, source)) return;
    const { networkId, runtime } = this.#network;
    const now = runtime.wallClock();
    const record = readRecord(bytes, { networkId, now });
    this.#book.put(record, now, source);
    if (this.#book.get(record.id.text) === record) this.#scopes.set(record, scope);
  }

  /** We dialled it, and it was there: its record stays while others can go. */
  reached(peer: Peer): void {
    this.#book.reached(peer.id.text, sourceOf(peer));
  }

  /** The record of a node as signed, for passing on. */
  recordOf(id: string): Uint8Array | undefined {
    return id === this.#network.id.text ? this.own : this.#fresh(id)?.bytes;
  }

  /** Where to dial a node, as one address. */
  addressOf(id: string): string | undefined {
    const record = this.#fresh(id);
    const scope = record === undefined ? undefined : this.#scopes.get(record);
    if (record === undefined || scope === undefined) return undefined;
    const addresses = addressesFor(record, scope);
    return addresses.length === 0 ? undefined : addresses.join(";");
  }

  /** The same again costs no signature check, nor does what is said of ourselves. */
  #knows(bytes: Uint8Array, scope: Scope, source: string): boolean {
    const { bytes: own } = this.#network.id;
    if (equal(bytes.subarray(0, own.length), own)) return true;
    const record = this.#book.known(bytes, source);
    if (record === undefined) return false;
    this.#scopes.set(record, nearest(scope, this.#scopes.get(record) ?? scope));
    return true;
  }

  #fresh(id: string): ContactRecord | undefined {
    const record = this.#book.get(id);
    const now = this.#network.runtime.wallClock();
    if (record === undefined || !isExpired(record.expiresAt, now)) return record;
    this.#book.expire(now);
    return undefined;
  }
}

/** The scope from which more addresses make sense. */
function nearest(a: Scope, b: Scope): Scope {
  return SCOPES.indexOf(a) < SCOPES.indexOf(b) ? a : b;
}
