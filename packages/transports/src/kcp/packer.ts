/**
 * Packer: puts segments one behind the other into datagrams of at most `mtu` bytes and hands each over
 * when the next segment does not fit.
 *
 * A datagram handed over is the packer's own memory, or that of the segment in it: it is to be copied,
 * sealed or sent before the call returns, and neither kept nor changed. No memory is taken per segment.
 */

import { PUSH, SEGMENT_HEADER, type Segment, writeHeader } from "./segment.ts";

export class Packer {
  /** Datagrams and bytes handed over so far. */
  datagrams = 0;
  bytes = 0;
  readonly #conv: number;
  readonly #output: (datagram: Uint8Array) => void;
  #buffer: Uint8Array;
  #used = 0;
  #wnd = 0;
  #una = 0;
  /** Views of the buffer by the number of headers in them, for datagrams that carry no payload. */
  #headers: Uint8Array[] = [];

  constructor(conv: number, mtu: number, output: (datagram: Uint8Array) => void) {
    this.#conv = conv | 0;
    this.#buffer = new Uint8Array(mtu);
    this.#output = output;
  }

  /** Bytes that a datagram may have. Changed between flushes only. */
  get mtu(): number {
    return this.#buffer.length;
  }

  set mtu(mtu: number) {
    this.#buffer = new Uint8Array(mtu);
    this.#headers = [];
  }

  /** What the headers of this flush say of our receiving side. */
  begin(wnd: number, una: number): void {
    this.#wnd = wnd;
    this.#una = una;
  }

  /** A segment that is all header. */
  header(command: number, sn: number, ts: number): void {
    if (this.#used + SEGMENT_HEADER > this.#buffer.length) this.end();
    writeHeader(this.#buffer, this.#used, this.#conv, command, 0, this.#wnd, ts, sn, this.#una, 0);
    this.#used += SEGMENT_HEADER;
  }

  /** A segment with data; its `ts` is set. One that fills a datagram leaves from where it lies. */
  push(segment: Segment): void {
    const { bytes, length } = segment;
    const size = SEGMENT_HEADER + length;
    if (this.#used + size > this.#buffer.length) this.end();
    writeHeader(
      bytes,
      0,
      this.#conv,
      PUSH,
      segment.frg,
      this.#wnd,
      segment.ts,
      segment.sn,
      this.#una,
      length,
    );
    if (this.#used === 0 && size + SEGMENT_HEADER > this.#buffer.length) this.#emit(segment.wire);
    else {
      this.#buffer.set(segment.wire, this.#used);
      this.#used += size;
    }
  }

  /** A copy of a segment that is under way, if the datagram begun has room for it and stays below `most` bytes. */
  again(segment: Segment, most: number): boolean {
    const size = SEGMENT_HEADER + segment.length;
    const used = this.#used + size;
    if (this.#used === 0 || used > this.#buffer.length || used > most) return false;
    this.#buffer.set(segment.wire, this.#used);
    this.#used = used;
    return true;
  }

  /** Hands over what is there. */
  end(): void {
    const used = this.#used;
    if (used === 0) return;
    this.#used = 0;
    if (used === this.#buffer.length) this.#emit(this.#buffer);
    else if (used % SEGMENT_HEADER !== 0) this.#emit(this.#buffer.subarray(0, used));
    else {
      const count = used / SEGMENT_HEADER;
      let view = this.#headers[count];
      if (view === undefined) {
        view = this.#buffer.subarray(0, used);
        this.#headers[count] = view;
      }
      this.#emit(view);
    }
  }

  #emit(datagram: Uint8Array): void {
    this.datagrams++;
    this.bytes += datagram.length;
    this.#output(datagram);
  }
}
