/**
 * Packet: the layers of a kcp-go packet put together: KCP segments, the optional forward error correction, the crypt.
 *
 * Going out, a packet is one piece of memory from the start: room for the headers, the datagram, room for the tag; each layer
 * writes its part in place. Coming in, the crypt is taken off first, by whoever owns the socket; what is left says which session
 * it is for (`readHead`) before anything is kept for it. Nothing here throws for what a peer sent, opens a socket or reads a clock.
 */

import { readU32, writeU32 } from "@testudo/core";
import { FEC_HEADER_BYTES, type FecKind, fecBody, fecKind, writeOobHeader } from "../kcp/fec.ts";
import type { DeliverDatagram, FecDecoder } from "../kcp/fec-decoder.ts";
import { FecEncoder } from "../kcp/fec-encoder.ts";
import type { ReedSolomon } from "../kcp/reed-solomon.ts";
import { type Crypt, MAX_PACKET_BYTES } from "./crypt.ts";

const DEFAULT_PACKET_BYTES = 1400;
/** Less than this KCP cannot work with. */
const MIN_DATAGRAM_BYTES = 50;
const CONV_BYTES = 4;

const SEGMENT_BYTES = 24;
const COMMAND_AT = 4;
const SN_AT = 12;
/** PUSH; ACK, WASK and WINS follow. */
const FIRST_COMMAND = 81;
const LAST_COMMAND = 84;

/** `segments`: KCP without forward error correction around it. */
type PacketKind = "segments" | FecKind;

/** What an opened packet says before it is decoded. All of it is the sender's word, unless the crypt is an AEAD. */
export interface PacketHead {
  readonly kind: PacketKind;
  /** Absent from parity, which is of several datagrams. */
  readonly conv?: number;
  /** Of the first segment; absent from `parity` and `oob`. */
  readonly command?: number;
  /** Of the first segment; absent from `parity` and `oob`. */
  readonly sn?: number;
}

/** `undefined` for what no sender of kcp-go's makes: too short, or with an unknown command or type. */
export function readHead(opened: Uint8Array): PacketHead | undefined {
  const kind = fecKind(opened) ?? "segments";
  const at = kind === "segments" ? 0 : FEC_HEADER_BYTES;
  if (opened.length < at + CONV_BYTES) return undefined;
  if (kind === "parity") return { kind };
  const conv = readU32(opened, at);
  if (kind === "oob") return { kind, conv };
  const command = opened[at + COMMAND_AT];
  if (opened.length < at + SEGMENT_BYTES || command === undefined) return undefined;
  if (command < FIRST_COMMAND || command > LAST_COMMAND) return undefined;
  return { kind, conv, command, sn: readU32(opened, at + SN_AT) };
}

/**
 * Hands on the datagrams that an opened packet carries or completes. Without a decoder, data packets are handed on and parity is
 * not used: the sender may protect what it likes. Keeps the packet's memory for a while when there is a decoder.
 */
export function decodePacket(
  opened: Uint8Array,
  decoder: FecDecoder | undefined,
  deliver: DeliverDatagram,
): void {
  const kind = fecKind(opened);
  if (kind === undefined) deliver(opened, false);
  else if (decoder !== undefined) decoder.decode(opened, deliver);
  else if (kind === "data") {
    const body = fecBody(opened);
    if (body !== undefined) deliver(body, false);
  }
}

/** The payload of an out-of-band packet, as a view; `undefined` when it is broken or none. */
export function readOob(opened: Uint8Array): Uint8Array | undefined {
  const body = fecKind(opened) === "oob" ? fecBody(opened) : undefined;
  return body !== undefined && body.length >= CONV_BYTES ? body.subarray(CONV_BYTES) : undefined;
}

export interface PacketEncoderOptions {
  crypt: Crypt;
  /** Forward error correction, when there is to be any. One code serves any number of sessions. */
  code?: ReedSolomon | undefined;
  /** The longest packet, in bytes, headers included but not those of UDP and IP. Default 1400, 1500 at most. */
  packetBytes?: number;
}

/** One session's way out. */
export class PacketEncoder {
  /** Bytes to leave in front of every datagram. */
  readonly headRoom: number;
  /** Bytes to leave after every datagram. */
  readonly tailRoom: number;
  /** The longest datagram: KCP's own mtu. */
  readonly maxDatagramBytes: number;
  readonly #crypt: Crypt;
  readonly #fec: FecEncoder | undefined;

  /** `RangeError` for a `packetBytes` over 1500, or too small to carry anything. */
  constructor(options: PacketEncoderOptions) {
    const { crypt, code, packetBytes = DEFAULT_PACKET_BYTES } = options;
    this.#crypt = crypt;
    this.tailRoom = crypt.tailBytes;
    this.headRoom = crypt.headerBytes + (code === undefined ? 0 : FEC_HEADER_BYTES);
    this.maxDatagramBytes = packetBytes - this.headRoom - this.tailRoom;
    const least = this.headRoom + this.tailRoom + MIN_DATAGRAM_BYTES;
    if (!Number.isInteger(packetBytes) || packetBytes < least || packetBytes > MAX_PACKET_BYTES) {
      throw new RangeError(`packetBytes must be a whole number in ${least}..${MAX_PACKET_BYTES}`);
    }
    const rooms = { headRoom: crypt.headerBytes, tailRoom: crypt.tailBytes };
    this.#fec = code === undefined ? undefined : new FecEncoder(code, rooms);
  }

  /**
   * `packet` is `headRoom`, a datagram of KCP's, `tailRoom`; it becomes the packet to send, and belongs to whoever sends it. `send`
   * is called for it and for the parity packets that follow it. `RangeError` for one that is too long.
   */
  encode(packet: Uint8Array, now: number, send: (packet: Uint8Array) => void): void {
    const parity = this.#fec?.encode(packet, now);
    this.#crypt.seal(packet);
    send(packet);
    if (parity === undefined) return;
    for (const extra of parity) {
      this.#crypt.seal(extra);
      send(extra);
    }
  }

  /**
   * An out-of-band packet: neither repeated, ordered nor protected. `TypeError` without forward error correction, since its header
   * is what marks one; `RangeError` when the payload is longer than `maxDatagramBytes` less 4.
   */
  encodeOob(conv: number, payload: Uint8Array): Uint8Array {
    if (this.#fec === undefined) throw new TypeError("out-of-band packets need a code");
    const most = this.maxDatagramBytes - CONV_BYTES;
    if (payload.length > most) throw new RangeError(`payload must have at most ${most} bytes`);
    const start = this.headRoom + CONV_BYTES;
    const packet = new Uint8Array(start + payload.length + this.tailRoom);
    packet.set(payload, start);
    writeU32(packet, this.headRoom, conv);
    writeOobHeader(packet, this.#crypt.headerBytes, start + payload.length);
    this.#crypt.seal(packet);
    return packet;
  }
}
