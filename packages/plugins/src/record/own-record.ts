/**
 * Own record: this node's own contact record, signed anew when what it says changes, or half its life is over.
 */

import { type Network, parseAddress } from "@testudo/core";
import { type ContactRecord, RECORD_LIFE_MS, signRecord } from "./record.ts";

export interface OwnRecordOptions {
  /** Where others reach this node. Default: `network.addresses`. */
  readonly addresses?: (() => readonly string[]) | undefined;
  readonly puzzle?: Uint8Array | undefined;
  /** The number of the last record that this identity ever signed, if that is known. Default: 0. */
  readonly seq?: number;
}

export class OwnRecord {
  readonly #network: Network;
  readonly #addresses: () => readonly string[];
  readonly #puzzle: Uint8Array | undefined;
  #seq: number;
  #signed: { readonly said: string; readonly record: ContactRecord } | undefined;

  constructor(network: Network, { addresses, puzzle, seq = 0 }: OwnRecordOptions = {}) {
    this.#network = network;
    this.#addresses = addresses ?? (() => network.addresses);
    this.#puzzle = puzzle;
    this.#seq = seq;
  }

  /** The highest number signed so far. */
  get seq(): number {
    return this.#seq;
  }

  current(): ContactRecord {
    const said = this.#addresses();
    const now = this.#network.runtime.wallClock();
    const text = said.join(";");
    const signed = this.#signed;
    // A clock that was set back makes the life look longer than it is.
    const left = signed === undefined ? 0 : signed.record.expiresAt - now;
    const fresh = left > RECORD_LIFE_MS / 2 && left <= RECORD_LIFE_MS;
    if (signed?.said === text && fresh) return signed.record;
    this.#seq = Math.max(this.#seq + 1, Math.floor(now));
    const record = signRecord(this.#network.identity, {
      networkId: this.#network.networkId,
      seq: this.#seq,
      addresses: said.flatMap((address) => parseAddress(address).routes.map((route) => route.text)),
      puzzle: this.#puzzle,
      expiresAt: Math.floor(now) + RECORD_LIFE_MS,
    });
    this.#signed = { said: text, record };
    return record;
  }
}
