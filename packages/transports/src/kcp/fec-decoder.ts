/**
 * FEC decoder: takes data and parity packets in any order (format: fec.ts), hands every datagram on at once, and rebuilds lost ones.
 *
 * The shape of a group is configured and never learnt from a peer. Only the newest groups are kept, up to a number of bytes, and
 * numbers far from them are not followed until several in a row agree: a forged packet costs some protection, never memory, and
 * what honest packets carry is handed on whatever their numbers say. It never throws for what a peer sent, and reads no clock.
 */

import { readU16 } from "@testudo/core";
import {
  FEC_PREFIX_BYTES,
  type FecKind,
  fecBody,
  fecKind,
  groupCount,
  MAX_SHARD_BYTES,
  readSeqid,
  SIZE_BYTES,
} from "./fec.ts";
import type { ReedSolomon, Sums } from "./reed-solomon.ts";

/** Groups that are kept: the newest and those just before it. */
const WINDOW_GROUPS = 4;
/** How many groups a burst of losses may skip before the decoder asks for a second opinion. */
const AHEAD_GROUPS = 64;
/** So many packets in a row from another part of the sequence, near each other, move the window there. */
const RESYNC_PACKETS = 4;
const DEFAULT_MAX_BYTES = 1_048_576;

/** Takes a datagram, as a view. `recovered`: it was rebuilt, so its time of arrival and its window say nothing. */
export type DeliverDatagram = (datagram: Uint8Array, recovered: boolean) => void;

export interface FecDecoderOptions {
  /** The longest shard that is kept, in bytes. Default 1500. */
  maxShardBytes?: number;
  /** How many bytes of shards are kept altogether; beyond it shards are not kept. Default 1 MiB. */
  maxBytes?: number;
}

/** What arrived of one group. */
interface Group {
  /** Which one, or -1 for a free place. */
  number: number;
  /** By position, whole: the shard begins after the prefix. Empty when the group is `done`. */
  readonly packets: (Uint8Array | undefined)[];
  data: number;
  parity: number;
  /** Complete, rebuilt, or found out of order: what else comes for it is not kept. */
  done: boolean;
}

export class FecDecoder {
  readonly #code: ReedSolomon;
  readonly #size: number;
  readonly #groupCount: number;
  readonly #maxShardBytes: number;
  readonly #maxBytes: number;
  readonly #groups: Group[];
  #newest: number | undefined;
  #stray = 0;
  #strays = 0;
  /** Made at the first loss: most sessions never need it. */
  #sums: Sums | undefined;
  #heldBytes = 0;
  #recovered = 0;
  #mismatched = 0;

  constructor(code: ReedSolomon, options: FecDecoderOptions = {}) {
    const { maxShardBytes = MAX_SHARD_BYTES, maxBytes = DEFAULT_MAX_BYTES } = options;
    this.#code = code;
    this.#size = code.dataShards + code.parityShards;
    this.#groupCount = groupCount(this.#size);
    this.#maxShardBytes = maxShardBytes;
    this.#maxBytes = maxBytes;
    this.#groups = Array.from({ length: WINDOW_GROUPS }, () => ({
      number: -1,
      packets: new Array<Uint8Array | undefined>(this.#size).fill(undefined),
      data: 0,
      parity: 0,
      done: false,
    }));
  }

  /** Bytes of shards that are kept now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Datagrams rebuilt so far. */
  get recovered(): number {
    return this.#recovered;
  }

  /** Packets of a type that does not belong at their position: the two ends are configured differently, or somebody forges. */
  get mismatched(): number {
    return this.#mismatched;
  }

  /**
   * Calls `deliver` for the datagram of a data packet, duplicates included, then for those that it makes it possible to rebuild.
   * An out-of-band packet is only told by the answer (`fecBody` opens it); `undefined` means that the packet is none of FEC's, or
   * broken, and was ignored. The packet's memory is kept for a while: it must not be written to again.
   */
  decode(packet: Uint8Array, deliver: DeliverDatagram): FecKind | undefined {
    const kind = fecKind(packet);
    if (kind === undefined) return undefined;
    const body = kind === "parity" ? undefined : fecBody(packet);
    if (kind === "oob") return body && kind;
    const seqid = readSeqid(packet);
    if (seqid >= this.#groupCount * this.#size) return undefined;
    if (kind === "data" && body === undefined) return undefined;
    const group = this.#keep(packet, kind, seqid);
    if (body !== undefined) deliver(body, false);
    if (group !== undefined) this.#repair(group, deliver);
    return kind;
  }

  /** Puts a shard in its place; the answer is its group, when it is of use there. */
  #keep(packet: Uint8Array, kind: FecKind, seqid: number): Group | undefined {
    const position = seqid % this.#size;
    const isData = kind === "data";
    const group = this.#find(Math.floor(seqid / this.#size));
    if (group === undefined) return undefined;
    if (isData !== position < this.#code.dataShards) {
      this.#mismatched++;
      this.#finish(group);
      return undefined;
    }
    const length = packet.length - FEC_PREFIX_BYTES;
    if (group.done || group.packets[position] !== undefined) return undefined;
    if (length > this.#maxShardBytes || this.#heldBytes + length > this.#maxBytes) return undefined;
    group.packets[position] = packet;
    this.#heldBytes += length;
    if (isData) group.data++;
    else group.parity++;
    return group;
  }

  /** The kept group of that number, a new one if it is near enough. */
  #find(number: number): Group | undefined {
    this.#newest ??= number;
    const ahead = this.#ahead(number, this.#newest);
    if (ahead > AHEAD_GROUPS || ahead <= -WINDOW_GROUPS) {
      if (!this.#resync(number)) return undefined;
      this.#moveTo(number);
    } else if (ahead > 0) {
      this.#moveTo(number);
    }
    this.#strays = 0;
    let free: Group | undefined;
    for (const group of this.#groups) {
      if (group.number === number) return group;
      if (group.number < 0) free = group;
    }
    if (free !== undefined) free.number = number;
    return free;
  }

  /** How many groups `number` lies after `other`, the short way round. */
  #ahead(number: number, other: number): number {
    const forward = (number - other + this.#groupCount) % this.#groupCount;
    return forward > this.#groupCount / 2 ? forward - this.#groupCount : forward;
  }

  /** Whether strays have agreed often enough on where the sequence is: after a long silence, or a forged number. */
  #resync(number: number): boolean {
    const near = Math.abs(this.#ahead(number, this.#stray)) < WINDOW_GROUPS;
    this.#strays = near ? this.#strays + 1 : 1;
    this.#stray = number;
    return this.#strays >= RESYNC_PACKETS;
  }

  #moveTo(number: number): void {
    this.#newest = number;
    for (const group of this.#groups) {
      if (group.number < 0) continue;
      const ahead = this.#ahead(group.number, number);
      if (ahead > 0 || ahead <= -WINDOW_GROUPS) {
        this.#finish(group);
        group.number = -1;
        group.done = false;
      }
    }
  }

  /** Lets go of the shards. */
  #finish(group: Group): void {
    for (const packet of group.packets) {
      if (packet !== undefined) this.#heldBytes -= packet.length - FEC_PREFIX_BYTES;
    }
    group.packets.fill(undefined);
    group.data = 0;
    group.parity = 0;
    group.done = true;
  }

  #repair(group: Group, deliver: DeliverDatagram): void {
    if (group.data + group.parity < this.#code.dataShards) return;
    const rebuilt = group.data < this.#code.dataShards ? this.#rebuild(group) : [];
    // Done before anybody is told, so that an exception of the receiver leaves nothing half done.
    this.#finish(group);
    for (const shard of rebuilt) {
      const size = readU16(shard, 0);
      if (size < SIZE_BYTES || size > shard.length) continue;
      this.#recovered++;
      deliver(shard.subarray(SIZE_BYTES, size), true);
    }
  }

  /** The missing data shards in order; none when the lengths cannot be those of one group. */
  #rebuild(group: Group): Uint8Array[] {
    const { dataShards, parityShards } = this.#code;
    this.#sums ??= this.#code.sums(this.#maxShardBytes);
    const sums = this.#sums;
    sums.length = 0;
    const missing: number[] = [];
    for (let position = 0; position < dataShards; position++) {
      const packet = group.packets[position];
      if (packet === undefined) missing.push(position);
      else this.#code.add(sums, position, packet, FEC_PREFIX_BYTES, packet.length);
    }
    const rows: number[] = [];
    const parity: Uint8Array[] = [];
    for (let row = 0; row < parityShards && rows.length < missing.length; row++) {
      const packet = group.packets[dataShards + row];
      if (packet === undefined) continue;
      rows.push(row);
      parity.push(packet.subarray(FEC_PREFIX_BYTES));
    }
    // Parity is as long as the longest shard, which may be one of those that are missing.
    const length = parity[0]?.length ?? 0;
    if (sums.length > length || parity.some((shard) => shard.length !== length)) return [];
    this.#code.pad(sums, length);
    return this.#code.solve(sums, missing, rows, parity);
  }
}
