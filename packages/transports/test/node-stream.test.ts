import { Duplex, PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type BytePipe, type Connection, concat, equal, section } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import {
  echo,
  failureOf,
  fill,
  pattern,
  Reader,
  readAll,
  turns,
} from "../../../test/support/traffic.ts";
import { MemoryHub, memory } from "../src/memory/index.ts";
import { fromNodeStream, toNodeStream } from "../src/node-stream/index.ts";

expectNoLeaks();

async function pair(): Promise<{ near: Connection; far: Connection }> {
  const transport = memory({ hub: new MemoryHub() });
  const place = section("memory", "place");
  const taken: Connection[] = [];
  await transport.listen?.(place, (connection) => taken.push(connection));
  const near = await transport.dial(place, { signal: new AbortController().signal });
  return { near, far: taken[0] as Connection };
}

/** A duplex whose two directions a test holds by hand. */
function byHand(): { duplex: Duplex; incoming: PassThrough; outgoing: PassThrough } {
  const [incoming, outgoing] = [new PassThrough(), new PassThrough()];
  return { duplex: Duplex.from({ readable: incoming, writable: outgoing }), incoming, outgoing };
}

const nextError = (stream: Duplex): Promise<Error> =>
  new Promise((resolve) => stream.once("error", resolve));

describe("a Node stream over a pipe", () => {
  it("goes through a pipeline and back, with its end", async () => {
    const { near, far } = await pair();
    void echo(far).then(() => far.end());
    const sent = Array.from({ length: 60 }, (_, i) => pattern(20_000, i));
    const got: Uint8Array[] = [];
    const stream = toNodeStream(near);
    await pipeline(Readable.from(sent), stream, async (chunks) => {
      for await (const chunk of chunks) got.push(chunk as Uint8Array);
    });
    expect(equal(concat(...got), concat(...sent))).toBe(true);
    expect(await near.closed).toBeUndefined();
  });

  it("half-closes: what comes after our end is still read", async () => {
    const { near, far } = await pair();
    const stream = toNodeStream(near);
    stream.end(pattern(10));
    expect(await readAll(far)).toEqual(pattern(10));
    far.write(pattern(20));
    void far.end();
    const got: Uint8Array[] = [];
    for await (const chunk of stream) got.push(chunk as Uint8Array);
    expect(concat(...got)).toEqual(pattern(20));
  });

  it("reads no further than it is asked to", async () => {
    const { near, far } = await pair();
    const stream = toNodeStream(near);
    await fill(far);
    stream.once("readable", () => {});
    await turns(10);
    expect(stream.readableLength).toBeLessThan(200_000);
    stream.destroy();
    await near.closed;
  });

  it("takes no more than the pipe, and goes on when it drains", async () => {
    const { near, far } = await pair();
    const stream = toNodeStream(near);
    const chunk = pattern(65_536);
    let written = 0;
    for (let stuck = false; !stuck; ) {
      written++;
      if (!stream.write(chunk)) {
        const drained = new Promise((resolve) => stream.once("drain", () => resolve(true)));
        stuck = !(await Promise.race([drained, turns(10)]));
      }
      expect(written).toBeLessThan(100);
    }
    stream.end();
    expect((await readAll(far)).length).toBe(written * chunk.length);
    far.abort(new Error("over"));
    await nextError(stream);
  });

  it("writes what piled up as one run", async () => {
    const { near, far } = await pair();
    const stream = toNodeStream(near);
    stream.cork();
    for (const part of [pattern(5, 1), pattern(5, 2), pattern(5, 3)]) stream.write(part);
    stream.uncork();
    const got = await new Reader(far).take(15);
    expect(got).toEqual(concat(pattern(5, 1), pattern(5, 2), pattern(5, 3)));
    stream.destroy();
    expect(await far.closed).toMatchObject({ code: "TRUNCATED" });
  });

  it("fails with the pipe, read or not", async () => {
    for (const reading of [true, false]) {
      const { near, far } = await pair();
      const stream = toNodeStream(near);
      const failed = nextError(stream);
      if (reading) stream.resume();
      far.abort(new Error("cut"));
      expect(await failed).toMatchObject({ code: "TRUNCATED" });
      expect(stream.destroyed).toBe(true);
    }
  });

  it("does not report an end that was lost as handed over", async () => {
    const { near, far } = await pair();
    const stream = toNodeStream(near);
    await fill(near);
    const failed = nextError(stream);
    let finished = false;
    stream.once("finish", () => {
      finished = true;
    });
    stream.end();
    await turns(2);
    far.abort(new Error("cut"));
    expect(await failed).toMatchObject({ code: "TRUNCATED" });
    expect(finished).toBe(false);
  });

  it("cuts the pipe when it is destroyed early", async () => {
    const { near, far } = await pair();
    const stream = toNodeStream(near);
    stream.destroy();
    expect(await near.closed).toMatchObject({ code: "STREAM_CLOSED" });
    expect(await failureOf(readAll(far))).toMatchObject({ code: "TRUNCATED" });
    const other = await pair();
    const reason = new Error("my reason");
    const second = toNodeStream(other.near);
    second.once("error", () => {});
    second.destroy(reason);
    expect(await other.near.closed).toBe(reason);
  });
});

describe("a pipe over a Node stream", () => {
  it("refuses streams of anything but bytes", () => {
    expect(() => fromNodeStream(new PassThrough({ objectMode: true }))).toThrow(TypeError);
    const text = new PassThrough();
    text.setEncoding("utf8");
    expect(() => fromNodeStream(text)).toThrow("encoding");
  });

  it("carries both directions and ends each by itself", async () => {
    const { duplex, incoming, outgoing } = byHand();
    const pipe: BytePipe = fromNodeStream(duplex);
    pipe.write(pattern(5, 1), pattern(5, 2));
    incoming.end(pattern(7));
    expect(await readAll(pipe)).toEqual(pattern(7));
    const sent = readAll(fromNodeStream(Duplex.from({ readable: outgoing })));
    await pipe.end();
    expect(await sent).toEqual(concat(pattern(5, 1), pattern(5, 2)));
    expect(await pipe.closed).toBeUndefined();
  });

  it("is cut when the stream fails", async () => {
    const { duplex } = byHand();
    const pipe = fromNodeStream(duplex);
    const cause = new Error("the disk is full");
    const reading = failureOf(readAll(pipe));
    duplex.destroy(cause);
    expect(await reading).toMatchObject({ code: "TRUNCATED", cause });
    expect(await pipe.closed).toMatchObject({ code: "TRUNCATED" });
    await pipe.end();
  });

  it("is cut when the stream closes before its ends", async () => {
    const { duplex } = byHand();
    const pipe = fromNodeStream(duplex);
    const ending = pipe.end();
    duplex.destroy();
    await ending;
    expect(await pipe.closed).toMatchObject({
      code: "TRUNCATED",
      message: expect.stringContaining("before both sides had ended"),
    });
  });

  it("destroys the stream when it is aborted", async () => {
    const { duplex } = byHand();
    const pipe = fromNodeStream(duplex);
    const reason = new Error("enough");
    pipe.abort(reason);
    expect(duplex.destroyed).toBe(true);
    expect(await pipe.closed).toBe(reason);
    expect(pipe.write(pattern(1))).toBe(false);
  });

  it("ends when the stream fails while it ends", async () => {
    const failure = new Error("cannot flush");
    const duplex = new Duplex({
      read() {},
      write: (_c, _e, done) => done(),
      final: (done) => done(failure),
    });
    const pipe = fromNodeStream(duplex);
    await pipe.end();
    expect(await pipe.closed).toMatchObject({ code: "TRUNCATED", cause: failure });
  });
});
