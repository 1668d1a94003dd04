/** What the tests of the KCP machine share: datagrams written and read by hand, and a machine whose datagrams are kept. */

import { Kcp, type KcpOptions } from "../../src/kcp/machine.ts";
import { SEGMENT_HEADER, writeHeader } from "../../src/kcp/segment.ts";

export const CONV = 0xfedc_ba98;
export const PUSH = 81;
export const ACK = 82;
export const ASK = 83;
export const TELL = 84;

export interface Header {
  readonly conv?: number;
  readonly cmd: number;
  readonly frg?: number;
  readonly wnd?: number;
  readonly ts?: number;
  readonly sn?: number;
  readonly una?: number;
  readonly length?: number;
  readonly data?: string;
}

/** A datagram of these segments. */
export function datagram(...headers: readonly Header[]): Uint8Array {
  const pieces = headers.map((header) => {
    const data = Buffer.from(header.data ?? "");
    const { conv = CONV, frg = 0, wnd = 128, ts = 0, sn = 0, una = 0 } = header;
    const bytes = new Uint8Array(SEGMENT_HEADER + data.length);
    writeHeader(bytes, 0, conv, header.cmd, frg, wnd, ts, sn, una, header.length ?? data.length);
    bytes.set(data, SEGMENT_HEADER);
    return bytes;
  });
  return Uint8Array.from(Buffer.concat(pieces));
}

/** What a datagram says, segment by segment. */
export function read(bytes: Uint8Array): Required<Omit<Header, "length">>[] {
  const view = Buffer.from(bytes);
  const found: Required<Omit<Header, "length">>[] = [];
  for (let at = 0; at < view.length; ) {
    const length = view.readUInt32LE(at + 20);
    found.push({
      conv: view.readUInt32LE(at),
      cmd: view.readUInt8(at + 4),
      frg: view.readUInt8(at + 5),
      wnd: view.readUInt16LE(at + 6),
      ts: view.readUInt32LE(at + 8),
      sn: view.readUInt32LE(at + 12),
      una: view.readUInt32LE(at + 16),
      data: view.toString("latin1", at + SEGMENT_HEADER, at + SEGMENT_HEADER + length),
    });
    at += SEGMENT_HEADER + length;
  }
  return found;
}

/** A machine whose datagrams are kept. */
export function machine(options: KcpOptions = {}): { kcp: Kcp; out: Uint8Array[] } {
  const out: Uint8Array[] = [];
  return { kcp: new Kcp(CONV, (bytes) => out.push(bytes.slice()), options), out };
}

export const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
export const text = (data: Uint8Array | undefined): string | undefined =>
  data === undefined ? undefined : Buffer.from(data).toString("latin1");
