/**
 * Contacts: from a signed record to somebody that can be asked.
 *
 * A record is believed for what its signature covers, and its addresses as far as the one who brought it
 * can know them: loopback and private ones come from a node of that scope only.
 */

import { type Network, type Scope, toBase64 } from "@testudo/core";
import { RecordBook } from "../record/book.ts";
import { hostsOf } from "../record/host.ts";
import { addressesFor, type ContactRecord, isExpired, readRecord } from "../record/record.ts";
import { subnetOfAddress } from "../source.ts";
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
   * a node of which no address makes sense here, whose puzzle is not solved, of which a newer record was seen, or that
   * is ourselves. `from`: who brought it; default: the node itself. Throws `BODY_MALFORMED` for what is no record.
   */
  read(bytes: Uint8Array, scope: Scope, from?: Contact): NodeContact | undefined {
    const source = this.#sourceOf(from ?? { id: toBase64(bytes.subarray(0, ID_BYTES)) });
    const known = this.#book.known(bytes, source);
    const made = known === undefined ? undefined : this.#made.get(known)?.get(scope);
    if (made !== undefined && !isExpired(made.record.expiresAt, this.#now())) return made;
    const { networkId } = this.#network;
    const record = known ?? readRecord(bytes, { networkId, now: this.#now() });
    if (record.id.equals(this.#network.id)) return undefined;
    const nodeId = nodeIdOf(record.id.bytes);
    if (known === undefined && !this.#solves(record, nodeId)) return undefined;
    if (this.#book.put(record, this.#now(), source) === "expired") return undefined;
    // Not this one instead of a newer one that had to go.
    const newest = this.#book.get(record.id.text);
    return newest === undefined ? undefined : this.#contactOf(newest, nodeId, scope);
  }

  /** It answered us: its record stays while others can go. */
  reached(contact: NodeContact): void {
    const source = this.#sourceOf(contact);
    this.#book.put(contact.record, this.#now(), source);
    this.#book.reached(contact.id, source);
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

  /** A subnet where there is one to tell: keys cost nothing. */
  #sourceOf({ id, subnets }: Pick<Contact, "id" | "subnets">): string {
    const address = this.#network.peers.get(id)?.address;
    return (address === undefined ? subnets?.[0] : subnetOfAddress(address)) ?? id;
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
