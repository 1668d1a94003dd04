import { beforeEach, describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { section } from "../src/address.ts";
import { concat } from "../src/bytes.ts";
import type { Connection, Side } from "../src/connection.ts";
import { networkError } from "../src/errors.ts";
import { MultiStream } from "../src/multi-stream.ts";
import { type Link, Stack } from "../src/stack.ts";
import type { Session, Transform } from "../src/transform.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import { ManualTransport } from "./support/manual-transport.ts";
import { toySession } from "./support/toy-transform.ts";

const CLOSE_MS = 500;
const KEY = new Uint8Array(32).fill(6);
const TEXT = Uint8Array.of(1, 2, 3);
/** `TEXT` in a box of the toy session's, and its goodbye. */
const BOX = Uint8Array.of(3, 2, 3, 4);
const GOODBYE = Uint8Array.of(0);

let runtime: VirtualRuntime;
let connection: ManualConnection;

beforeEach(() => {
  runtime = new VirtualRuntime();
  connection = new ManualConnection();
});

interface Given {
  readonly session?: Session;
  readonly side?: Side;
  readonly bare?: boolean;
  readonly halfClose?: boolean;
  readonly opened?: readonly Uint8Array[];
  readonly over?: Connection;
}

function stream(given: Given = {}): MultiStream {
  const { session = toySession(), side = "dialer", bare = false, halfClose = true } = given;
  const transform: Transform = {
    name: "toy",
    authenticates: false,
    section: () => section("toy"),
    handshake: () => Promise.reject(new Error("not asked here")),
  };
  const transport = Object.assign(new ManualTransport(), { halfClose });
  const link: Link = {
    connection: given.over ?? connection,
    session,
    opened: given.opened ?? [],
    side,
    connectedAt: 0,
    address: "manual:far:1~toy",
  };
  const stack = new Stack(bare ? [transport] : [transport, transform]);
  return new MultiStream(link, stack, { runtime, closeTimeoutMs: CLOSE_MS });
}

async function readAll(from: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of from) chunks.push(chunk);
  return concat(...chunks);
}

/** Whether it has settled by now. */
async function isDone(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  const finish = (): void => {
    done = true;
  };
  work.then(finish, finish);
  await settled();
  return done;
}

describe("a stream", () => {
  it("says who is there, how, and what the transform and the wrap said", () => {
    const over = Object.assign(connection, { meta: { from: "a wrap" } });
    const session = toySession({ key: KEY, auth: "a friend" });
    const made = stream({ session, over, side: "listener" });
    expect(made.remote?.bytes).toEqual(KEY);
    expect(made).toMatchObject({
      address: "manual:far:1~toy",
      auth: "a friend",
      side: "listener",
      stack: "manual~toy",
      meta: { from: "a wrap" },
      halfClose: true,
    });
    expect(stream()).toMatchObject({ remote: undefined, auth: undefined, side: "dialer" });
  });

  it("can end one direction where its transport can, or its session has a goodbye", () => {
    const mute = toySession({ goodbye: false });
    expect(stream({ halfClose: false }).halfClose).toBe(true);
    expect(stream({ halfClose: false, session: mute }).halfClose).toBe(false);
    expect(stream({ halfClose: true, session: mute }).halfClose).toBe(true);
  });

  it("seals what is written, opens what comes, and has what came with the handshake first", async () => {
    const made = stream({ opened: [Uint8Array.of(9)] });
    expect(made.write(TEXT.subarray(0, 1), TEXT.subarray(1))).toBe(true);
    expect(connection.written).toEqual(BOX);
    connection.receive(BOX, GOODBYE);
    expect(await readAll(made)).toEqual(Uint8Array.of(9, 1, 2, 3));
  });

  it("over a bare transport is the connection itself", async () => {
    const made = stream({ bare: true });
    expect([made.stack, made.remote]).toEqual(["manual", undefined]);
    made.write(TEXT);
    connection.receive(TEXT);
    connection.finish();
    expect(await readAll(made)).toEqual(TEXT);
    expect(connection.written).toEqual(TEXT);
    await made.close();
    expect(await made.closed).toBeUndefined();
  });

  it("has one reader, however often it is asked, and leaving a loop closes nothing", async () => {
    const made = stream();
    expect(made[Symbol.asyncIterator]()).toBe(made[Symbol.asyncIterator]());
    connection.receive(BOX, BOX, GOODBYE);
    for await (const chunk of made) {
      expect(chunk).toEqual(TEXT);
      break;
    }
    expect(await readAll(made)).toEqual(TEXT);
    expect(connection.ended).toBe(false);
  });

  it("hands back-pressure on, both ways", async () => {
    const made = stream();
    connection.welcome = false;
    expect(made.write(TEXT)).toBe(false);
    const drained = made.drain();
    expect(await isDone(drained)).toBe(false);
    connection.relax();
    expect(await isDone(drained)).toBe(true);
    expect(made.write(TEXT)).toBe(true);
  });

  it("that is aborted says so to its reader and in closed, and takes nothing more", async () => {
    const reason = networkError("STREAM_CLOSED", "enough");
    const made = stream();
    const reading = readAll(made);
    made.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect(await made.closed).toBe(reason);
    made.abort(new Error("again"));
    expect(connection.aborted).toBe(reason);
    await made.close();
    expect(runtime.pending).toBe(0);
  });

  it("is cut when what comes cannot be opened, or ends without a goodbye", async () => {
    const forged = stream({ session: toySession({ goodbye: false }) });
    connection.receive(BOX, GOODBYE);
    await expect(readAll(forged)).rejects.toMatchObject({ code: "FRAME_MALFORMED" });
    expect(connection.aborted).toMatchObject({ code: "FRAME_MALFORMED" });
    connection = new ManualConnection();
    const cut = stream();
    connection.receive(BOX);
    connection.finish();
    await expect(readAll(cut)).rejects.toMatchObject({ code: "TRUNCATED" });
    expect(await cut.closed).toMatchObject({ code: "TRUNCATED" });
  });
});

describe("an end", () => {
  it("says goodbye once, and what comes can still be read", async () => {
    const made = stream();
    await made.end();
    await made.end();
    expect([made.write(TEXT), connection.written]).toEqual([false, GOODBYE]);
    connection.receive(BOX);
    await settled();
    connection.receive(BOX, GOODBYE);
    expect(await readAll(made)).toEqual(concat(TEXT, TEXT));
    expect(connection.ended).toBe(true);
    connection.finish();
    expect(await made.closed).toBeUndefined();
    await settled();
    expect(runtime.pending).toBe(0);
  });

  it("is the end of the stream when nobody reads and the other side ends", async () => {
    const made = stream();
    await made.end();
    connection.receive(GOODBYE);
    await settled();
    expect(connection.ended).toBe(true);
    connection.finish();
    expect(await made.closed).toBeUndefined();
    expect(await readAll(made)).toEqual(new Uint8Array(0));
    expect(runtime.pending).toBe(0);
  });

  it.each(["dialer", "listener"] as const)("waits for the %s who was read before", async (side) => {
    const made = stream({ side });
    connection.receive(BOX, GOODBYE);
    expect(await readAll(made)).toEqual(TEXT);
    await runtime.advance(100 * CLOSE_MS);
    expect([connection.ended, connection.aborted, runtime.pending]).toEqual([false, undefined, 0]);
    made.write(TEXT);
    await made.end();
    expect(connection.ended).toBe(true);
    expect(connection.written).toEqual(concat(BOX, GOODBYE));
    connection.finish();
    expect(await made.closed).toBeUndefined();
  });

  it("does not put a bound on the other side's words", async () => {
    const made = stream();
    const reading = readAll(made);
    await made.end();
    for (let i = 0; i < 10; i++) {
      await runtime.advance(10 * CLOSE_MS);
      connection.receive(BOX);
    }
    connection.receive(GOODBYE);
    expect((await reading).length).toBe(30);
    connection.finish();
    expect(await made.closed).toBeUndefined();
  });

  it("of both sides is the end, however long the other one lingers, whatever it says then", async () => {
    for (const reads of ["before", "meanwhile", "never"]) {
      connection = new ManualConnection();
      const made = stream();
      if (reads === "before") {
        connection.receive(GOODBYE);
        await readAll(made);
      } else if (reads === "meanwhile") {
        void readAll(made);
      }
      await made.end();
      if (reads !== "before") connection.receive(GOODBYE);
      await runtime.advance(CLOSE_MS - 1);
      connection.receive(BOX, new Uint8Array(100_000));
      expect(connection.aborted).toBeUndefined();
      await runtime.advance(1);
      expect(connection.aborted).toMatchObject({ code: "STREAM_CLOSED" });
      expect(await made.closed).toMatchObject({ address: "manual:far:1~toy" });
      expect(runtime.pending).toBe(0);
    }
  });

  it("of both sides is put off until all is handed over", async () => {
    let flush = (): void => {};
    const flushed = new Promise<void>((resolve) => {
      flush = resolve;
    });
    const slow = Object.assign(connection, { end: () => flushed });
    const made = stream({ over: slow });
    connection.receive(GOODBYE);
    await readAll(made);
    made.write(TEXT);
    const ending = made.end();
    await runtime.advance(100 * CLOSE_MS);
    expect([await isDone(ending), connection.aborted]).toEqual([false, undefined]);
    flush();
    await ending;
    await runtime.advance(CLOSE_MS);
    expect(connection.aborted).toMatchObject({ code: "STREAM_CLOSED" });
  });

  it("that the other side answers late is flushed, too, before its time begins", async () => {
    let flush = (): void => {};
    const flushed = new Promise<void>((resolve) => {
      flush = resolve;
    });
    const slow = Object.assign(connection, { end: () => flushed });
    const made = stream({ over: slow });
    const reading = readAll(made);
    await made.end();
    connection.receive(GOODBYE);
    await reading;
    await runtime.advance(100 * CLOSE_MS);
    expect(connection.aborted).toBeUndefined();
    flush();
    await runtime.advance(CLOSE_MS);
    expect(connection.aborted).toMatchObject({ code: "STREAM_CLOSED" });
  });

  it("tells the reader of a cut, not the process", async () => {
    const made = stream();
    await made.end();
    const cut = networkError("TRUNCATED", "the line is dead");
    connection.finish(cut);
    await settled();
    expect(await made.closed).toBe(cut);
    await expect(readAll(made)).rejects.toBe(cut);
    const unread = stream({ over: new ManualConnection() });
    await unread.end();
    unread.abort(cut);
    await settled();
    expect(await unread.closed).toBe(cut);
  });
});

describe("a close", () => {
  it("gives the other side so long to end, and no longer", async () => {
    const made = stream();
    const closing = made.close();
    const again = made.close();
    await settled();
    expect([connection.written, connection.ended]).toEqual([GOODBYE, true]);
    await runtime.advance(CLOSE_MS - 1);
    expect(await isDone(closing)).toBe(false);
    await runtime.advance(1);
    await Promise.all([closing, again]);
    expect(await made.closed).toMatchObject({
      code: "STREAM_CLOSED",
      message: "manual:far:1~toy did not end within 500 ms",
    });
    expect(runtime.pending).toBe(0);
  });

  it("resolves as soon as the other side has ended, and leaves no timer", async () => {
    const made = stream();
    const closing = made.close();
    await runtime.advance(CLOSE_MS / 2);
    connection.receive(GOODBYE);
    connection.finish();
    await closing;
    expect([await made.closed, runtime.pending]).toEqual([undefined, 0]);
    await made.close();
  });

  it("lets a reader have what still comes", async () => {
    const made = stream();
    const reading = readAll(made);
    const closing = made.close();
    connection.receive(BOX, BOX, GOODBYE);
    connection.finish();
    expect(await reading).toEqual(concat(TEXT, TEXT));
    await closing;
  });

  it("hands over what was written first, however long that takes", async () => {
    let flushed = (): void => {};
    const slow = Object.assign(connection, {
      end: () =>
        new Promise<void>((resolve) => {
          flushed = () => {
            connection.ended = true;
            resolve();
          };
        }),
    });
    const made = stream({ over: slow });
    made.write(TEXT);
    const closing = made.close();
    await runtime.advance(1_000 * CLOSE_MS);
    expect([await isDone(closing), connection.aborted]).toEqual([false, undefined]);
    flushed();
    await runtime.advance(CLOSE_MS);
    await closing;
    expect(connection.aborted).toMatchObject({ code: "STREAM_CLOSED" });
  });

  it("of a transport that ends both directions at once waits for the other side's goodbye", async () => {
    const made = stream({ halfClose: false });
    const closing = made.close();
    await runtime.advance(CLOSE_MS / 2);
    expect(connection.ended).toBe(false);
    connection.receive(GOODBYE);
    await settled();
    expect(connection.ended).toBe(true);
    connection.finish();
    await closing;
    expect([await made.closed, runtime.pending]).toEqual([undefined, 0]);
  });

  it("ends at once when the stream is aborted meanwhile", async () => {
    const reason = new Error("enough");
    const made = stream();
    const closing = made.close();
    await settled();
    made.abort(reason);
    await closing;
    expect([await made.closed, runtime.pending]).toEqual([reason, 0]);
  });
});
