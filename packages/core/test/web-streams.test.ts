import { describe, expect, it } from "vitest";
import { TestPipe } from "../../../test/support/pipes.ts";
import { concat } from "../src/bytes.ts";
import type { BytePipe } from "../src/connection.ts";
import { type Deferred, deferred } from "../src/queue.ts";
import { toWebStreams } from "../src/web-streams.ts";

function pair(): { near: TestPipe; far: TestPipe } {
  const [near, far] = [new TestPipe(), new TestPipe()];
  TestPipe.join(near, far);
  return { near, far };
}

async function readAll(pipe: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of pipe) chunks.push(chunk);
  return concat(...chunks);
}

/** A pipe that a test holds by hand: it counts reads and drains when told to. */
class HeldPipe implements BytePipe {
  reads = 0;
  readonly written: Uint8Array[] = [];
  readonly drained: Deferred<void> = deferred();
  readonly ended: Deferred<void> = deferred();
  readonly over: Deferred<Error | undefined> = deferred();
  aborted: Error | undefined;

  write(...pieces: readonly Uint8Array[]): boolean {
    this.written.push(...pieces);
    return false;
  }

  drain(): Promise<void> {
    return this.drained.promise;
  }

  end(): Promise<void> {
    return this.ended.promise;
  }

  close(): Promise<void> {
    return this.ended.promise;
  }

  abort(reason: Error): void {
    this.aborted = reason;
  }

  get closed(): Promise<Error | undefined> {
    return this.over.promise;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    this.reads++;
    return { done: false, value: Uint8Array.of(this.reads) };
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  /** As a pipe does it: whoever waits is let go, and told why by `closed`. */
  cut(error: Error): void {
    this.drained.resolve();
    this.ended.resolve();
    this.over.resolve(error);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("the readable side", () => {
  it("gives what comes, to its end", async () => {
    const { near, far } = pair();
    const { readable } = toWebStreams(near);
    far.write(Uint8Array.of(1, 2));
    far.write(Uint8Array.of(3));
    far.hangUp();
    expect(await readAll(readable)).toEqual(Uint8Array.of(1, 2, 3));
  });

  it("reads only when it is asked to", async () => {
    const pipe = new HeldPipe();
    const reader = toWebStreams(pipe).readable.getReader();
    await turn();
    expect(pipe.reads).toBe(0);
    expect((await reader.read()).value).toEqual(Uint8Array.of(1));
    await turn();
    expect(pipe.reads).toBe(1);
  });

  it("fails with the pipe's error", async () => {
    const { near } = pair();
    const { readable } = toWebStreams(near);
    const reason = new Error("cut");
    near.abort(reason);
    await expect(readable.getReader().read()).rejects.toBe(reason);
  });

  it("aborts the pipe when it is cancelled", async () => {
    for (const [given, expected] of [
      [undefined, { code: "STREAM_CLOSED" }],
      [new Error("no more"), new Error("no more")],
      ["in words", new Error("in words")],
    ] as const) {
      const pipe = new HeldPipe();
      await toWebStreams(pipe).readable.cancel(given);
      expect(pipe.aborted).toMatchObject(expected);
    }
  });
});

describe("the writable side", () => {
  it("writes what it is given and half-closes at its end", async () => {
    const { near, far } = pair();
    const { readable, writable } = toWebStreams(near);
    const writer = writable.getWriter();
    await writer.write(Uint8Array.of(1));
    await writer.write(Uint8Array.of(2, 3));
    await writer.close();
    expect(await readAll(far)).toEqual(Uint8Array.of(1, 2, 3));
    far.write(Uint8Array.of(4));
    far.hangUp();
    expect(await readAll(readable)).toEqual(Uint8Array.of(4));
  });

  it("takes a whole stream through a pair", async () => {
    const { near, far } = pair();
    const source = new Blob([new Uint8Array(200_000).fill(7)]).stream();
    const [, got] = await Promise.all([source.pipeTo(toWebStreams(near).writable), readAll(far)]);
    expect(got.length).toBe(200_000);
  });

  it("holds a write until the next is welcome", async () => {
    const pipe = new HeldPipe();
    const writer = toWebStreams(pipe).writable.getWriter();
    let settled = false;
    const writing = writer.write(Uint8Array.of(1)).then(() => {
      settled = true;
    });
    await turn();
    expect([settled, pipe.written.length]).toEqual([false, 1]);
    pipe.drained.resolve();
    await writing;
  });

  it("rejects a write that was lost", async () => {
    const pipe = new HeldPipe();
    const writer = toWebStreams(pipe).writable.getWriter();
    const writing = writer.write(Uint8Array.of(1));
    writer.closed.catch(() => {});
    await turn();
    const error = new Error("cut");
    pipe.cut(error);
    await expect(writing).rejects.toBe(error);
  });

  it("rejects an end that was lost", async () => {
    const pipe = new HeldPipe();
    const writer = toWebStreams(pipe).writable.getWriter();
    const closing = writer.close();
    await turn();
    const error = new Error("cut");
    pipe.cut(error);
    await expect(closing).rejects.toBe(error);
  });

  it("fails with the pipe while nobody writes", async () => {
    const pipe = new HeldPipe();
    const writer = toWebStreams(pipe).writable.getWriter();
    const error = new Error("cut");
    pipe.cut(error);
    await expect(writer.closed).rejects.toBe(error);
  });

  it("aborts the pipe when it is aborted, or given something else than bytes", async () => {
    const reason = new Error("given up");
    const first = new HeldPipe();
    await toWebStreams(first).writable.abort(reason);
    expect(first.aborted).toBe(reason);
    const second = new HeldPipe();
    const writer = toWebStreams(second).writable.getWriter();
    writer.closed.catch(() => {});
    await expect(writer.write("text" as unknown as Uint8Array)).rejects.toBeInstanceOf(TypeError);
    expect(second.aborted).toBeInstanceOf(TypeError);
    expect(second.written).toEqual([]);
  });
});
