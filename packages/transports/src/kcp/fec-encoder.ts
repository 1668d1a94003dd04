/**
 * FEC encoder: numbers outgoing datagrams and follows each group of them with parity packets (format: fec.ts).
 *
 * A datagram is added to the parity when it goes out, so no data is kept and the work is spread evenly. The unfinished group at
 * the end of a burst stays without parity, as with kcp-go. It reads no clock and sends nothing.
 */

import {
  FEC_HEADER_BYTES,
  FEC_PREFIX_BYTES,
  groupCount,
  MAX_SHARD_BYTES,
  writeDataHeader,
  writeParityHeader,
} from "./fec.ts";
import type { ReedSolomon, Sums } from "./reed-solomon.ts";

/** Parity that comes this long after the datagram before the last is of no use: KCP has sent the lost one again. */
const STALE_MS = 500;
const NONE: readonly Uint8Array[] = [];

export interface FecEncoderOptions {
  /** Bytes to leave free in front of every packet, for a cipher's header. Default 0. */
  headRoom?: number;
  /** Bytes to leave free at the end of every packet, for a cipher's tag. Default 0. */
  tailRoom?: number;
  /** The longest datagram with its size field, in bytes. Default 1500. */
  maxShardBytes?: number;
  /** The number of the first packet: a multiple of the group's size. Default 0. */
  seqid?: number;
}

export class FecEncoder {
  readonly #code: ReedSolomon;
  readonly #headRoom: number;
  readonly #tailRoom: number;
  readonly #paws: number;
  readonly #sums: Sums;
  #groupStart: number;
  /** How many datagrams of the current group went out. */
  #sent = 0;
  #sentAt = 0;

  /** `RangeError` for a `seqid` that begins no group. */
  constructor(code: ReedSolomon, options: FecEncoderOptions = {}) {
    const { headRoom = 0, tailRoom = 0, maxShardBytes = MAX_SHARD_BYTES, seqid = 0 } = options;
    const size = code.dataShards + code.parityShards;
    this.#code = code;
    this.#headRoom = headRoom;
    this.#tailRoom = tailRoom;
    this.#paws = groupCount(size) * size;
    this.#sums = code.sums(maxShardBytes);
    if (!Number.isInteger(seqid / size) || seqid < 0 || seqid >= this.#paws) {
      throw new RangeError("seqid must be a multiple of the group's size, below paws");
    }
    this.#groupStart = seqid;
  }

  /**
   * `packet` is head room, 8 bytes for the header, the datagram, tail room; the header is written in place and nothing else is
   * touched or kept. The answer is the parity packets to send after it, fresh ones with the same rooms, mostly none. `now` is in
   * milliseconds, of a clock that never goes back. `RangeError` when the packet is too short, or the datagram too long.
   */
  encode(packet: Uint8Array, now: number): readonly Uint8Array[] {
    const at = this.#headRoom;
    const end = packet.length - this.#tailRoom;
    if (end - at < FEC_HEADER_BYTES || end - at - FEC_PREFIX_BYTES > this.#sums.capacity) {
      throw new RangeError("packet must have room for its headers, and fit in a shard with them");
    }
    writeDataHeader(packet, at, end, this.#groupStart + this.#sent);
    this.#code.add(this.#sums, this.#sent, packet, at + FEC_PREFIX_BYTES, end);
    const pauseMs = this.#sent === 0 ? 0 : now - this.#sentAt;
    this.#sentAt = now;
    this.#sent++;
    if (this.#sent < this.#code.dataShards) return NONE;
    const parity = pauseMs > STALE_MS ? NONE : this.#parity();
    this.#nextGroup();
    return parity;
  }

  #parity(): Uint8Array[] {
    const packets: Uint8Array[] = [];
    const at = this.#headRoom;
    for (let row = 0; row < this.#code.parityShards; row++) {
      const length = at + FEC_PREFIX_BYTES + this.#sums.length + this.#tailRoom;
      const packet = new Uint8Array(length);
      writeParityHeader(packet, at, this.#groupStart + this.#sent + row);
      this.#code.write(this.#sums, row, packet, at + FEC_PREFIX_BYTES);
      packets.push(packet);
    }
    return packets;
  }

  /** The numbers of parity that was left out are used up all the same. */
  #nextGroup(): void {
    this.#groupStart += this.#code.dataShards + this.#code.parityShards;
    if (this.#groupStart >= this.#paws) this.#groupStart = 0;
    this.#sent = 0;
    this.#sums.length = 0;
  }
}
