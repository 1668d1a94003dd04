/**
 * Directory: where the nodes are that others name. Signed contact records, and of each the addresses that make sense
 * here: loopback and private ones only where a peer of that scope brought them.
 */

import { equal, type Network, SCOPES, type Scope, toBase64 } from "@testudo/core";
import {
  addressesFor,
  type ContactRecord,
  isExpired,
  OwnRecord,
  readRecord,
} from "../record/index.ts";

interface Entry {
  readonly record: ContactRecord;
  readonly scope: Scope;
}

const MAX_RECORDS = 1_024;
const KEY_BYTES = 32;

export class Directory {
  readonly #network: Network;
  readonly #own: OwnRecord;
  /** By the text of the id; the longest unused first. */
  readonly #entries = new Map<string, Entry>();

  constructor(network: Network, addresses?: () => readonly string[]) {
    this.#network = network;
    this.#own = new OwnRecord(network, { addresses });
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Our own record, for others. */
  get own(): Uint8Array {
    return this.#own.current().bytes;
  }

  /** Takes what a peer in that scope brought. Throws `BODY_MALFORMED` for what is no record. */
  read(bytes: Uint8Array, scope: Scope): void {
    const there = this.#entries.get(toBase64(bytes.subarray(0, KEY_BYTES)));
    if (there !== undefined && equal(there.record.bytes, bytes)) {
      // The same again costs no signature check.
      this.#put(there.record.id.text, { ...there, scope: nearest(scope, there.scope) });
      return;
    }
    const { networkId, runtime } = this.#network;
    const record = readRecord(bytes, { networkId, now: runtime.wallClock() });
    const id = record.id.text;
    if (record.id.equals(this.#network.id)) return;
    const known = this.#entries.get(id);
    if (known !== undefined && known.record.seq >= record.seq) return;
    this.#put(id, { record, scope });
  }

  /** The record of a node as signed, for passing on. */
  recordOf(id: string): Uint8Array | undefined {
    return id === this.#network.id.text ? this.own : this.#fresh(id)?.record.bytes;
  }

  /** Where to dial a node, as one address. */
  addressOf(id: string): string | undefined {
    const entry = this.#fresh(id);
    const addresses = entry === undefined ? [] : addressesFor(entry.record, entry.scope);
    return addresses.length === 0 ? undefined : addresses.join(";");
  }

  #fresh(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    if (!isExpired(entry.record.expiresAt, this.#network.runtime.wallClock())) return entry;
    this.#entries.delete(id);
    return undefined;
  }

  #put(id: string, entry: Entry): void {
    this.#entries.delete(id);
    if (this.#entries.size >= MAX_RECORDS) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    this.#entries.set(id, entry);
  }
}

/** The scope from which more addresses make sense. */
function nearest(a: Scope, b: Scope): Scope {
  return SCOPES.indexOf(a) < SCOPES.indexOf(b) ? a : b;
}
