/**
 * Coding: forward error correction of one session, both directions, in the shape that the handshake agreed on.
 */

import { FEC_HEADER_BYTES } from "./fec.ts";
import { FecDecoder } from "./fec-decoder.ts";
import { FecEncoder } from "./fec-encoder.ts";
import { HEADER_BYTES, type Terms } from "./packet.ts";
import { ReedSolomon } from "./reed-solomon.ts";

export class Coding {
  /** Bytes that a datagram grows by. */
  readonly overhead: number = FEC_HEADER_BYTES;
  readonly #encoder: FecEncoder;
  readonly #decoder: FecDecoder;

  constructor(terms: Terms) {
    const code = new ReedSolomon(terms.fecData, terms.fecParity);
    const maxShardBytes = terms.mtu - HEADER_BYTES;
    this.#encoder = new FecEncoder(code, { maxShardBytes });
    this.#decoder = new FecDecoder(code, { maxShardBytes });
  }

  /** Datagrams rebuilt so far. */
  get recovered(): number {
    return this.#decoder.recovered;
  }

  /** The packets to send for a datagram, which is copied. */
  encode(datagram: Uint8Array, now: number): readonly Uint8Array[] {
    const packet = new Uint8Array(FEC_HEADER_BYTES + datagram.length);
    packet.set(datagram, FEC_HEADER_BYTES);
    const parity = this.#encoder.encode(packet, now);
    return parity.length === 0 ? [packet] : [packet, ...parity];
  }

  /** `deliver` gets what the packet carries, and what it makes it possible to rebuild. Keeps a reference to it. */
  decode(packet: Uint8Array, deliver: (datagram: Uint8Array) => void): void {
    this.#decoder.decode(packet, deliver);
  }
}
