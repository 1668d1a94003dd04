/**
 * Segment: one numbered piece of data and its 24 bytes of header, as KCP puts them on the wire; and the
 * pool that segments come from.
 *
 * Little endian throughout. Sequence numbers and timestamps are 32 bits and wrap: here they are kept as
 * signed integers, so that `(a - b) | 0` is the distance and engines need no boxed numbers for them.
 * Nothing here decides when a segment travels.
 */

/** Bytes of header before the payload of every segment. */
export const SEGMENT_HEADER = 24;

/** Payload follows. */
export const PUSH = 81;
/** The segment `sn`, sent at `ts`, has arrived. */
export const ACK = 82;
/** How large is your window? */
export const ASK_WINDOW = 83;
/** This large is my window. */
export const TELL_WINDOW = 84;

/** Where a segment is while its sender waits for word of it. */
export type Whereabouts = 0 | 1 | 2;
/** In no list: queued, received, or free. */
export const NOWHERE: Whereabouts = 0;
/** On its way, as far as the sender knows. */
export const UNDER_WAY: Whereabouts = 1;
/** Believed lost, waiting to be sent again. */
export const LOST: Whereabouts = 2;

const NO_BYTES: Uint8Array = /* @__PURE__ */ new Uint8Array(0);

/** A piece of data with room for its header before it, and what its sender or receiver notes about it. */
export class Segment {
  /** Header, then payload, then whatever room is left. */
  readonly bytes: Uint8Array;
  sn = 0;
  /** Fragments of the same message still to follow. */
  frg = 0;
  /** Bytes of payload. */
  length = 0;

  /** Clock of the last transmission, as the wire has it. */
  ts = 0;
  /** Clock of the first transmission, as the wire has it. */
  firstTs = 0;
  /** How often it was sent. */
  xmit = 0;
  /** Milliseconds after a transmission until the next. */
  rto = 0;
  /** When that is over: wrapped milliseconds (classic) or the machine's own time (modern). */
  resendAt = 0;
  /** Acknowledgements of later segments seen since the last transmission (classic). */
  fastAck = 0;

  /** The last and the first transmission, counted over all segments of the connection (modern). */
  order = 0;
  firstOrder = 0;
  /** The machine's own time of the last transmission, and what was delivered by then (modern). */
  sentAt: number = Number.NaN;
  delivered = 0;
  deliveredAt: number = Number.NaN;
  /** The time of the transmission that the newest segment delivered by then went out with (modern). */
  flightFrom: number = Number.NaN;
  /** The sender had nothing more to send when this left (modern). */
  appLimited = false;
  /** The last transmission was caused by later acknowledgements, not by time (modern). */
  early = false;

  where: Whereabouts = NOWHERE;
  previous: Segment | undefined = undefined;
  next: Segment | undefined = undefined;

  #wire: Uint8Array = NO_BYTES;
  #payload: Uint8Array = NO_BYTES;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  /** Bytes of payload that fit. */
  get room(): number {
    return this.bytes.length - SEGMENT_HEADER;
  }

  /** Header and payload. The view is kept, since most segments of a connection are of one size. */
  get wire(): Uint8Array {
    const size = SEGMENT_HEADER + this.length;
    if (this.#wire.length !== size) this.#wire = this.bytes.subarray(0, size);
    return this.#wire;
  }

  /** The payload alone. */
  get payload(): Uint8Array {
    if (this.#payload.length !== this.length) {
      this.#payload = this.bytes.subarray(SEGMENT_HEADER, SEGMENT_HEADER + this.length);
    }
    return this.#payload;
  }
}

/** Segments for use again. Holds at most `keep` free ones; those beyond are left to the collector. */
export class SegmentPool {
  readonly #free: Segment[] = [];
  readonly #keep: number;
  #size: number;

  /** `size`: bytes of a segment with its header; `keep`: how many free ones to hold. */
  constructor(size: number, keep: number) {
    this.#size = size;
    this.#keep = keep;
  }

  /** Free segments held. */
  get free(): number {
    return this.#free.length;
  }

  /** Makes later segments at least this large; smaller ones are not used again. */
  grow(size: number): void {
    if (size <= this.#size) return;
    this.#size = size;
    this.#free.length = 0;
  }

  /** A segment with room for the payload, its notes those of a new one. */
  take(payload: number = 0): Segment {
    const size = payload + SEGMENT_HEADER;
    if (size > this.#size) return new Segment(size);
    return this.#free.pop() ?? new Segment(this.#size);
  }

  give(segment: Segment): void {
    if (segment.bytes.length !== this.#size || this.#free.length >= this.#keep) return;
    segment.length = 0;
    segment.frg = 0;
    segment.xmit = 0;
    segment.fastAck = 0;
    segment.early = false;
    segment.where = NOWHERE;
    segment.previous = undefined;
    segment.next = undefined;
    this.#free.push(segment);
  }
}

/** Writes the 24 bytes. */
export function writeHeader(
  into: Uint8Array,
  at: number,
  conv: number,
  command: number,
  frg: number,
  wnd: number,
  ts: number,
  sn: number,
  una: number,
  length: number,
): void {
  writeInt(into, at, conv);
  into[at + 4] = command;
  into[at + 5] = frg;
  into[at + 6] = wnd;
  into[at + 7] = wnd >> 8;
  writeInt(into, at + 8, ts);
  writeInt(into, at + 12, sn);
  writeInt(into, at + 16, una);
  writeInt(into, at + 20, length);
}

function writeInt(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >> 8;
  into[at + 2] = value >> 16;
  into[at + 3] = value >> 24;
}

/** Four bytes as a signed integer; the caller has seen that they are there. */
export function readInt(from: Uint8Array, at: number): number {
  return (
    (from[at] as number) |
    ((from[at + 1] as number) << 8) |
    ((from[at + 2] as number) << 16) |
    ((from[at + 3] as number) << 24)
  );
}
