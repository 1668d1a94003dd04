/** Datagrams of a peer: they follow it from stream to stream, and end with it. */

import { describe, expect, it } from "vitest";
import type { DatagramPipe } from "../src/connection.ts";
import { PeerDatagrams } from "../src/datagrams.ts";
import { type Deferred, deferred, Fifo } from "../src/queue.ts";

type Result = IteratorResult<Uint8Array>;

/** Datagrams of a connection, by hand. */
class ManualDatagrams implements DatagramPipe, AsyncIterableIterator<Uint8Array> {
  readonly maxBytes = 7;
  readonly sent: number[] = [];
  readonly #queue = new Fifo<Uint8Array>();
  #waiting: Deferred<Result> | undefined;
  #over = false;

  send([first = -1]: Uint8Array): boolean {
    this.sent.push(first);
    return true;
  }

  receive(byte: number): void {
    const value = Uint8Array.of(byte);
    if (!this.#answer({ done: false, value })) this.#queue.push(value);
  }

  /** The connection has ended. */
  finish(): void {
    this.#over = true;
    this.#answer({ done: true, value: undefined });
  }

  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  async next(): Promise<Result> {
    const value = this.#queue.shift();
    if (value !== undefined) return { done: false, value };
    if (this.#over) return { done: true, value: undefined };
    this.#waiting = deferred();
    return this.#waiting.promise;
  }

  async return(): Promise<Result> {
    this.#answer({ done: true, value: undefined });
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #answer(result: Result): boolean {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(result);
    return waiting !== undefined;
  }
}

/** What a reader reads, and whether it was told of the end. */
function reading(datagrams: PeerDatagrams) {
  const got: number[] = [];
  const done = (async () => {
    for await (const [byte = -1] of datagrams) got.push(byte);
    return got;
  })();
  return { got, done };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("datagrams of a peer", () => {
  it("are those of its stream, and end with the peer when all that waited was read", async () => {
    const pipe = new ManualDatagrams();
    const datagrams = new PeerDatagrams(pipe, false);
    expect(datagrams.maxBytes).toBe(7);
    expect(datagrams.send(Uint8Array.of(1))).toBe(true);
    pipe.receive(2);
    pipe.receive(3);
    datagrams.finish();
    expect([datagrams.maxBytes, datagrams.send(Uint8Array.of(4))]).toEqual([0, false]);
    expect(await reading(datagrams).done).toEqual([2, 3]);
    expect(pipe.sent).toEqual([1]);
    expect(await reading(new PeerDatagrams(pipe, true)).done).toEqual([]);
  });

  it("tell a reader who waits that the peer is over, also when their connection ended before", async () => {
    for (const early of [false, true]) {
      const pipe = new ManualDatagrams();
      const datagrams = new PeerDatagrams(pipe, false);
      const { done } = reading(datagrams);
      if (early) pipe.finish();
      await settled();
      datagrams.finish();
      expect(await done).toEqual([]);
    }
  });

  it("go on where the peer moves to, for a reader who waits and for one who comes later", async () => {
    const pipes = [0, 1, 2].map(() => new ManualDatagrams());
    const [first, second, third] = pipes as [ManualDatagrams, ManualDatagrams, ManualDatagrams];
    const datagrams = new PeerDatagrams(first, false);
    const { got, done } = reading(datagrams);
    first.receive(1);
    await settled();
    datagrams.moveTo(second);
    first.receive(99);
    second.receive(2);
    await settled();
    // Its connection ends before the peer goes on, as when the other side moves first.
    second.finish();
    await settled();
    datagrams.moveTo(third);
    third.receive(3);
    await settled();
    expect(got).toEqual([1, 2, 3]);
    datagrams.send(Uint8Array.of(5));
    expect(pipes.map(({ sent }) => sent)).toEqual([[], [], [5]]);
    datagrams.finish();
    await done;
  });

  it("rest on a stream that has none", async () => {
    const [before, after] = [new ManualDatagrams(), new ManualDatagrams()];
    const datagrams = new PeerDatagrams(before, false);
    const { got, done } = reading(datagrams);
    await settled();
    datagrams.moveTo(undefined);
    expect([datagrams.maxBytes, datagrams.send(Uint8Array.of(1))]).toEqual([0, false]);
    await settled();
    datagrams.moveTo(after);
    after.receive(8);
    await settled();
    expect(got).toEqual([8]);
    datagrams.moveTo(undefined);
    datagrams.finish();
    expect(await done).toEqual([8]);
  });

  it("have one reader, who can leave and come back", async () => {
    const pipe = new ManualDatagrams();
    const datagrams = new PeerDatagrams(pipe, false);
    for (const rest of [undefined, pipe]) {
      datagrams.moveTo(rest);
      const waiting = datagrams.next();
      await expect(datagrams.next()).rejects.toThrow(TypeError);
      await datagrams.return();
      expect((await waiting).done).toBe(true);
    }
    expect(pipe.waiting).toBe(false);
    await datagrams.return();
    pipe.receive(6);
    expect((await datagrams.next()).value).toEqual(Uint8Array.of(6));
  });
});
