/**
 * Conformance of sessions: what a transform's handshake must leave behind. Part of `transform.ts`.
 */

import { concat, EMPTY, equal, ProtocolError, type Session, type Transform } from "@testudo/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BOB, open, openAll, sessionOf, shake, type Talk, talk } from "../support/shaking.ts";
import { pattern } from "../support/traffic.ts";

const SLOW_MS = 60_000;

export interface SessionTraits {
  /** It tells an end from a cut. Default: it does when it proves keys. */
  readonly goodbye?: boolean;
  /** What it seals to is as long as its boxes say, whatever the plaintext is. Default true. */
  readonly fixedOverhead?: boolean;
}

/** Registers the tests in the surrounding `describe`. */
export function sessionConformance(make: () => Transform, traits: SessionTraits = {}): void {
  const { authenticates } = make();
  const { goodbye: saysGoodbye = authenticates, fixedOverhead = true } = traits;
  const toBob = { section: make().section(BOB) };

  describe("the session", () => {
    it("carries bytes both ways, in any size and any number of pieces", async () => {
      const { dialer, listener } = await talk(make);
      const box = Number.isFinite(dialer.boxBytes) ? dialer.boxBytes : 65_536;
      for (const size of [1, 2, 100, box - 1, box, box + 1, 3 * box + 7, 400_000]) {
        expectToCarry(dialer, listener, [pattern(size, size)]);
        expectToCarry(listener, dialer, [pattern(size, size + 1)]);
      }
      const pieces = Array.from({ length: 300 }, (_, i) => pattern((i * 37) % 1_200, i));
      expectToCarry(dialer, listener, pieces);
      expectToCarry(listener, dialer, [
        EMPTY,
        pattern(box, 5),
        EMPTY,
        pattern(3),
        pattern(2 * box),
      ]);
    });

    it("opens what arrives in any cut", async () => {
      const { dialer, listener } = await talk(make);
      const plain = pattern(600);
      const sealed = concat(
        ...dialer.seal([plain.subarray(0, 300)]),
        ...dialer.seal([plain.subarray(300)]),
      );
      const opened = openAll(
        listener,
        Array.from(sealed, (_, at) => sealed.subarray(at, at + 1)),
      );
      expect(concat(...opened)).toEqual(plain);
      for (let at = 0; at <= 300; at += 7) {
        const again = concat(...dialer.seal([plain]));
        const [first, second] = [again.subarray(0, at), again.subarray(at)];
        expect(equal(concat(...openAll(listener, [first, second])), plain)).toBe(true);
      }
    });

    it("opens many boxes in one chunk, cut by chance", async () => {
      const { dialer, listener } = await talk(make);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 6 }),
          fc.array(fc.nat(20_000), { maxLength: 5 }),
          async (plains, cuts) => {
            const sealed = concat(...plains.flatMap((plain) => dialer.seal([plain])));
            const at = [0, ...cuts.map((cut) => Math.min(cut, sealed.length)), sealed.length];
            at.sort((a, b) => a - b);
            const chunks = at.slice(1).map((end, i) => sealed.slice(at[i], end));
            expect(equal(concat(...openAll(listener, chunks)), concat(...plains))).toBe(true);
          },
        ),
        { numRuns: 60 },
      );
    });

    it("does not mistake nothing for a goodbye", async () => {
      const { dialer, listener } = await talk(make);
      const sealed = concat(
        ...dialer.seal([]),
        ...dialer.seal([EMPTY]),
        ...dialer.seal([EMPTY, EMPTY]),
      );
      expect(concat(...openAll(listener, [sealed, EMPTY])).length).toBe(0);
      if (listener.end !== undefined) expect(listener.ended).toBe(false);
      expectToCarry(dialer, listener, [pattern(10)]);
    });

    it("keeps nothing of the plaintext it sealed, and seals nothing over what it gave out", async () => {
      const { dialer, listener } = await talk(make);
      for (const size of [20, 3_000, 100_000]) {
        const pieces = [pattern(size, 1), pattern(size, 2)];
        const sealed = dialer.seal(pieces);
        for (const piece of pieces) piece.fill(0xee);
        const next = dialer.seal([pattern(size, 3)]);
        const first = openAll(listener, sealed);
        const second = openAll(listener, next);
        expect(equal(concat(...first), concat(pattern(size, 1), pattern(size, 2)))).toBe(true);
        expect(equal(concat(...second), pattern(size, 3))).toBe(true);
      }
    });

    it.runIf(fixedOverhead)("wastes nothing on whole boxes", async () => {
      const { dialer } = await talk(make);
      const { boxBytes } = dialer;
      expect(boxBytes).toBeGreaterThan(0);
      const overhead = (bytes: number): number =>
        concat(...dialer.seal([new Uint8Array(bytes)])).length - bytes;
      if (boxBytes === Number.POSITIVE_INFINITY) {
        expect([overhead(1), overhead(1_000_000)]).toEqual([0, 0]);
        return;
      }
      const one = overhead(boxBytes);
      expect(one).toBeGreaterThan(0);
      expect([overhead(1), overhead(2 * boxBytes), overhead(5 * boxBytes)]).toEqual([
        one,
        2 * one,
        5 * one,
      ]);
      expect([overhead(boxBytes + 1), overhead(2 * boxBytes + 1)]).toEqual([2 * one, 3 * one]);
    });

    it.runIf(!saysGoodbye)("adds no byte when it proves nothing", async () => {
      const { dialer, listener } = await shake(make, { dialer: toBob });
      expect([dialer.pipe.sentBytes, listener.pipe.sentBytes]).toEqual([0, 0]);
      expect(sessionOf(dialer).ended).toBe(true);
      expect(concat(...sessionOf(dialer).seal([pattern(50)]))).toEqual(pattern(50));
    });
  });

  describe.runIf(saysGoodbye)("the session's goodbye", () => {
    it("tells an end from a cut", async () => {
      const { dialer, listener } = await talk(make);
      expect([dialer.ended, listener.ended]).toEqual([false, false]);
      const sealed = concat(...dialer.seal([pattern(100)]));
      expect(open(listener, [sealed.subarray(0, -1)]).length).toBe(0);
      expect(listener.ended).toBe(false);
      expect(open(listener, [sealed.subarray(-1)])).toEqual(pattern(100));
      const goodbye = dialer.end?.() ?? EMPTY;
      expect(goodbye.length).toBeGreaterThan(0);
      for (const byte of goodbye.subarray(0, -1)) {
        expect(open(listener, [Uint8Array.of(byte)]).length).toBe(0);
        expect(listener.ended).toBe(false);
      }
      expect(open(listener, [goodbye.subarray(-1)]).length).toBe(0);
      expect([dialer.ended, listener.ended]).toEqual([false, true]);
      // The other direction goes on, to its own goodbye.
      expectToCarry(listener, dialer, [pattern(50)]);
      expect(open(dialer, [listener.end?.() ?? EMPTY]).length).toBe(0);
      expect(dialer.ended).toBe(true);
    });

    it("says nothing after its goodbye and hears nothing after the other's", async () => {
      const { dialer, listener } = await talk(make);
      const goodbye = dialer.end?.() ?? EMPTY;
      expect(() => dialer.seal([pattern(1)])).toThrow();
      expect(open(listener, [goodbye]).length).toBe(0);
      let heard = 0;
      try {
        heard = open(listener, [pattern(200)]).length;
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
      expect(heard).toBe(0);
      expect(listener.ended).toBe(true);
    });
  });

  describe.runIf(authenticates)("the session's seal", () => {
    it("differs from session to session", async () => {
      const [one, other] = [await talk(make), await talk(make)];
      const plain = pattern(64);
      expect(concat(...one.dialer.seal([plain]))).not.toEqual(
        concat(...other.dialer.seal([plain])),
      );
      expect(concat(...one.dialer.seal([plain]))).not.toEqual(concat(...one.dialer.seal([plain])));
      expect(() => open(other.listener, one.dialer.seal([plain]))).toThrow(ProtocolError);
    });

    it(
      "refuses a box with any bit flipped",
      async () => {
        const { length } = concat(...(await talk(make)).dialer.seal([pattern(40)]));
        for (let at = 0; at < length; at++) {
          const { dialer, listener } = await talk(make);
          const sealed = concat(...dialer.seal([pattern(40)]));
          sealed[at] = (sealed[at] as number) ^ (1 << (at % 8));
          expectForged(listener, sealed, dialer);
        }
      },
      SLOW_MS,
    );

    it("refuses a box twice, out of order, left out, or sent back", async () => {
      const boxes = async (): Promise<{ talk: Talk; a: Uint8Array; b: Uint8Array }> => {
        const talking = await talk(make);
        const a = concat(...talking.dialer.seal([pattern(30, 1)]));
        const b = concat(...talking.dialer.seal([pattern(30, 2)]));
        return { talk: talking, a, b };
      };
      const twice = await boxes();
      expect(open(twice.talk.listener, [twice.a])).toEqual(pattern(30, 1));
      expectForged(twice.talk.listener, twice.a, twice.talk.dialer);
      const swapped = await boxes();
      expectForged(swapped.talk.listener, swapped.b, swapped.talk.dialer);
      const back = await boxes();
      expectForged(back.talk.dialer, back.a, back.talk.listener);
    });

    it("is dead after a forgery", async () => {
      const { dialer, listener } = await talk(make);
      const good = dialer.seal([pattern(10)]);
      const bad = concat(...dialer.seal([pattern(10)]));
      bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
      expect(open(listener, good)).toEqual(pattern(10));
      expect(() => open(listener, [bad])).toThrow(ProtocolError);
      expect(() => open(listener, dialer.seal([pattern(10)]))).toThrow(ProtocolError);
    });

    it("survives garbage", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), {
            minLength: 1,
            maxLength: 6,
          }),
          async (garbage) => {
            const { dialer, listener } = await talk(make);
            expectForged(listener, concat(...garbage, pattern(100, 77)), dialer);
          },
        ),
        { numRuns: 60 },
      );
    });

    it("refuses a forged goodbye", async () => {
      const { dialer, listener } = await talk(make);
      const goodbye = (dialer.end?.() ?? EMPTY).slice();
      goodbye[goodbye.length - 1] = (goodbye[goodbye.length - 1] as number) ^ 0x80;
      expect(() => open(listener, [goodbye])).toThrow(ProtocolError);
      expect(listener.ended).toBe(false);
    });

    it("exports keys that only the two share", async () => {
      const { dialer, listener } = await talk(make);
      const other = await talk(make);
      const key = dialer.exportKey?.("a label");
      expect(key?.length).toBe(32);
      expect(listener.exportKey?.("a label")).toEqual(key);
      expect(dialer.exportKey?.("another")).not.toEqual(key);
      expect(other.dialer.exportKey?.("a label")).not.toEqual(key);
    });
  });
}

/**
 * Nothing comes out of it, then or later, and it is no goodbye. A changed length may make the session wait
 * for more; then more is given, until it must have noticed.
 */
function expectForged(opener: Session, forged: Uint8Array, sealer: Session): void {
  let heard = 0;
  const feed = (): void => {
    heard += open(opener, [forged]).length;
    for (let given = 0; given < 140_000; given += 10_000) {
      heard += open(opener, sealer.seal([pattern(10_000)])).length;
    }
  };
  expect(feed).toThrow(ProtocolError);
  expect(heard).toBe(0);
  expect(opener.ended).toBe(false);
}

export function expectToCarry(from: Session, to: Session, plain: readonly Uint8Array[]): void {
  expect(equal(open(to, from.seal(plain)), concat(...plain))).toBe(true);
}
