/**
 * The demo's messages: one line of a file each, numbered, with a checksum over all lines so far; and the
 * plugin that checks them at a receiver.
 *
 * Body: `u32 number from 0 · u32 CRC-32 of all lines up to this one · f64 milliseconds of a clock that
 * all processes of a machine share · the line`, little endian.
 */

import {
  type Codec,
  concat,
  defineMessage,
  type MessageContext,
  type MessageType,
  type Plugin,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { Histogram } from "../histogram.ts";

export interface NumberedLine {
  readonly number: number;
  readonly checksum: number;
  readonly sentAt: number;
  readonly bytes: Uint8Array;
}

const HEADER_BYTES = 16;

const numberedLine: Codec<NumberedLine> = {
  encode({ number, checksum, sentAt, bytes }) {
    const header = new Uint8Array(HEADER_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, number, true);
    view.setUint32(4, checksum, true);
    view.setFloat64(8, sentAt, true);
    return concat(header, bytes);
  },
  decode(body) {
    if (body.length < HEADER_BYTES) throw new Error("too short for a numbered line");
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    return {
      number: view.getUint32(0, true),
      checksum: view.getUint32(4, true),
      sentAt: view.getFloat64(8, true),
      bytes: body.subarray(HEADER_BYTES),
    };
  },
};

/** What follows the last line: how many there were. */
const total: Codec<number> = {
  encode(value) {
    const body = new Uint8Array(4);
    new DataView(body.buffer).setUint32(0, value, true);
    return body;
  },
  decode(body) {
    if (body.length !== 4) throw new Error("not a number of lines");
    return new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  },
};

export const Line: MessageType<NumberedLine> = defineMessage({
  name: "line",
  opcode: 1_000,
  codec: numberedLine,
});
export const End: MessageType<number> = defineMessage({ name: "end", opcode: 1_001, codec: total });

/** Continues the checksum of all lines before with one more; the line's end counts too. */
export function checksumOf(line: Uint8Array, before: number): number {
  return provider.crc32(LINE_FEED, provider.crc32(line, before));
}

const LINE_FEED = Uint8Array.of(10);

/** What a receiver has to say when the last line has come. */
export interface Verdict {
  /** Lines that came in their place, with the right checksum. */
  readonly verified: number;
  readonly missing: number;
  /** Lines that came twice, too late, or with a wrong checksum. */
  readonly wrong: number;
  readonly latencies: Histogram;
}

/** Checks the order and the running checksum of every line. */
export class LineChecker implements Plugin {
  readonly name = "line checker";
  readonly #now: () => number;
  readonly #done: (verdict: Verdict) => void;
  readonly #latencies = new Histogram();
  #next = 0;
  #checksum = 0;
  #missing = 0;
  #wrong = 0;
  verified = 0;

  constructor(now: () => number, done: (verdict: Verdict) => void) {
    this.#now = now;
    this.#done = done;
  }

  newMessage({ message }: MessageContext): void {
    const line = message.as(Line);
    if (line !== undefined) {
      this.#latencies.add(this.#now() - line.sentAt);
      this.#check(line);
      return;
    }
    const lines = message.as(End);
    if (lines === undefined) return;
    this.#done({
      verified: this.verified,
      missing: this.#missing + Math.max(0, lines - this.#next),
      wrong: this.#wrong,
      latencies: this.#latencies,
    });
  }

  #check(line: NumberedLine): void {
    if (line.number < this.#next) {
      this.#wrong++;
      return;
    }
    const gap = line.number - this.#next;
    this.#missing += gap;
    this.#next = line.number + 1;
    // After a gap the checksum cannot be known: the line's own counts from here on.
    this.#checksum = gap > 0 ? line.checksum : checksumOf(line.bytes, this.#checksum);
    if (this.#checksum === line.checksum) {
      this.verified++;
    } else {
      this.#wrong++;
      this.#checksum = line.checksum;
    }
  }
}
