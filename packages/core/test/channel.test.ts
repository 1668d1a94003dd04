import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { concat, equal, toUtf8 } from "../src/bytes.ts";
import { encodeCredit, encodeOpen, KINDS } from "../src/channel-frame.ts";
import { networkError } from "../src/errors.ts";
import { LANES } from "../src/lane.ts";
import { Link, pattern, readAll, seen, settle, take } from "./support/channel-link.ts";

const reset = (text: string) =>
  expect.objectContaining({
    name: "StreamError",
    code: "CHANNEL_RESET",
    message: expect.stringContaining(text),
  });
const KIB = 1024;

describe("opening", () => {
  test("both sides get the channel, with one id, its name, and who opened it", async () => {
    const link = new Link();
    const [channel, other] = await link.pair("files");
    expect(channel).toMatchObject({ id: 0, name: "files", side: "dialer" });
    expect(other).toMatchObject({ id: 0, name: "files", side: "listener" });
    expect([link.a.host.count, link.b.host.count]).toEqual([1, 1]);
  });

  test("the stream's dialer takes even ids, its listener odd ones", async () => {
    const link = new Link();
    link.a.serve("x");
    link.b.serve("x");
    const ids = [];
    for (const end of [link.a, link.b, link.a, link.b]) ids.push((await end.host.open("x")).id);
    expect(ids).toEqual([0, 1, 2, 3]);
  });

  test("a name without a handler is refused by its name", async () => {
    const link = new Link();
    await expect(link.a.host.open("nobody")).rejects.toEqual(reset("no handler for nobody"));
    expect([link.a.host.count, link.b.host.count]).toEqual([0, 0]);
  });

  test.each([
    ["empty", ""],
    ["too long", "é".repeat(129)],
    ["not Unicode", "a\ud800"],
    ["not a string", 7 as unknown as string],
  ])("a name that is %s throws at once", (_, name) => {
    expect(() => new Link().a.host.open(name)).toThrow(TypeError);
  });

  test("a name of 256 bytes is fine", async () => {
    const [channel] = await new Link().pair("é".repeat(128));
    expect(channel.name).toBe("é".repeat(128));
  });

  test("a signal that fired already sends nothing", async () => {
    const link = new Link();
    const reason = new Error("never mind");
    const opening = link.a.host.open("x", { signal: AbortSignal.abort(reason) });
    await expect(opening).rejects.toBe(reason);
    expect(link.a.log).toEqual([]);
  });

  test("a signal that fires while opening rejects with its own reason and resets the other side", async () => {
    const link = new Link({ manual: true });
    link.b.serve("x");
    const controller = new AbortController();
    const opening = link.a.host.open("x", { signal: controller.signal });
    controller.abort("changed my mind");
    await expect(opening).rejects.toBe("changed my mind");
    expect(link.a.host.count).toBe(0);
    link.run();
    await expect(link.b.accepted[0]?.closed).resolves.toEqual(reset("changed my mind"));
    expect(link.b.host.count).toBe(0);
    expect([...link.a.faults, ...link.b.faults]).toEqual([]);
  });

  test("a signal means nothing once the channel is open", async () => {
    const link = new Link();
    link.b.serve("x");
    const controller = new AbortController();
    const channel = await link.a.host.open("x", { signal: controller.signal });
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    controller.abort();
    expect(await seen(channel.closed)).toBe("pending");
  });

  test("a signal that fires in the tick of the accept comes too late", async () => {
    const link = new Link({ manual: true });
    link.b.serve("x");
    const controller = new AbortController();
    const opening = link.a.host.open("x", { signal: controller.signal });
    link.run();
    controller.abort();
    expect(await seen((await opening).closed)).toBe("pending");
  });

  test("without a signal an unanswered open has a deadline", async () => {
    const link = new Link({ manual: true });
    const opening = link.a.host.open("x");
    link.a.runtime.advance(30_000);
    await expect(opening).rejects.toMatchObject({ code: "REQUEST_TIMEOUT" });
    expect(link.a.host.count).toBe(0);
  });

  test("an answered open leaves no timer behind", async () => {
    const link = new Link();
    await link.pair();
    await settle();
    expect(link.a.runtime.pending).toBe(0);
  });

  test("at maxChannels our own open rejects without a word", async () => {
    const link = new Link({ a: { limits: { maxChannels: 2 } } });
    await link.pair();
    await link.pair();
    const frames = link.a.log.length;
    await expect(link.a.host.open("test")).rejects.toEqual(reset("2 channels open already"));
    expect(link.a.log.length).toBe(frames);
  });

  test("at maxChannels the other side's open is refused and the rest go on", async () => {
    const link = new Link({ b: { limits: { maxChannels: 2 } } });
    const [first, other] = await link.pair();
    await link.pair();
    await expect(link.a.host.open("test")).rejects.toEqual(reset("2 channels are open already"));
    first.abort(new Error("done"));
    await other.closed;
    await link.pair();
    expect(link.b.host.count).toBe(2);
    expect(link.b.faults).toEqual([]);
  });
});

describe("handlers", () => {
  test.each([
    [
      "throws",
      () => {
        throw new Error("secret");
      },
    ],
    ["rejects", () => Promise.reject(new Error("secret"))],
  ])("one that %s aborts its channel and does not say why", async (_, handler) => {
    const failures: (Error | undefined)[] = [];
    const link = new Link({
      b: {
        handlers: {
          x: (channel) => {
            void channel.closed.then((error) => failures.push(error));
            return handler();
          },
        },
      },
    });
    const channel = await link.a.host.open("x");
    const error = await channel.closed;
    expect(error).toEqual(reset("handler failed"));
    expect(error?.message).not.toContain("secret");
    expect(failures).toEqual([reset("handler failed")]);
    expect(failures[0]?.cause).toEqual(new Error("secret"));
    expect(link.b.host.count).toBe(0);
    expect(link.b.faults).toEqual([]);
  });

  test("one may write before it returns", async () => {
    const link = new Link({
      b: {
        handlers: {
          greet: (channel) => {
            channel.write(toUtf8("hello"));
            return channel.close();
          },
        },
      },
    });
    const channel = await link.a.host.open("greet");
    const greeting = readAll(channel);
    await channel.end();
    expect(await greeting).toEqual(toUtf8("hello"));
    expect(await channel.closed).toBeUndefined();
  });
});

describe("credit", () => {
  const window = { limits: { channelWindowBytes: 1_000 } };

  test("a stalled reader holds its own channel and no other", async () => {
    const link = new Link({ a: window, b: window });
    const [stalled] = await link.pair();
    const [other, reader] = await link.pair();
    stalled.write(pattern(900));
    stalled.write(pattern(900, 900));
    const bytes = readAll(reader);
    for (let at = 0; at < 50_000; at += 500) {
      if (!other.write(pattern(500, at))) await other.drain();
    }
    await other.end();
    expect(equal(await bytes, pattern(50_000))).toBe(true);
    expect(link.a.dataBytes(stalled.id)).toBe(1_000);
  });

  test("credit comes back as chunks are taken, at least half a window at once", async () => {
    const link = new Link({ a: window, b: window });
    const [channel, other] = await link.pair();
    channel.write(pattern(1_800));
    await settle();
    expect(link.a.dataBytes(channel.id)).toBe(1_000);
    expect(link.b.frames(KINDS.credit)).toEqual([]);
    await take(other, 1_000);
    await settle();
    expect(link.b.frames(KINDS.credit)).toEqual([encodeCredit(KINDS.credit, channel.id, 1_000)]);
    expect(link.a.dataBytes(channel.id)).toBe(1_800);
    await take(other, 800);
    await settle();
    expect(link.b.frames(KINDS.credit).length).toBe(2);
  });

  test("small chunks are taken without a credit frame each", async () => {
    const link = new Link({ a: window, b: window });
    const [channel, other] = await link.pair();
    const bytes = readAll(other);
    for (let at = 0; at < 3_000; at += 10) {
      channel.write(pattern(10, at));
      await channel.drain();
      await settle();
    }
    await channel.end();
    expect(await bytes).toEqual(pattern(3_000));
    expect(link.b.frames(KINDS.credit).length).toBeLessThanOrEqual(6);
  });

  test("no credit is sent for a direction that ended", async () => {
    const link = new Link({ a: window, b: window });
    const [channel, other] = await link.pair();
    channel.write(pattern(1_000));
    await channel.end();
    await readAll(other);
    expect(link.b.frames(KINDS.credit)).toEqual([]);
  });
});

describe("sharing the port", () => {
  test("a congested port holds a few frames of data, whatever was written", async () => {
    const link = new Link();
    const [channel] = await link.pair();
    const [second] = await link.pair();
    link.a.congested = true;
    channel.write(pattern(250 * KIB));
    second.write(pattern(250 * KIB));
    await settle();
    expect(link.a.bulkWaiting).toBeGreaterThanOrEqual(64 * KIB);
    expect(link.a.bulkWaiting).toBeLessThanOrEqual(160 * KIB + 64);
  });

  test("channels take turns, one frame each", async () => {
    const link = new Link();
    const pairs = [await link.pair(), await link.pair(), await link.pair()];
    for (const [channel] of pairs) channel.write(pattern(100 * KIB));
    await settle();
    const order = link.a.frames(KINDS.data).map((body) => body[1]);
    expect(order.slice(0, 9)).toEqual([0, 2, 4, 0, 2, 4, 0, 2, 4]);
  });

  test("the writes of one tick share a frame", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    for (let at = 0; at < 500; at += 5) channel.write(pattern(2, at), pattern(3, at + 2));
    await settle();
    expect(link.a.frames(KINDS.data).length).toBe(1);
    expect(concat(...(await take(other, 500)))).toEqual(pattern(500));
  });

  test("data that the port refuses ends its channel alone, with the port's error", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    const [second] = await link.pair();
    link.a.refusal = { lane: LANES.bulk, error: networkError("SEND_BUFFER_FULL", "no room") };
    channel.write(pattern(10));
    expect(await channel.closed).toMatchObject({ code: "SEND_BUFFER_FULL" });
    expect(await other.closed).toEqual(reset("no room"));
    expect(await seen(second.closed)).toBe("pending");
    expect(link.a.faults).toEqual([]);
  });

  test("a control frame that the port refuses is beyond repair", async () => {
    const link = new Link();
    link.a.refusal = { lane: LANES.control, error: networkError("SEND_BUFFER_FULL", "no room") };
    const opening = link.a.host.open("x");
    await settle();
    expect(link.a.faults).toMatchObject([{ code: "SEND_BUFFER_FULL" }]);
    const reason = link.close();
    await expect(opening).rejects.toBe(reason);
  });

  test("answers that were taken no longer count", async () => {
    const link = new Link({ b: { limits: { maxSendBufferBytes: 1, maxChannels: 1 } } });
    for (let i = 0; i < 50; i++) await seen(link.a.host.open("nobody"));
    expect(link.b.frames(KINDS.reset).length).toBe(50);
    expect(link.b.faults).toEqual([]);
  });

  test("a peer that asks and never takes an answer is a fault", () => {
    const link = new Link({ manual: true, b: { limits: { maxSendBufferBytes: 64 * KIB } } });
    for (let id = 0; id < 20_000 && link.b.faults.length === 0; id += 2) {
      link.b.host.receive(encodeOpen(id, 1, toUtf8("nobody")));
    }
    expect(link.b.faults).toMatchObject([{ code: "SEND_BUFFER_FULL" }]);
    const held = link.b.waiting.reduce((sum, { body }) => sum + body.length, 0);
    expect(held).toBeLessThan(64 * KIB + 256 * 2 * KIB);
  });
});

describe("the peer goes", () => {
  test("channels and opens end with the reason, and nothing more is sent", async () => {
    const link = new Link();
    const [channel, other] = await link.pair();
    const reading = channel[Symbol.asyncIterator]().next();
    link.a.congested = true;
    channel.write(pattern(300 * KIB));
    const waits = [channel.drain(), channel.end()];
    const opening = link.a.host.open("test");
    const frames = link.a.log.length;
    const reason = link.close("TRUNCATED");
    await expect(reading).rejects.toBe(reason);
    await expect(opening).rejects.toBe(reason);
    await Promise.all(waits);
    expect(await channel.closed).toBe(reason);
    expect(await other.closed).toBe(reason);
    expect(channel.write(pattern(1))).toBe(false);
    await settle();
    expect(link.a.log.length).toBe(frames);
    expect([link.a.host.count, link.b.host.count]).toEqual([0, 0]);
  });

  test("opening afterwards rejects STREAM_CLOSED and says why", async () => {
    const link = new Link();
    const reason = link.close("TRUNCATED");
    await expect(link.a.host.open("x")).rejects.toMatchObject({
      code: "STREAM_CLOSED",
      cause: reason,
    });
  });

  test("what arrived whole stays readable, what was cut rejects", async () => {
    const link = new Link();
    const [whole, wholeReader] = await link.pair();
    const [cut, cutReader] = await link.pair();
    whole.write(pattern(100));
    cut.write(pattern(100));
    await whole.end();
    await settle();
    const reason = link.close();
    expect(await readAll(wholeReader)).toEqual(pattern(100));
    await expect(readAll(cutReader)).rejects.toBe(reason);
  });

  test("a second close changes nothing", async () => {
    const link = new Link();
    const [channel] = await link.pair();
    const reason = link.close();
    link.close("TRUNCATED");
    expect(await channel.closed).toBe(reason);
  });
});
