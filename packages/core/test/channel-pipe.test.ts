import { describe, expect, test } from "vitest";
import { concat, equal } from "../src/bytes.ts";
import type { Channel } from "../src/channel.ts";
import { KINDS, RESETS } from "../src/channel-frame.ts";
import { Link, pattern, readAll, seen, settle, take } from "./support/channel-link.ts";

const reset = (text: string) =>
  expect.objectContaining({
    name: "StreamError",
    code: "CHANNEL_RESET",
    message: expect.stringContaining(text),
  });
const KIB = 1024;
const small = { limits: { channelWindowBytes: 1_000 } };
const next = (channel: Channel) => channel[Symbol.asyncIterator]().next();

describe("writing", () => {
  test("copies, so that the writer may reuse its memory", async () => {
    const [channel, other] = await new Link().pair();
    const bytes = pattern(100 * KIB);
    channel.write(bytes);
    bytes.fill(0);
    void channel.end();
    expect(equal(await readAll(other), pattern(100 * KIB))).toBe(true);
  });

  test("false once a window waits; drain resolves at half, and at once when there is room", async () => {
    const link = new Link({ a: small, b: small });
    const [channel, other] = await link.pair();
    await channel.drain();
    expect(channel.write(pattern(999))).toBe(true);
    await settle();
    expect(channel.write(pattern(999))).toBe(true);
    expect(channel.write(pattern(501))).toBe(false);
    const drain = channel.drain();
    expect(channel.drain()).toBe(drain);
    expect(await seen(drain)).toBe("pending");
    await take(other, 999);
    expect(await seen(drain)).toEqual({ value: undefined });
    expect(channel.write()).toBe(true);
  });

  test("one write may be larger than the window", async () => {
    const link = new Link({ a: small, b: small });
    const [channel, other] = await link.pair();
    expect(channel.write(pattern(100 * KIB))).toBe(false);
    void channel.end();
    expect(equal(await readAll(other), pattern(100 * KIB))).toBe(true);
  });

  test("a caller that never drains is cut before it fills the memory", async () => {
    const limits = { maxSendBufferBytes: 4_000, channelWindowBytes: 1_000 };
    const link = new Link({ a: { limits }, b: small });
    const [channel, other] = await link.pair();
    for (let i = 0; i < 5; i++) expect(channel.write(pattern(900))).toBe(i < 1);
    expect(await seen(channel.closed)).toBe("pending");
    channel.write(pattern(900));
    channel.write(pattern(900));
    expect(await channel.closed).toMatchObject({ code: "SEND_BUFFER_FULL" });
    await expect(readAll(other)).rejects.toEqual(reset("drain()"));
  });

  test("blocks are reused, and their bytes never mixed", async () => {
    const link = new Link();
    const [first, firstReader] = await link.pair();
    const [second, secondReader] = await link.pair();
    const read = Promise.all([readAll(firstReader), readAll(secondReader)]);
    for (let at = 0; at < 2_000_000; at += 50_000) {
      first.write(pattern(50_000, at));
      second.write(pattern(50_000, at + 7));
      await Promise.all([first.drain(), second.drain()]);
    }
    await Promise.all([first.end(), second.end()]);
    const [one, two] = await read;
    expect(equal(one, pattern(2_000_000))).toBe(true);
    expect(equal(two, pattern(2_000_000, 7))).toBe(true);
  });
});

describe("reading", () => {
  test("one reader: iterating twice goes on where the first stopped, leaving a loop closes nothing", async () => {
    const [channel, other] = await new Link().pair();
    channel.write(pattern(10));
    for await (const chunk of other) {
      expect(chunk).toEqual(pattern(10));
      break;
    }
    const waiting = next(other);
    await expect(next(other)).rejects.toThrow(TypeError);
    channel.write(pattern(10, 10));
    expect(await waiting).toEqual({ done: false, value: pattern(10, 10) });
    void channel.end();
    expect(await next(other)).toEqual({ done: true, value: undefined });
    expect(await next(other)).toEqual({ done: true, value: undefined });
  });
});

describe("half-close", () => {
  test("ends one direction after what was written; the other goes on", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.write(pattern(10));
    const ended = channel.end();
    expect(channel.write(pattern(10))).toBe(false);
    expect(channel.end()).toBe(ended);
    await ended;
    expect(await readAll(other)).toEqual(pattern(10));
    other.write(pattern(20));
    expect(await seen(other.closed)).toBe("pending");
    await other.end();
    expect(await readAll(channel)).toEqual(pattern(20));
    expect(await channel.closed).toBeUndefined();
    expect(await other.closed).toBeUndefined();
    expect([link.a.host.count, link.b.host.count]).toEqual([0, 0]);
  });

  test("end resolves when the last byte was handed over, not before", async () => {
    const link = new Link({ a: small, b: small });
    const [channel, other] = await link.pair();
    channel.write(pattern(1_500));
    const ended = channel.end();
    expect(await seen(ended)).toBe("pending");
    link.a.congested = true;
    await take(other, 1_000);
    expect(await seen(ended)).toBe("pending");
    link.a.congested = false;
    link.run();
    expect(await seen(ended)).toEqual({ value: undefined });
  });

  test("the end is not handed over before the data in front of it", async () => {
    const link = new Link({ manual: true });
    const opening = link.pair();
    link.run();
    const [channel] = await opening;
    channel.write(pattern(10));
    const ended = channel.end();
    await settle();
    expect(link.a.waiting.length).toBe(2);
    link.a.handOver();
    expect(await seen(ended)).toBe("pending");
    link.a.handOver();
    expect(await seen(ended)).toEqual({ value: undefined });
  });

  test("a channel counts until what arrived is read", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.write(pattern(10));
    await Promise.all([channel.end(), other.end()]);
    expect(await seen(other.closed)).toBe("pending");
    expect(link.b.host.count).toBe(1);
    await readAll(other);
    expect(await other.closed).toBeUndefined();
    expect(link.b.host.count).toBe(0);
  });
});

describe("abort", () => {
  test("rejects both readers: ours with the reason, theirs with its text", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.write(pattern(10));
    await settle();
    const reason = new Error("disk full");
    channel.abort(reason);
    channel.abort(new Error("again"));
    await expect(next(channel)).rejects.toBe(reason);
    await expect(next(channel)).rejects.toBe(reason);
    expect(await channel.closed).toBe(reason);
    await settle();
    await expect(next(other)).rejects.toEqual(reset("disk full"));
    expect(await other.closed).toEqual(reset("disk full"));
    expect(other.write(pattern(1))).toBe(false);
    await Promise.all([other.drain(), other.end(), other.close(), channel.end(), channel.close()]);
    expect([link.a.host.count, link.b.host.count]).toEqual([0, 0]);
    expect(link.a.frames(KINDS.reset).length).toBe(1);
    expect(link.b.frames(KINDS.reset).length).toBe(0);
  });

  test("a reader and a writer that wait are let go", async () => {
    const link = new Link({ a: small, b: small });
    const [channel, other] = await link.pair();
    const reading = next(channel);
    channel.write(pattern(5_000));
    const waits = [channel.drain(), channel.end()];
    other.abort(new Error("enough"));
    await expect(reading).rejects.toEqual(reset("enough"));
    await Promise.all(waits);
  });

  test("a reset overtakes data, which is then ignored", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    link.a.congested = true;
    channel.write(pattern(100 * KIB));
    await settle();
    channel.abort(new Error("stop"));
    link.a.congested = false;
    link.run();
    expect(link.a.log.at(-1)?.[0]).toBe(KINDS.data);
    await expect(next(other)).rejects.toEqual(reset("stop"));
    expect(link.b.faults).toEqual([]);
  });

  test("from both sides at once is no fault", async () => {
    const link = new Link({ manual: true });
    const opening = link.pair();
    link.run();
    const [channel, other] = await opening;
    channel.abort(new Error("one"));
    other.abort(new Error("two"));
    link.run();
    expect(await channel.closed).toEqual(new Error("one"));
    expect(await other.closed).toEqual(new Error("two"));
    expect([...link.a.faults, ...link.b.faults]).toEqual([]);
    expect([link.a.host.count, link.b.host.count]).toEqual([0, 0]);
  });

  test("a long reason is cut between two characters", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.abort(new Error(`a${"é".repeat(200)}`));
    const error = await other.closed;
    expect(error?.message.endsWith(`: a${"é".repeat(127)}`)).toBe(true);
    expect(link.b.faults).toEqual([]);
  });

  test("after both directions ended it only drops what is unread", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.write(pattern(10));
    await Promise.all([channel.end(), other.end()]);
    await settle();
    const reason = new Error("not needed");
    other.abort(reason);
    await expect(next(other)).rejects.toBe(reason);
    expect(await other.closed).toBe(reason);
    expect(await channel.closed).toBeUndefined();
    expect(link.b.frames(KINDS.reset)).toEqual([]);
  });

  test("after a polite end it does nothing", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    await Promise.all([channel.close(), other.close()]);
    channel.abort(new Error("late"));
    expect(await channel.closed).toBeUndefined();
    expect(await next(channel)).toEqual({ done: true, value: undefined });
    expect(link.a.frames(KINDS.reset)).toEqual([]);
  });
});

describe("close", () => {
  test("from both sides: all is delivered, no timer stays", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.write(pattern(10));
    const closing = channel.close();
    expect(await readAll(other)).toEqual(pattern(10));
    expect(await seen(closing)).toBe("pending");
    await other.close();
    await closing;
    expect(await channel.closed).toBeUndefined();
    expect([link.a.runtime.pending, link.b.runtime.pending]).toEqual([0, 0]);
  });

  test("resets a side that does not end in time; what it was sent stays readable", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.write(pattern(10));
    const closing = channel.close();
    await settle();
    link.a.runtime.advance(1_999);
    expect(await seen(closing)).toBe("pending");
    link.a.runtime.advance(1);
    await closing;
    expect(await channel.closed).toEqual(reset("was not done after 2000 ms"));
    await expect(next(channel)).rejects.toEqual(reset("was not done"));
    await settle();
    expect(link.a.frames(KINDS.reset)[0]?.[5]).toBe(RESETS.closed);
    expect(await other.closed).toEqual(reset("was not done"));
    expect(other.write(pattern(1))).toBe(false);
    expect(link.b.host.count).toBe(1);
    expect(await readAll(other)).toEqual(pattern(10));
    expect([link.a.host.count, link.b.host.count]).toEqual([0, 0]);
  });

  test("what such a reset left unread goes when its own side closes", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    channel.write(pattern(10));
    void channel.close();
    await settle();
    link.a.runtime.advance(2_000);
    await settle();
    await other.close();
    expect(link.b.host.count).toBe(1);
    link.b.runtime.advance(2_000);
    expect(link.b.host.count).toBe(0);
    await expect(next(other)).rejects.toEqual(reset("bytes unread"));
    expect(link.b.frames(KINDS.reset)).toEqual([]);
  });

  test("goes on while bytes move, then gives up on a reader that stalls", async () => {
    const link = new Link({ a: small, b: small });
    const [channel, other] = await link.pair();
    channel.write(pattern(4_000));
    const closing = channel.close();
    for (let i = 0; i < 3; i++) {
      await settle();
      link.a.runtime.advance(2_000);
      expect(await seen(closing)).toBe("pending");
      await take(other, 1_000);
    }
    await settle();
    link.a.runtime.advance(1_999);
    expect(await seen(closing)).toBe("pending");
    link.a.runtime.advance(1);
    await closing;
    expect(concat(...link.a.frames(KINDS.data).map((body) => body.subarray(5)))).toEqual(
      pattern(4_000),
    );
  });

  test("gives the other side its whole time from when it was told", async () => {
    const link = new Link({ a: small, b: small });
    const [channel, other] = await link.pair();
    channel.write(pattern(1_500));
    const closing = channel.close();
    await settle();
    link.a.runtime.advance(1_500);
    await take(other, 1_000);
    await settle();
    link.a.runtime.advance(1_999);
    expect(await seen(closing)).toBe("pending");
    link.a.runtime.advance(1);
    await closing;
  });

  test("gives up on a side that takes nothing, and voids what it holds", async () => {
    const link = new Link({ a: small, b: small });
    const [channel, other] = await link.pair();
    channel.write(pattern(4_000));
    await settle();
    const closing = channel.close();
    await settle();
    link.a.runtime.advance(2_000);
    await closing;
    await settle();
    expect(link.a.frames(KINDS.reset)[0]?.[5]).toBe(RESETS.aborted);
    await expect(next(other)).rejects.toEqual(reset("was not done"));
  });

  test("does not wait for ever for its own user to read", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    other.write(pattern(10));
    await other.end();
    const closing = channel.close();
    await settle();
    expect(link.a.host.count).toBe(1);
    link.a.runtime.advance(2_000);
    await closing;
    expect(await channel.closed).toBeUndefined();
    await expect(next(channel)).rejects.toEqual(reset("bytes unread"));
    expect(link.a.host.count).toBe(0);
    expect(await other.closed).toBeUndefined();
  });

  test("twice is once", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    const closing = [channel.close(), channel.close()];
    await settle();
    expect(link.a.runtime.pending).toBe(1);
    await other.end();
    await Promise.all(closing);
    await channel.close();
    expect(link.a.runtime.pending).toBe(0);
  });
});
