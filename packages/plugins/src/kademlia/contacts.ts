/**
 * Contacts: from a signed record to somebody that can be asked.
 *
 * A record is believed for what its signature covers, and its addresses as far as the one who brought it
 * can know them: loopback and private ones come from a node of that scope only.
 */

import { equal, type Network, type Scope, toBase64 } from "@testudo/core";
import { RecordBook } from "../record/book.ts";
import { hostsOf } from "../record/host.ts";
import { addressesFor, type ContactRecord, isExpired, readRecord } from "../record/record.ts";
import { subnetsOf } from "./diversity.ts";
import { type Contact, nodeIdOf } from "./node-id.ts";
import { verifyPuzzle } from "./puzzle.ts";

/** A node that can be dialled. */
export interface NodeContact extends Contact {
  readonly record: ContactRecord;
  /** Its alternatives that make sense from here, as one address. */
  readonly address: string;
}

/** Zero bits that the ids of a network must have (puzzle.ts); 0 for none. */
export interface PuzzleBits {
  readonly staticBits: number;
  readonly dynamicBits: number;
}

const ID_BYTES = 32;

export class Contacts {
  readonly #network: Network;
  readonly #puzzle: PuzzleBits;
  readonly #book: RecordBook;
  readonly #made = new WeakMap<ContactRecord, Map<Scope, NodeContact | undefined>>();

  constructor(network: Network, puzzle: PuzzleBits, maxRecords: number) {
    this.#network = network;
    this.#puzzle = puzzle;
    this.#book = new RecordBook({ maxRecords });
  }

  /**
   * What a peer in that scope brought: a contact, of the newest record that we know of this node. Nothing for
   * a node of which no address makes sense here, whose puzzle is not solved, or that is ourselves. Throws
   * `BODY_MALFORMED` for what is no record.
   */
  read(bytes: Uint8Array, scope: Scope): NodeContact | undefined {
    const known = this.#known(bytes);
    const made = known === undefined ? undefined : this.#made.get(known)?.get(scope);
    if (made !== undefined && !isExpired(made.record.expiresAt, this.#now())) return made;
    const record = known ?? readRecord(bytes, this.#reading());
    if (record.id.equals(this.#network.id)) return undefined;
    const nodeId = nodeIdOf(record.id.bytes);
    if (known === undefined && !this.#solves(record, nodeId)) return undefined;
    if (this.#book.put(record, this.#now()) === "expired") return undefined;
    return this.#contactOf(this.#book.get(record.id.text) ?? record, nodeId, scope);
  }

  /** The same one for the same record and scope: answers name the same nodes again and again. */
  #contactOf(record: ContactRecord, nodeId: Uint8Array, scope: Scope): NodeContact | undefined {
    let made = this.#made.get(record);
    if (made === undefined) {
      made = new Map();
      this.#made.set(record, made);
    }
    if (!made.has(scope)) made.set(scope, makeContact(record, nodeId, scope));
    return made.get(scope);
  }

  expire(): void {
    this.#book.expire(this.#now());
  }

  #now(): number {
    return this.#network.runtime.wallClock();
  }

  /** Who sees the same bytes again need not verify them again. */
  #known(bytes: Uint8Array): ContactRecord | undefined {
    if (bytes.length < ID_BYTES) return undefined;
    const record = this.#book.get(toBase64(bytes.subarray(0, ID_BYTES)));
    return record !== undefined && equal(record.bytes, bytes) ? record : undefined;
  }

  #reading(): { networkId: Uint8Array; now: number } {
    return { networkId: this.#network.networkId, now: this.#now() };
  }

  #solves({ id, puzzle }: ContactRecord, nodeId: Uint8Array): boolean {
    return verifyPuzzle({ publicKey: id.bytes, nodeId, solution: puzzle, ...this.#puzzle });
  }
}

function makeContact(
  record: ContactRecord,
  nodeId: Uint8Array,
  scope: Scope,
): NodeContact | undefined {
  const alternatives = addressesFor(record, scope);
  if (alternatives.length === 0) return undefined;
  const address = alternatives.join(";");
  return { id: record.id.text, nodeId, subnets: subnetsOf(hostsOf(address)), record, address };
}
