/**
 * Outbox: messages on their way into one connection, coalesced.
 *
 * The first message of a tick schedules one flush; a full batch goes at once. A flush takes the lanes in
 * their order, seals the run and hands it over in one write. When the connection is congested, messages
 * wait in their lane, bounded by bytes, and every batch's promise waits with them. The caller's body is
 * copied or sealed before `append` returns, so it may be reused at once.
 */

import type { Connection } from "./connection.ts";
import { type NetworkError, networkError } from "./errors.ts";
import type { Lane } from "./lane.ts";
import { type Deferred, deferred } from "./queue.ts";
import type { Session } from "./transform.ts";

/** One AEAD box of the default transform: a full batch seals into exactly one. */
const BATCH_BYTES = 65_519;
/** Batches sealed per write while a backlog drains. */
const BATCHES_PER_WRITE = 4;
/** The first buffer of a tick: most ticks send little. */
const SMALL_BYTES = 4_096;
const SPARE_BUFFERS = 32;
/**
 * Room beyond the bound for what bounds itself: control frames, and channels' data in the bulk lane. A
 * queue full of messages must neither silence the protocol nor break a channel.
 */
const RESERVE_BYTES: readonly number[] = [256 * 1024, 0, 0, 192 * 1024];

/** Buffers of segments, reused between streams: an idle stream holds none. */
export class BufferPool {
  readonly #small: Uint8Array[] = [];
  readonly #large: Uint8Array[] = [];

  /** For the first messages of a tick. */
  small(): Uint8Array {
    return this.#small.pop() ?? new Uint8Array(SMALL_BYTES);
  }

  /** For a whole batch. */
  large(): Uint8Array {
    return this.#large.pop() ?? new Uint8Array(BATCH_BYTES);
  }

  /** Takes a buffer back whose contents nobody needs any more; one of another size is left to the collector. */
  give(buffer: Uint8Array): void {
    if (buffer.length === SMALL_BYTES) {
      if (this.#small.length < SPARE_BUFFERS) this.#small.push(buffer);
    } else if (buffer.length === BATCH_BYTES && this.#large.length < SPARE_BUFFERS) {
      this.#large.push(buffer);
    }
  }
}

/** Messages that travel together: they are handed over together, or fail together. */
export class Batch {
  #state: "waiting" | "sent" | NetworkError = "waiting";
  #deferred: Deferred<void> | undefined;

  /** Resolves when handed to the socket and the socket wants more; rejects when it never will be. */
  get sent(): Promise<void> {
    if (this.#deferred === undefined) {
      this.#deferred = deferred<void>();
      if (this.#state !== "waiting") this.#settle();
    }
    return this.#deferred.promise;
  }

  settle(outcome: "sent" | NetworkError): void {
    if (this.#state !== "waiting") return;
    this.#state = outcome;
    this.#settle();
  }

  #settle(): void {
    if (this.#state === "sent") this.#deferred?.resolve();
    else this.#deferred?.reject(this.#state);
  }
}

interface Segment {
  readonly buffer: Uint8Array;
  used: number;
  readonly batch: Batch;
}

export interface OutboxOwner {
  /** The connection takes nothing more (true), or takes again (false). */
  congested(now: boolean): void;
  /** The stream is beyond use. */
  sealingFailed(error: unknown): void;
}

export interface OutboxOptions {
  readonly connection: Connection;
  readonly session: Session;
  readonly pool: BufferPool;
  readonly maxBytes: number;
  readonly owner: OutboxOwner;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** The segments of each lane; a lane's array is made when it is first used. */
  readonly #lanes: (Segment[] | undefined)[] = [];
  /** The unsealed rest of a run that was cut at a box boundary: goes before every lane. */
  #carry: Segment | undefined;
  /** Handed to a congested connection; settled when it drains. */
  #handed: Batch[] = [];
  #queued = 0;
  #scheduled = false;
  #congested = false;
  #watching = false;
  #closed: NetworkError | undefined;
  #idle: Deferred<void> | undefined;
  /** Bytes handed to the connection, as they are on the wire. */
  bytesOut = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Bytes accepted and not yet handed to the connection. */
  get queuedBytes(): number {
    return this.#queued;
  }

  /** Adds one frame: its header, then the pieces of its payload. Throws `SEND_BUFFER_FULL` or the reason of the close. */
  append(lane: Lane, header: Uint8Array, payload: readonly Uint8Array[]): Batch {
    if (this.#closed !== undefined) throw this.#closed;
    let total = header.length;
    for (const piece of payload) total += piece.length;
    const allowed = this.#options.maxBytes + (RESERVE_BYTES[lane] as number);
    if (this.#queued > 0 && this.#queued + total > allowed) {
      if (this.#congested) {
        throw networkError(
          "SEND_BUFFER_FULL",
          `${this.#queued} bytes already wait for this peer; await earlier sends, or send less`,
        );
      }
      // What waits for nothing but the end of the tick makes room by going now.
      this.#flush(false);
      return this.append(lane, header, payload);
    }
    if (!this.#congested) {
      if (total > BATCH_BYTES) return this.#direct(header, payload, total);
      if (this.#queued > 0 && this.#queued + total > BATCH_BYTES) this.#flush(true);
    }
    const segment = this.#room(lane, total);
    copyInto(segment, header, payload);
    this.#queued += total;
    if (!this.#scheduled && !this.#congested) {
      this.#scheduled = true;
      queueMicrotask(this.#onTick);
    }
    return segment.batch;
  }

  /** Resolves when everything accepted so far has been handed over, or the outbox is closed. */
  async flushed(): Promise<void> {
    if (this.#closed !== undefined || (this.#queued === 0 && !this.#congested)) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
  }

  /** Nothing more is sent; what waits is rejected with `reason`. Idempotent. */
  close(reason: NetworkError): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    for (const batch of this.#handed) batch.settle(reason);
    for (const segment of this.#take(Number.POSITIVE_INFINITY)) segment.batch.settle(reason);
    this.#handed = [];
    this.#queued = 0;
    this.#idle?.resolve();
  }

  readonly #onTick = (): void => {
    this.#scheduled = false;
    if (!this.#congested) this.#flush(false);
  };

  /** A frame larger than a batch, on an uncongested connection: sealed straight from the caller's body. */
  #direct(header: Uint8Array, payload: readonly Uint8Array[], total: number): Batch {
    const batch = new Batch();
    const segments = this.#take(Number.POSITIVE_INFINITY);
    this.#queued += total;
    this.#hand(segments, [header, ...payload], batch, true);
    return batch;
  }

  #room(lane: Lane, total: number): Segment {
    const waiting = this.#lanes[lane] ?? [];
    this.#lanes[lane] = waiting;
    const tail = waiting.at(-1);
    if (tail !== undefined && tail.buffer.length - tail.used >= total) return tail;
    const segment: Segment = {
      buffer: this.#buffer(total, tail !== undefined),
      used: 0,
      batch: new Batch(),
    };
    waiting.push(segment);
    return segment;
  }

  #buffer(total: number, more: boolean): Uint8Array {
    if (total > BATCH_BYTES) return new Uint8Array(total);
    return more || total > SMALL_BYTES ? this.#options.pool.large() : this.#options.pool.small();
  }

  #flush(partial: boolean): void {
    while (!this.#congested && this.#closed === undefined && this.#queued > 0) {
      this.#hand(this.#take(BATCHES_PER_WRITE), [], undefined, partial);
      if (partial) break;
    }
    if (this.#queued === 0 && !this.#congested) this.#settleIdle();
  }

  /** Up to `most` segments in the order they must travel: a lower lane's first. */
  #take(most: number): Segment[] {
    const taken: Segment[] = [];
    if (this.#carry !== undefined) taken.push(this.#carry);
    this.#carry = undefined;
    for (const waiting of this.#lanes) {
      if (waiting === undefined) continue;
      const count = Math.min(waiting.length, most - taken.length);
      if (count > 0) taken.push(...waiting.splice(0, count));
    }
    return taken;
  }

  /** Seals a run and writes it. When `partial`, a rest below a full box is kept back for what follows. */
  #hand(
    segments: readonly Segment[],
    extra: readonly Uint8Array[],
    extraBatch: Batch | undefined,
    partial: boolean,
  ): void {
    const { session, connection, pool } = this.#options;
    const run: Uint8Array[] = [];
    let length = 0;
    for (const segment of segments) run.push(segment.buffer.subarray(0, segment.used));
    run.push(...extra);
    for (const piece of run) length += piece.length;
    const batches = segments.map((segment) => segment.batch);
    if (extraBatch !== undefined) batches.push(extraBatch);
    const rest = partial && length > session.boxBytes ? length % session.boxBytes : 0;
    if (rest > 0 && rest <= BATCH_BYTES) {
      const batch = batches.pop() ?? new Batch();
      this.#carry = { buffer: pool.large(), used: 0, batch };
      cutTail(run, rest, this.#carry);
      length -= rest;
      if (!this.#scheduled) {
        this.#scheduled = true;
        queueMicrotask(this.#onTick);
      }
    }
    this.#queued -= length;
    let open: boolean;
    try {
      const sealed = session.seal(run);
      for (const piece of sealed) this.bytesOut += piece.length;
      open = connection.write(...sealed);
    } catch (error) {
      for (const batch of batches)
        batch.settle(networkError("STREAM_CLOSED", "sealing failed", { cause: error }));
      this.#options.owner.sealingFailed(error);
      return;
    }
    for (const segment of segments) pool.give(segment.buffer);
    if (open) for (const batch of batches) batch.settle("sent");
    else this.#congest(batches);
  }

  #congest(batches: readonly Batch[]): void {
    this.#handed.push(...batches);
    if (this.#congested) return;
    this.#congested = true;
    this.#options.owner.congested(true);
    this.#watchForEnd();
    // One more turn, so that a connection that drained because it closed has said so by then.
    void this.#options.connection.drain().then(nextTurn).then(this.#onDrain);
  }

  /** Only a congested connection can end with something of ours in it: until then nobody listens. */
  #watchForEnd(): void {
    if (this.#watching) return;
    this.#watching = true;
    void this.#options.connection.closed.then((error) => {
      const details = error === undefined ? {} : { cause: error };
      this.close(networkError("STREAM_CLOSED", "the connection closed", details));
    });
  }

  readonly #onDrain = (): void => {
    this.#congested = false;
    if (this.#closed !== undefined) return;
    this.#options.owner.congested(false);
    const handed = this.#handed;
    this.#handed = [];
    for (const batch of handed) batch.settle("sent");
    this.#flush(false);
  };

  #settleIdle(): void {
    this.#idle?.resolve();
    this.#idle = undefined;
  }
}

const nextTurn = (): Promise<void> => Promise.resolve();

function copyInto(segment: Segment, header: Uint8Array, payload: readonly Uint8Array[]): void {
  segment.buffer.set(header, segment.used);
  segment.used += header.length;
  for (const piece of payload) {
    segment.buffer.set(piece, segment.used);
    segment.used += piece.length;
  }
}

/** Moves the last `rest` bytes of the run into `into`. */
function cutTail(run: Uint8Array[], rest: number, into: Segment): void {
  const tail: Uint8Array[] = [];
  let left = rest;
  while (left > 0) {
    const piece = run.pop();
    if (piece === undefined) break;
    const taken = Math.min(left, piece.length);
    tail.unshift(piece.subarray(piece.length - taken));
    if (taken < piece.length) run.push(piece.subarray(0, piece.length - taken));
    left -= taken;
  }
  for (const piece of tail) copyInto(into, piece, []);
}
