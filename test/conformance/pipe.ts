/**
 * Conformance of pipes: what every `BytePipe` must do, be it a connection, a sealed one or a Node stream's.
 *
 * Uses nothing but the contract in core's `connection.ts`. Nothing here measures time.
 */

import { type BytePipe, concat, equal, NetworkError } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import {
  echo,
  failureOf,
  fill,
  isPending,
  MOST_BUFFERED_BYTES,
  pattern,
  Reader,
  readAll,
  turns,
  writeAll,
} from "../support/traffic.ts";

/** Two ends of one new pipe. The names of the sides are those of connections. */
export interface PipePair {
  readonly dialer: BytePipe;
  readonly accepted: BytePipe;
}

export interface PipeTraits {
  /** Whether `end()` leaves the other direction open. */
  readonly halfClose: boolean;
  /** What reads reject with when the other side was aborted. Default `TRUNCATED`. */
  readonly cutCode?: string;
  /** Whether the dialer's end can hold up what arrives, in place of giving up on it. Default: yes. */
  readonly pausable?: boolean;
  /** Whether a reader learns that the other side has ended, rather than fallen silent. Default: yes. */
  readonly tellsEnd?: boolean;
}

export interface PipeSuite {
  /** Leaves out what fills buffers or runs long: for a pipe that is made of parts that are tested whole. Default false. */
  readonly brief?: boolean;
}

const SLOW_MS = 30_000;

/** Registers the tests in the surrounding `describe`. What `makePair` opened is aborted after each test. */
export function pipeConformance(
  makePair: () => Promise<PipePair>,
  traits: () => PipeTraits,
  { brief = false }: PipeSuite = {},
): void {
  const opened: BytePipe[] = [];
  const pair = async (): Promise<PipePair> => {
    const made = await makePair();
    opened.push(made.dialer, made.accepted);
    return made;
  };
  afterEach(async () => {
    const pipes = opened.splice(0);
    for (const pipe of pipes) pipe.abort(new Error("the test is over"));
    await Promise.all(pipes.map((pipe) => pipe.closed));
  });

  describe("carrying bytes", () => {
    const sizes = brief ? [1, 65_537, 300_000] : [1, 2, 1_460, 65_536, 65_537, 1_048_576];
    it.each(sizes)("echoes %i bytes", async (size) => {
      const { dialer, accepted } = await pair();
      void echo(accepted);
      const sent = pattern(size, size);
      dialer.write(sent);
      expect(equal(await new Reader(dialer).take(size), sent)).toBe(true);
    });

    it.skipIf(brief)("keeps the order of one-byte writes", async () => {
      const { dialer, accepted } = await pair();
      const sent = pattern(3_000);
      void writeAll(
        dialer,
        Array.from(sent, (_, at) => sent.subarray(at, at + 1)),
      );
      expect(equal(await new Reader(accepted).take(sent.length), sent)).toBe(true);
    });

    it("writes pieces as one run, views and empty ones too", async () => {
      const { dialer, accepted } = await pair();
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

    it.skipIf(brief)("carries both directions at full load at once", async () => {
      const { dialer, accepted } = await pair();
      const pieces = Array.from({ length: 64 }, (_, i) => pattern(32_768, i));
      const whole = concat(...pieces);
      const sending = [writeAll(dialer, pieces), writeAll(accepted, pieces)];
      const readers = [new Reader(dialer), new Reader(accepted)];
      const got = await Promise.all(readers.map((reader) => reader.take(whole.length)));
      await Promise.all(sending);
      expect(got.map((bytes) => equal(bytes, whole))).toEqual([true, true]);
    });

    it("gives one iterator, and leaving a loop closes nothing", async () => {
      const { dialer, accepted } = await pair();
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

    it("takes back a read that waits, and loses nothing by it", async ({ skip }) => {
      const { dialer, accepted } = await pair();
      const chunks = accepted[Symbol.asyncIterator]();
      if (chunks.return === undefined) return skip();
      const waiting = chunks.next();
      await turns(3);
      await chunks.return();
      expect(await waiting).toMatchObject({ done: true });
      dialer.write(pattern(5));
      expect(await new Reader(accepted).take(5)).toEqual(pattern(5));
    });
  });

  describe("back-pressure", () => {
    it.skipIf(brief)(
      "holds a writer whose reader does not read, within bounds, and loses nothing",
      async () => {
        const { dialer, accepted } = await pair();
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
      const { dialer } = await pair();
      await dialer.drain();
      expect(dialer.write(pattern(1))).toBe(true);
      await dialer.drain();
    });

    it.skipIf(brief)("brings everything to a reader that takes its time", async ({ skip }) => {
      if (traits().tellsEnd === false) return skip();
      const { dialer, accepted } = await pair();
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

    it.skipIf(brief)("lets go of a waiting writer when the connection is cut", async () => {
      const { dialer } = await pair();
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
      if (!traits().halfClose) return skip();
      const { dialer, accepted } = await pair();
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
      if (!traits().halfClose) return skip();
      const { dialer, accepted } = await pair();
      await accepted.end();
      expect((await readAll(dialer)).length).toBe(0);
      dialer.write(pattern(70_000));
      await dialer.end();
      expect(equal(await readAll(accepted), pattern(70_000))).toBe(true);
      expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
    });

    it("brings what was written before an end", async ({ skip }) => {
      if (traits().tellsEnd === false) return skip();
      const { dialer, accepted } = await pair();
      const sent = pattern(500_000);
      dialer.write(sent);
      const ending = dialer.end();
      expect(equal(await readAll(accepted), sent)).toBe(true);
      await ending;
    });

    it("writes nothing after an end", async ({ skip }) => {
      if (traits().tellsEnd === false) return skip();
      const { dialer, accepted } = await pair();
      dialer.write(pattern(3));
      const ending = dialer.end();
      expect(dialer.write(pattern(99))).toBe(false);
      await dialer.drain();
      expect(await readAll(accepted)).toEqual(pattern(3));
      await ending;
      await dialer.end();
    });

    it("closes from both sides, once and for all", async () => {
      const { dialer, accepted } = await pair();
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
      if (!traits().halfClose) return skip();
      const { dialer, accepted } = await pair();
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
      const { dialer } = await pair();
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

    it.each(["dialer", "accepted"] as const)("is seen as a cut when the %s aborts", async (who) => {
      const ends = await pair();
      const other = who === "dialer" ? ends.accepted : ends.dialer;
      ends[who].write(pattern(10));
      await new Reader(other).take(10);
      const reading = failureOf(readAll(other));
      ends[who].abort(new Error("cut"));
      const error = await reading;
      expect(error).toBeInstanceOf(NetworkError);
      expect(error).toMatchObject({ code: traits().cutCode ?? "TRUNCATED" });
      expect(await other.closed).toMatchObject({ code: traits().cutCode ?? "TRUNCATED" });
      expect(other.write(pattern(1))).toBe(false);
      await Promise.all([other.drain(), other.end(), other.close()]);
    });

    it("is never taken for an end when bytes were on their way", async () => {
      const { dialer, accepted } = await pair();
      await fill(dialer);
      dialer.abort(new Error("cut"));
      expect(await failureOf(readAll(accepted))).toMatchObject({
        code: traits().cutCode ?? "TRUNCATED",
      });
      expect(await accepted.closed).toMatchObject({ code: traits().cutCode ?? "TRUNCATED" });
    });

    it.skipIf(brief)(
      "is never taken for an end when the end itself was still on its way",
      async () => {
        const { dialer, accepted } = await pair();
        await fill(dialer);
        const ending = dialer.end();
        dialer.abort(new Error("cut"));
        await ending;
        expect(await failureOf(readAll(accepted))).toMatchObject({
          code: traits().cutCode ?? "TRUNCATED",
        });
      },
    );

    it.skipIf(brief)("reaches a writer that does not read", async ({ skip }) => {
      if (traits().pausable === false) return skip();
      const { dialer, accepted } = await pair();
      await fill(accepted);
      const drained = accepted.drain();
      dialer.abort(new Error("cut"));
      await drained;
      expect(await accepted.closed).toMatchObject({ code: traits().cutCode ?? "TRUNCATED" });
    });

    it("survives both sides aborting at once", async () => {
      const { dialer, accepted } = await pair();
      const [one, other] = [new Error("one"), new Error("other")];
      dialer.abort(one);
      accepted.abort(other);
      expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([one, other]);
    });
  });
}
