/** What the tests of FEC share: datagrams that differ, groups of packets, and a decoder that keeps what it hands on. */

import { concat, toHex } from "@testudo/core";
import { FecDecoder, type FecDecoderOptions } from "../../src/kcp/fec-decoder.ts";
import { FecEncoder, type FecEncoderOptions } from "../../src/kcp/fec-encoder.ts";
import type { ReedSolomon } from "../../src/kcp/reed-solomon.ts";

export const HEADER = 8;

/** The n-th of a series of datagrams that differ in content and length. */
export function datagram(n: number): Uint8Array {
  return Uint8Array.from({ length: 1 + ((n * 37) % 90) }, (_, i) => 31 * n + 7 * i + 1);
}

/** What goes on the wire for a datagram. */
export function encode(encoder: FecEncoder, body: Uint8Array, now = 0): Uint8Array[] {
  const packet = concat(new Uint8Array(HEADER), body);
  return [packet, ...encoder.encode(packet, now)];
}

/** Whole groups, one list of packets each. */
export function groups(
  code: ReedSolomon,
  count: number,
  options?: FecEncoderOptions,
): Uint8Array[][] {
  const encoder = new FecEncoder(code, options);
  return Array.from({ length: count }, (_, group) =>
    Array.from({ length: code.dataShards }, (_, i) =>
      encode(encoder, datagram(group * code.dataShards + i)),
    ).flat(),
  );
}

/** A decoder and all that it handed on, as text, the rebuilt ones apart. */
export function receiver(code: ReedSolomon, options?: FecDecoderOptions) {
  const decoder = new FecDecoder(code, options);
  const data: string[] = [];
  const rebuilt: string[] = [];
  const decode = (packet: Uint8Array) =>
    decoder.decode(packet, (body, recovered) => (recovered ? rebuilt : data).push(toHex(body)));
  return { decoder, data, rebuilt, decode };
}
