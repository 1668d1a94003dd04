/**
 * Trace: what happened in a world, as one number. Two runs went the same way, byte for byte, when their
 * hashes are equal; the lines, where they are kept, say where they parted.
 */

/** What the world itself tells. */
const EVENTS: readonly string[] = [
  "dial",
  "open",
  "fail",
  "bytes",
  "read",
  "datagram",
  "end",
  "cut",
  "join",
  "stop",
  "kill",
  "vanish",
  "partition",
  "heal",
  "note",
];

export interface TraceOptions {
  /** Whether to keep a line of text for each event. Default false. */
  readonly lines?: boolean;
}

export class Trace {
  /** `time node event …`, where they are kept. */
  readonly lines: string[] = [];
  readonly #keep: boolean;
  readonly #now: () => number;
  readonly #time = new Float64Array(1);
  readonly #words = new Uint32Array(this.#time.buffer);
  #high = 0x811c9dc5;
  #low = 0x2f0b4a27;
  #events = 0;

  constructor(now: () => number, { lines = false }: TraceOptions = {}) {
    this.#now = now;
    this.#keep = lines;
  }

  /** Sixteen hexadecimal digits over everything so far. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => word.toString(16).padStart(8, "0")).join("");
  }

  get events(): number {
    return this.#events;
  }

  /** For scenarios and plugins of their own: `text` becomes part of the trace. */
  note(text: string): void {
    let sum = text.length;
    for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) >>> 0;
    this.add("note", text, "", sum);
  }

  /** `node` and `other` are names; `value` is a whole number from 0 to 2^32 - 1. */
  add(event: string, node: string, other: string, value: number): void {
    this.#time[0] = this.#now();
    this.#events++;
    this.#mix(this.#words[0] ?? 0);
    this.#mix(this.#words[1] ?? 0);
    this.#mix(EVENTS.indexOf(event));
    this.#text(node);
    this.#text(other);
    this.#mix(value);
    if (this.#keep) {
      const line = [this.#time[0], node, event, other, value].filter((part) => part !== "");
      this.lines.push(line.join(" "));
    }
  }

  /** What a node read: its length and the head of it, in which the checksum of a frame stands. */
  content(node: string, bytes: Uint8Array): void {
    let sum = bytes.length;
    const length = Math.min(bytes.length, 32);
    for (let i = 0; i < length; i++) sum = (Math.imul(sum, 31) + (bytes[i] ?? 0)) >>> 0;
    this.add("read", node, "", sum);
  }

  #text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
    this.#mix(0x10000 + text.length);
  }

  #mix(word: number): void {
    this.#high = Math.imul(this.#high ^ word, 0x01000193) >>> 0;
    const low = Math.imul(this.#low ^ word ^ (this.#high >>> 15), 0x85ebca6b);
    this.#low = (low ^ (low >>> 13)) >>> 0;
  }
}
