/** What is said over an open WebSocket: messages as bytes, text, too much at once, closes of every kind, and readers who do not read. */

import { once } from "node:events";
import { equal } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import {
  failureOf,
  fill,
  isPending,
  pattern,
  Reader,
  readAll,
  turns,
} from "../../../../test/support/traffic.ts";
import { MAX_SENT_BYTES } from "../../src/ws/connection.ts";
import { below, gone, World } from "./support.ts";

expectNoLeaks();

const world = new World();
afterEach(() => world.close());

/** The sizes of the messages that a stranger gets, until there are `total` bytes. */
function messagesAt(
  stranger: { on(event: "message", heard: (data: Buffer) => void): unknown },
  total: number,
): Promise<number[]> {
  const sizes: number[] = [];
  let sum = 0;
  return new Promise((resolve) => {
    stranger.on("message", (data) => {
      sizes.push(data.length);
      sum += data.length;
      if (sum >= total) resolve(sizes);
    });
  });
}

describe("messages", () => {
  it("are bytes in order, however they are cut", async () => {
    const { connection, stranger } = await world.withStranger();
    const sent = pattern(1_000);
    stranger.send(sent.subarray(0, 1));
    stranger.send(new Uint8Array(0));
    stranger.send(sent.subarray(1, 500), { fin: false });
    stranger.send(sent.subarray(500, 600), { fin: false });
    stranger.ping("in between");
    stranger.send(sent.subarray(600), { fin: true });
    expect(await new Reader(connection).take(1_000)).toEqual(sent);
  });

  it("are one for each write, of however many pieces; a long write is several", async () => {
    const { connection, stranger } = await world.withStranger();
    const sizes = messagesAt(stranger, 8 + MAX_SENT_BYTES + 7);
    connection.write(pattern(3), pattern(0), pattern(4));
    connection.write(pattern(0));
    connection.write();
    connection.write(pattern(1));
    connection.write(pattern(MAX_SENT_BYTES), pattern(7));
    expect(await sizes).toEqual([7, 1, MAX_SENT_BYTES, 7]);
  });

  it("are taken up to the limit, which two nodes never meet", async () => {
    const maxPayloadBytes = MAX_SENT_BYTES;
    const { dialer, accepted } = await world.pair({ maxPayloadBytes });
    const sent = pattern(3 * MAX_SENT_BYTES + 1);
    dialer.write(sent);
    expect(equal(await new Reader(accepted).take(sent.length), sent)).toBe(true);
  });
});

describe("a stranger who breaks the protocol", () => {
  it("by text is told so and cut off, and the listener goes on", async () => {
    const { connection, stranger } = await world.withStranger();
    stranger.send("hello");
    const [code] = await once(stranger, "close");
    expect(code).toBe(1003);
    const error = await failureOf(readAll(connection));
    expect(error).toMatchObject({ code: "FRAME_MALFORMED", address: connection.remote.text });
    expect(String(error)).toContain("text frame");
    expect(await connection.closed).toBe(error);
    await world.pair();
  });

  it("by text to a dialer is cut off likewise", async () => {
    const { dialer, accepted } = await world.pair();
    // Below the connection, to say what it never says.
    const raw = accepted as unknown as { send(message: unknown): void };
    raw.send("hello");
    expect(await dialer.closed).toMatchObject({ code: "FRAME_MALFORMED" });
    expect(await accepted.closed).toMatchObject({ code: "TRUNCATED" });
    expect(String(await accepted.closed)).toContain("1003");
  });

  it("by a message that is too long is closed with 1009", async () => {
    const { connection, stranger } = await world.withStranger({ maxPayloadBytes: MAX_SENT_BYTES });
    stranger.send(new Uint8Array(MAX_SENT_BYTES + 1));
    const [code] = await once(stranger, "close");
    expect(code).toBe(1009);
    const error = await connection.closed;
    expect(error).toMatchObject({ code: "FRAME_TOO_LARGE" });
    expect(String(error)).toContain("maxPayloadBytes");
    expect(await failureOf(readAll(connection))).toBe(error);
  });

  it("by many short fragments of one long message, too", async () => {
    const { connection, stranger } = await world.withStranger({ maxPayloadBytes: MAX_SENT_BYTES });
    for (let i = 0; i < 5; i++) stranger.send(new Uint8Array(MAX_SENT_BYTES / 4), { fin: false });
    expect(await connection.closed).toMatchObject({ code: "FRAME_TOO_LARGE" });
  });

  it.each([
    ["an unmasked frame", [0x82, 0x01, 0x61]],
    ["an unknown opcode", [0x83, 0x80, 0, 0, 0, 0]],
    ["a continuation of nothing", [0x80, 0x80, 0, 0, 0, 0]],
    ["a compressed frame", [0xc2, 0x80, 0, 0, 0, 0]],
    ["a close with half a code", [0x88, 0x81, 0, 0, 0, 0, 1]],
  ])("by %s is closed", async (_, bytes) => {
    const { connection, stranger } = await world.withStranger();
    const socket = below(stranger);
    socket.write(Buffer.from(bytes));
    const error = await connection.closed;
    expect(error).toMatchObject({ code: "FRAME_MALFORMED" });
    expect(String(error)).toContain("broke the WebSocket protocol");
    const [code] = await once(stranger, "close");
    expect([1002, 1006]).toContain(code);
  });

  it("and then does not answer, is waited for only a moment", async () => {
    const { connection, socket } = await world.withSocket();
    socket.write(Uint8Array.of(0x81, 0x81, 0, 0, 0, 0, 0x61));
    expect(await connection.closed).toMatchObject({ code: "FRAME_MALFORMED" });
    // It neither answers the close frame nor hangs up, and finds out only by writing.
    const prods = setInterval(() => socket.write("x"), 50);
    await gone(socket);
    clearInterval(prods);
  });

  it("is not waited for when the connection is aborted besides", async () => {
    const { connection, stranger } = await world.withStranger();
    stranger.send("hello");
    const closed = await connection.closed;
    connection.abort(new Error("at once"));
    expect(await connection.closed).toBe(closed);
    await once(stranger, "close");
  });
});

describe("a close", () => {
  it.each([1000, 1001, undefined])("with %s is an end", async (code) => {
    const { connection, stranger } = await world.withStranger();
    stranger.send(pattern(5));
    stranger.close(code);
    expect(await readAll(connection)).toEqual(pattern(5));
    expect(await connection.closed).toBeUndefined();
  });

  it.each([
    [1011, "out of order\u001b[2J"],
    [3000, ""],
    [4000, "a program's own"],
  ])("with %i is a cut, and says why", async (code, reason) => {
    const { connection, stranger } = await world.withStranger();
    stranger.send(pattern(5));
    stranger.close(code, reason);
    const reader = new Reader(connection);
    expect(await reader.take(5)).toEqual(pattern(5));
    const error = await failureOf(reader.take(1));
    expect(error).toMatchObject({ code: "TRUNCATED", address: connection.remote.text });
    expect(String(error)).toContain(String(code));
    expect(String(error)).toContain(reason.split("\u001b")[0]);
    expect(String(error)).not.toContain("\u001b");
  });

  it("of ours says 1000, behind what was written, and waits for theirs", async () => {
    const { connection, stranger } = await world.withStranger();
    const socket = below(stranger);
    stranger.pause();
    connection.write(pattern(9));
    await connection.end();
    const closing = connection.close();
    expect(await isPending(closing)).toBe(true);
    const got = messagesAt(stranger, 9);
    socket.resume();
    stranger.resume();
    expect(await got).toEqual([9]);
    const [code] = await once(stranger, "close");
    expect(code).toBe(1000);
    await closing;
    expect(await connection.closed).toBeUndefined();
  });

  it("without one is a cut", async () => {
    const { connection, stranger } = await world.withStranger();
    stranger.terminate();
    expect(await connection.closed).toMatchObject({ code: "TRUNCATED" });
    expect(String(await connection.closed)).toContain("before both sides had ended");
  });

  it("by a reset is a cut, with its cause", async () => {
    const { connection, stranger } = await world.withStranger();
    const socket = below(stranger);
    socket.resetAndDestroy();
    expect(await connection.closed).toMatchObject({
      code: "TRUNCATED",
      cause: { code: "ECONNRESET" },
    });
  });

  it("is over when both have said so, though they never hang up", async () => {
    const { connection, socket } = await world.withSocket();
    const reading = readAll(connection);
    socket.write(Uint8Array.of(0x82, 0x81, 0, 0, 0, 0, 0x61, 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8));
    expect(await reading).toEqual(Uint8Array.of(0x61));
    expect(await connection.closed).toBeUndefined();
  });

  it("of theirs makes writing unwelcome before it is over", async () => {
    const { connection, stranger } = await world.withStranger();
    stranger.close(1000);
    await connection.closed;
    expect(connection.write(pattern(1))).toBe(false);
    await connection.drain();
  });

  it("is never said twice", async () => {
    const { dialer, accepted } = await world.pair();
    await Promise.all([dialer.end(), dialer.close(), accepted.close(), dialer.end()]);
    expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
  });
});

describe("a reader who does not read", () => {
  it("bounds what is held, on both sides", async () => {
    const { dialer, accepted } = await world.pair();
    await fill(dialer);
    // What the writer's side holds in this process; the rest is with the kernel.
    const writer = dialer as unknown as { inbox: { bytes: number } };
    const reader = accepted as unknown as { inbox: { bytes: number } };
    expect(writer.inbox.bytes).toBe(0);
    expect(reader.inbox.bytes).toBeGreaterThan(0);
    expect(reader.inbox.bytes).toBeLessThan(2 * 1024 * 1024);
    const held = reader.inbox.bytes;
    await turns(20);
    expect(reader.inbox.bytes).toBe(held);
    dialer.abort(new Error("enough"));
  });

  it("bounds it by number, too", async () => {
    const { connection, stranger } = await world.withStranger();
    const { inbox } = connection as unknown as { inbox: { bytes: number } };
    const tiny = pattern(1);
    for (let i = 0; i < 200_000; i++) stranger.send(tiny);
    await isPending(new Promise(() => {}));
    expect(inbox.bytes).toBeLessThan(100_000);
    let read = 0;
    for await (const chunk of connection) {
      read += chunk.length;
      if (read === 200_000) break;
    }
  });

  it("still notices an abort of its own", async () => {
    const { dialer, accepted } = await world.pair();
    await fill(dialer);
    const reason = new Error("enough");
    accepted.abort(reason);
    expect(await accepted.closed).toBe(reason);
    expect(await dialer.closed).toMatchObject({ code: "TRUNCATED" });
  });
});
