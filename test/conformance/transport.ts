/**
 * Conformance of transports: what every one must do, whatever carries its bytes.
 *
 *     transportConformance("net", () => ({ transport: net(), listenAt: …, refusedAt: …, malformed: [] }));
 *
 * Uses nothing but the contract in core's `transport.ts` and `connection.ts`. A transport that cannot
 * half-close skips what needs it. Nothing here measures time.
 */

import { getEventListeners } from "node:events";
import {
  AddressError,
  type BytePipe,
  type Connection,
  concat,
  DialError,
  deferred,
  equal,
  type Listener,
  NetworkError,
  type Section,
  type Transport,
} from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";

export interface TransportFixture {
  readonly transport: Transport;
  /** A place to listen that nobody else uses: port 0, or a new name. */
  listenAt(): Section;
  /** A place that can be dialled and where nobody listens. */
  refusedAt(): Promise<Section>;
  /** Sections of this transport that can never be dialled. */
  readonly malformed: readonly Section[];
}

/** More than any transport may take from a writer whose reader does not read. */
const MOST_BUFFERED_BYTES = 64 * 1024 * 1024;
const SLOW_MS = 30_000;

export function transportConformance(
  name: string,
  makeFixture: () => TransportFixture | Promise<TransportFixture>,
): void {
  describe(`${name} as a transport`, () => {
    expectNoLeaks();

    let fixture: TransportFixture;
    let world: World;
    beforeEach(async () => {
      fixture = await makeFixture();
      world = new World(fixture);
    });
    afterEach(() => world.close());

    describe("dialling and listening", () => {
      it("gives each side a connection that names the other", async () => {
        const { listener, dialer, accepted } = await world.pair();
        expect(listener.section.name).toBe(fixture.transport.name);
        expect(dialer.remote.name).toBe(fixture.transport.name);
        expect(accepted.remote.name).toBe(fixture.transport.name);
        expect(dialer.local).toBe(true);
        expect(accepted.local).toBe(true);
        expect(listener.local).toBe(true);
      });

      it("takes many connections at once and keeps them apart", async () => {
        const listener = await world.listen((connection) => void echo(connection));
        const sums = await Promise.all(
          Array.from({ length: 40 }, async (_, index) => {
            const connection = await world.dial(listener.section);
            const sent = pattern(2_000 + index, index);
            connection.write(sent);
            return equal(await new Reader(connection).take(sent.length), sent);
          }),
        );
        expect(sums).toEqual(Array.from({ length: 40 }, () => true));
        expect(world.accepted.length).toBe(40);
      });

      it("refuses with DIAL_REFUSED where nobody listens", async () => {
        const refused = await fixture.refusedAt();
        const error = await failureOf(world.dial(refused));
        expect(error).toBeInstanceOf(DialError);
        expect(error).toMatchObject({ code: "DIAL_REFUSED", address: refused.text });
      });

      it("rejects sections that can never work", async () => {
        for (const section of fixture.malformed) {
          const error = await failureOf(world.dial(section));
          expect(error, section.text).toBeInstanceOf(AddressError);
        }
      });

      it("refuses to listen twice in one place, and the first goes on", async () => {
        const listener = await world.listen((connection) => void echo(connection));
        const error = await failureOf(world.listen(() => {}, listener.section));
        expect(error).toBeInstanceOf(DialError);
        expect(error).toMatchObject({ code: "LISTEN_FAILED", address: listener.section.text });
        const connection = await world.dial(listener.section);
        connection.write(pattern(10));
        expect(await new Reader(connection).take(10)).toEqual(pattern(10));
      });

      it("leaves connections alone when the listener closes, and frees its place", async () => {
        const { listener, dialer, accepted } = await world.pair();
        await listener.close();
        await listener.close();
        dialer.write(pattern(100));
        expect(await new Reader(accepted).take(100)).toEqual(pattern(100));
        const error = await failureOf(world.dial(listener.section));
        expect(error).toMatchObject({ code: "DIAL_REFUSED" });
        const again = await world.pair(listener.section);
        await listener.close();
        again.dialer.write(pattern(7));
        expect(await new Reader(again.accepted).take(7)).toEqual(pattern(7));
      });

      it("does not dial when the signal has fired", async () => {
        const listener = await world.listen(() => {});
        const reason = new Error("too late");
        const aborted = AbortSignal.abort(reason);
        await expect(fixture.transport.dial(listener.section, { signal: aborted })).rejects.toBe(
          reason,
        );
        await turns(5);
        expect(world.accepted.length).toBe(0);
      });

      it("gives up when the signal fires while dialling, and leaves nothing open", async () => {
        const listener = await world.listen(() => {});
        const controller = new AbortController();
        const reason = new Error("changed my mind");
        const dialling = fixture.transport.dial(listener.section, { signal: controller.signal });
        controller.abort(reason);
        await expect(dialling).rejects.toBe(reason);
        await turns(5);
        // Whether the listener saw it come or not, it is gone.
        for (const connection of world.accepted) {
          await readAll(connection).catch(() => {});
          connection.abort(new Error("done"));
        }
      });

      it("forgets the signal once it has dialled", async () => {
        const controller = new AbortController();
        const listener = await world.listen((connection) => void echo(connection));
        const connection = await world.dial(listener.section, controller.signal);
        expect(getEventListeners(controller.signal, "abort")).toEqual([]);
        controller.abort(new Error("of no concern"));
        connection.write(pattern(9));
        expect(await new Reader(connection).take(9)).toEqual(pattern(9));
      });

      it("forgets the signal once it has failed to dial", async () => {
        const controller = new AbortController();
        await failureOf(world.dial(await fixture.refusedAt(), controller.signal));
        expect(getEventListeners(controller.signal, "abort")).toEqual([]);
      });
    });

    describe("carrying bytes", () => {
      it.each([1, 2, 1_460, 65_536, 65_537, 1_048_576])("echoes %i bytes", async (size) => {
        const { dialer, accepted } = await world.pair();
        void echo(accepted);
        const sent = pattern(size, size);
        dialer.write(sent);
        expect(equal(await new Reader(dialer).take(size), sent)).toBe(true);
      });

      it("keeps the order of one-byte writes", async () => {
        const { dialer, accepted } = await world.pair();
        const sent = pattern(3_000);
        void writeAll(
          dialer,
          Array.from(sent, (_, at) => sent.subarray(at, at + 1)),
        );
        expect(equal(await new Reader(accepted).take(sent.length), sent)).toBe(true);
      });

      it("writes pieces as one run, views and empty ones too", async () => {
        const { dialer, accepted } = await world.pair();
        const sent = pattern(100_000);
        const whole = concat(pattern(5, 1), sent, pattern(5, 2));
        const view = whole.subarray(5, 5 + sent.length);
        dialer.write(
          view.subarray(0, 1),
          new Uint8Array(0),
          view.subarray(1, 40),
          view.subarray(40, 70_000),
          view.subarray(70_000),
        );
        dialer.write(new Uint8Array(0));
        dialer.write();
        dialer.write(pattern(3, 9));
        const got = await new Reader(accepted).take(sent.length + 3);
        expect(equal(got, concat(sent, pattern(3, 9)))).toBe(true);
      });

      it("carries both directions at full load at once", async () => {
        const { dialer, accepted } = await world.pair();
        const pieces = Array.from({ length: 64 }, (_, i) => pattern(32_768, i));
        const whole = concat(...pieces);
        const sending = [writeAll(dialer, pieces), writeAll(accepted, pieces)];
        const readers = [new Reader(dialer), new Reader(accepted)];
        const got = await Promise.all(readers.map((reader) => reader.take(whole.length)));
        await Promise.all(sending);
        expect(got.map((bytes) => equal(bytes, whole))).toEqual([true, true]);
      });

      it("gives one iterator, and leaving a loop closes nothing", async () => {
        const { dialer, accepted } = await world.pair();
        expect(accepted[Symbol.asyncIterator]()).toBe(accepted[Symbol.asyncIterator]());
        dialer.write(pattern(4));
        for await (const chunk of accepted) {
          expect(chunk[0]).toBe(pattern(4)[0]);
          break;
        }
        accepted.write(pattern(6));
        expect(await new Reader(dialer).take(6)).toEqual(pattern(6));
        const rest = new Reader(accepted);
        dialer.write(pattern(5, 3));
        const all = await rest.take(5);
        expect(all.length).toBe(5);
      });
    });

    describe("back-pressure", () => {
      it(
        "holds a writer whose reader does not read, within bounds, and loses nothing",
        async () => {
          const { dialer, accepted } = await world.pair();
          const chunk = pattern(65_536, 7);
          let written = 0;
          for (let stuck = false; !stuck; ) {
            while (dialer.write(chunk)) {
              written += chunk.length;
              if (written > MOST_BUFFERED_BYTES) throw new Error("write never said to wait");
            }
            written += chunk.length;
            stuck = await isPending(dialer.drain());
          }
          expect(written).toBeLessThan(MOST_BUFFERED_BYTES);
          const drained = dialer.drain();
          const reader = new Reader(accepted);
          let same = true;
          for (let read = 0; read < written; read += chunk.length) {
            same &&= equal(await reader.take(chunk.length), chunk);
          }
          await drained;
          expect(same).toBe(true);
          expect(dialer.write(pattern(3))).toBe(true);
          expect(await reader.take(3)).toEqual(pattern(3));
        },
        SLOW_MS,
      );

      it("has nothing to drain when idle", async () => {
        const { dialer } = await world.pair();
        await dialer.drain();
        expect(dialer.write(pattern(1))).toBe(true);
        await dialer.drain();
      });

      it("brings everything to a reader that takes its time", async () => {
        const { dialer, accepted } = await world.pair();
        const pieces = Array.from({ length: 40 }, (_, i) => pattern(50_000, i));
        const sending = writeAll(dialer, pieces).then(() => dialer.end());
        const got: Uint8Array[] = [];
        for await (const chunk of accepted) {
          got.push(chunk);
          await turns(1);
        }
        await sending;
        expect(equal(concat(...got), concat(...pieces))).toBe(true);
      });

      it("lets go of a waiting writer when the connection is cut", async () => {
        const { dialer } = await world.pair();
        await fill(dialer);
        const drained = dialer.drain();
        const ended = dialer.end();
        dialer.abort(new Error("enough"));
        await Promise.all([drained, ended]);
        expect(dialer.write(pattern(1))).toBe(false);
      });
    });

    describe("ending", () => {
      it("half-closes: after the dialer's end the listener goes on", async ({ skip }) => {
        if (!fixture.transport.halfClose) return skip();
        const { dialer, accepted } = await world.pair();
        dialer.write(pattern(10));
        await dialer.end();
        expect(await readAll(accepted)).toEqual(pattern(10));
        accepted.write(pattern(20));
        accepted.write(pattern(30_000));
        await accepted.end();
        expect(equal(await readAll(dialer), concat(pattern(20), pattern(30_000)))).toBe(true);
        expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
      });

      it("half-closes: after the listener's end the dialer goes on", async ({ skip }) => {
        if (!fixture.transport.halfClose) return skip();
        const { dialer, accepted } = await world.pair();
        await accepted.end();
        expect((await readAll(dialer)).length).toBe(0);
        dialer.write(pattern(70_000));
        await dialer.end();
        expect(equal(await readAll(accepted), pattern(70_000))).toBe(true);
        expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
      });

      it("brings what was written before an end", async () => {
        const { dialer, accepted } = await world.pair();
        const sent = pattern(500_000);
        dialer.write(sent);
        const ending = dialer.end();
        expect(equal(await readAll(accepted), sent)).toBe(true);
        await ending;
      });

      it("writes nothing after an end", async () => {
        const { dialer, accepted } = await world.pair();
        dialer.write(pattern(3));
        const ending = dialer.end();
        expect(dialer.write(pattern(99))).toBe(false);
        await dialer.drain();
        expect(await readAll(accepted)).toEqual(pattern(3));
        await ending;
        await dialer.end();
      });

      it("closes from both sides, once and for all", async () => {
        const { dialer, accepted } = await world.pair();
        dialer.write(pattern(5));
        const closing = [dialer.close(), accepted.close(), dialer.close()];
        await Promise.all(closing);
        expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
        dialer.abort(new Error("after the end"));
        expect(await dialer.closed).toBeUndefined();
        expect(dialer.write(pattern(1))).toBe(false);
        await Promise.all([dialer.drain(), dialer.end(), dialer.close()]);
        expect(await readAll(accepted)).toEqual(pattern(5));
      });

      it("waits in close for the other side, until it is aborted", async ({ skip }) => {
        if (!fixture.transport.halfClose) return skip();
        const { dialer, accepted } = await world.pair();
        const closing = dialer.close();
        expect((await readAll(accepted)).length).toBe(0);
        accepted.write(pattern(8));
        expect(await new Reader(dialer).take(8)).toEqual(pattern(8));
        expect(await isPending(closing)).toBe(true);
        const reason = new Error("waited long enough");
        dialer.abort(reason);
        await closing;
        expect(await dialer.closed).toBe(reason);
      });
    });

    describe("cutting", () => {
      it("ends its own reads with the reason and is idempotent", async () => {
        const { dialer } = await world.pair();
        const reason = new Error("the reason");
        const reading = failureOf(readAll(dialer));
        dialer.abort(reason);
        dialer.abort(new Error("another"));
        expect(await reading).toBe(reason);
        expect(await dialer.closed).toBe(reason);
        expect(await failureOf(readAll(dialer))).toBe(reason);
        expect(dialer.write(pattern(1))).toBe(false);
        await Promise.all([dialer.drain(), dialer.end(), dialer.close()]);
      });

      it.each(["dialer", "accepted"] as const)(
        "is seen as a cut when the %s aborts",
        async (who) => {
          const pair = await world.pair();
          const other = who === "dialer" ? pair.accepted : pair.dialer;
          pair[who].write(pattern(10));
          await new Reader(other).take(10);
          const reading = failureOf(readAll(other));
          pair[who].abort(new Error("cut"));
          const error = await reading;
          expect(error).toBeInstanceOf(NetworkError);
          expect(error).toMatchObject({ code: "TRUNCATED" });
          expect(await other.closed).toMatchObject({ code: "TRUNCATED" });
          expect(other.write(pattern(1))).toBe(false);
          await Promise.all([other.drain(), other.end(), other.close()]);
        },
      );

      it("is never taken for an end when bytes were on their way", async () => {
        const { dialer, accepted } = await world.pair();
        await fill(dialer);
        dialer.abort(new Error("cut"));
        expect(await failureOf(readAll(accepted))).toMatchObject({ code: "TRUNCATED" });
        expect(await accepted.closed).toMatchObject({ code: "TRUNCATED" });
      });

      it("is never taken for an end when the end itself was still on its way", async () => {
        const { dialer, accepted } = await world.pair();
        await fill(dialer);
        const ending = dialer.end();
        dialer.abort(new Error("cut"));
        await ending;
        expect(await failureOf(readAll(accepted))).toMatchObject({ code: "TRUNCATED" });
      });

      it("reaches a writer that does not read", async () => {
        const { dialer, accepted } = await world.pair();
        await fill(accepted);
        const drained = accepted.drain();
        dialer.abort(new Error("cut"));
        await drained;
        expect(await accepted.closed).toMatchObject({ code: "TRUNCATED" });
      });

      it("survives both sides aborting at once", async () => {
        const { dialer, accepted } = await world.pair();
        const [one, other] = [new Error("one"), new Error("other")];
        dialer.abort(one);
        accepted.abort(other);
        expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([one, other]);
      });
    });
  });
}

/** What one test opened; all of it is gone after `close()`. */
class World {
  readonly accepted: Connection[] = [];
  readonly #fixture: TransportFixture;
  readonly #connections: Connection[] = [];
  readonly #listeners: Listener[] = [];

  constructor(fixture: TransportFixture) {
    this.#fixture = fixture;
  }

  async listen(
    accept: (connection: Connection) => void,
    at: Section = this.#fixture.listenAt(),
  ): Promise<Listener> {
    const { transport } = this.#fixture;
    if (transport.listen === undefined) throw new Error(`${transport.name} cannot listen`);
    const listener = await transport.listen(at, (connection) => {
      this.accepted.push(connection);
      this.#connections.push(connection);
      accept(connection);
    });
    this.#listeners.push(listener);
    return listener;
  }

  async dial(
    section: Section,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Connection> {
    const connection = await this.#fixture.transport.dial(section, { signal });
    this.#connections.push(connection);
    return connection;
  }

  /** Both ends of one new connection. */
  async pair(
    at?: Section,
  ): Promise<{ listener: Listener; dialer: Connection; accepted: Connection }> {
    const arrived = deferred<Connection>();
    const listener = await this.listen((connection) => arrived.resolve(connection), at);
    const dialer = await this.dial(listener.section);
    return { listener, dialer, accepted: await arrived.promise };
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.abort(new Error("the test is over"));
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await Promise.all(this.#connections.map((connection) => connection.closed));
  }
}

/** Exact lengths out of a connection; keeps what is left over. */
class Reader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #left: Uint8Array = new Uint8Array(0);

  constructor(pipe: BytePipe) {
    this.#chunks = pipe[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Uint8Array> {
    const pieces = [this.#left];
    let have = this.#left.length;
    while (have < length) {
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error(`ended after ${have} of ${length} bytes`);
      pieces.push(value);
      have += value.length;
    }
    const all = concat(...pieces);
    this.#left = all.subarray(length);
    return all.slice(0, length);
  }
}

async function readAll(pipe: BytePipe): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of pipe) chunks.push(chunk);
  return concat(...chunks);
}

async function writeAll(pipe: BytePipe, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) if (!pipe.write(piece)) await pipe.drain();
}

async function echo(connection: Connection): Promise<void> {
  try {
    for await (const chunk of connection) if (!connection.write(chunk)) await connection.drain();
  } catch {
    // The test has aborted it.
  }
}

/** Writes until the connection takes no more and does not drain. */
async function fill(pipe: BytePipe): Promise<void> {
  const chunk = pattern(65_536);
  do {
    for (let i = 0; pipe.write(chunk); i++) {
      if (i * chunk.length > MOST_BUFFERED_BYTES) throw new Error("write never said to wait");
    }
  } while (!(await isPending(pipe.drain())));
}

/** Whether a promise is unsettled after the event loop has had time to do all it can do by itself. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const settled = (): void => {
    pending = false;
  };
  promise.then(settled, settled);
  for (let i = 0; i < 10 && pending; i++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return pending;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it should have failed");
}

/** Bytes without a short period, so that a hole or a swap shows. */
function pattern(length: number, seed: number = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
