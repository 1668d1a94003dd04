import { concat, ProtocolError, readU16, toHex } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { BOX_PLAIN_BYTES, type NoiseSession } from "../../src/noise/session.ts";
import { secret, sessions } from "./support.ts";

const MALFORMED = expect.objectContaining({ name: "ProtocolError", code: "FRAME_MALFORMED" });

/** Bytes that differ from place to place, so that a misplaced one shows. */
function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff;
  return bytes;
}

function sealed(session: NoiseSession, ...plain: Uint8Array[]): Uint8Array {
  return concat(...session.seal(plain));
}

function opened(session: NoiseSession, ...chunks: Uint8Array[]): Uint8Array {
  return openedAll(session, chunks);
}

/** For more chunks than the stack could hold as arguments. */
function openedAll(session: NoiseSession, chunks: readonly Uint8Array[]): Uint8Array {
  return concat(...chunks.flatMap((chunk) => session.open(chunk)));
}

/** Expects equality without a diff of 64 KiB when it fails. */
function same(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  expect(Buffer.compare(actual, expected)).toBe(0);
}

function boxLengths(wire: Uint8Array): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < wire.length; at += 2 + (lengths.at(-1) as number)) {
    lengths.push(readU16(wire, at));
  }
  return lengths;
}

describe.each(["AESGCM", "ChaChaPoly"] as const)("session %s", (cipher) => {
  test.each([1, 15, 16, 100, 4_079, 4_080, 4_081, 8_192, 65_518, 65_519])(
    "%d bytes make one box of 18 more",
    (length) => {
      const { dialer, listener } = sessions(cipher);
      const wire = sealed(dialer, pattern(length));
      expect(wire.length).toBe(length + 18);
      expect(readU16(wire, 0)).toBe(length + 16);
      same(opened(listener, wire), pattern(length));
      same(opened(dialer, sealed(listener, pattern(length, 1))), pattern(length, 1));
    },
  );

  test("a long run fills its boxes", () => {
    const { dialer, listener } = sessions(cipher);
    const plain = pattern(3 * BOX_PLAIN_BYTES + 5);
    const wire = sealed(dialer, plain);
    expect(boxLengths(wire)).toEqual([65_535, 65_535, 65_535, 21]);
    same(opened(listener, wire), plain);
    const whole = sealed(dialer, plain.subarray(0, 2 * BOX_PLAIN_BYTES));
    expect(boxLengths(whole)).toEqual([65_535, 65_535]);
    same(opened(listener, whole), plain.subarray(0, 2 * BOX_PLAIN_BYTES));
  });

  test("any pieces in, any chunks out, both ways at once", () => {
    const piece = fc.oneof(
      { weight: 6, arbitrary: fc.nat(300) },
      { weight: 3, arbitrary: fc.integer({ min: 1_900, max: 9_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 140_000 }) },
    );
    const runs = fc.array(fc.array(piece, { maxLength: 12 }), { minLength: 1, maxLength: 5 });
    const cuts = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(runs, cuts, fc.boolean(), (lengths, sizes, backwards) => {
        const pair = sessions(cipher);
        const [from, to] = backwards ? [pair.listener, pair.dialer] : [pair.dialer, pair.listener];
        const plain = lengths.map((run) => run.map((length, i) => pattern(length, i)));
        const wire = concat(...plain.flatMap((run) => from.seal(run)));
        const chunks: Uint8Array[] = [];
        // Single bytes only where there are few: another test drips a whole box.
        const least = Math.ceil(wire.length / 4_000);
        for (let at = 0, i = 0; at < wire.length; i++) {
          const size = Math.max(least, sizes[i % sizes.length] as number);
          chunks.push(wire.slice(at, at + size));
          at += size;
        }
        same(openedAll(to, chunks), concat(...plain.flat()));
        expect(to.ended).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  test("opens alike when split at every byte, and releases no byte before its tag", () => {
    const plains = [pattern(40), pattern(1, 1), pattern(23, 2)];
    const { dialer } = sessions(cipher);
    const boxes = plains.map((plain) => sealed(dialer, plain));
    const whole = concat(...boxes);
    for (let cut = 0; cut <= whole.length; cut++) {
      const { listener } = sessions(cipher);
      const before = opened(listener, whole.subarray(0, cut));
      let complete = 0;
      let end = 0;
      for (const [i, box] of boxes.entries()) {
        end += box.length;
        if (end <= cut) complete += (plains[i] as Uint8Array).length;
      }
      expect(before.length).toBe(complete);
      same(concat(before, opened(listener, whole.subarray(cut))), concat(...plains));
    }
    const { listener } = sessions(cipher);
    const bytewise = [...whole].map((byte) => Uint8Array.of(byte));
    same(openedAll(listener, bytewise), concat(...plains));
  });

  test("every flipped bit is found, and nothing of its box is released", () => {
    const { dialer } = sessions(cipher);
    const good = sealed(dialer, pattern(20));
    const bad = sealed(dialer, pattern(30, 1));
    for (let bit = 0; bit < bad.length * 8; bit++) {
      const altered = bad.slice();
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
      const { listener } = sessions(cipher);
      same(opened(listener, good), pattern(20));
      let released = 0;
      const feed = (): void => {
        released += opened(listener, altered).length;
        // A length made longer waits for what it promises; then the tag fails.
        released += opened(listener, new Uint8Array(65_535)).length;
      };
      expect(feed).toThrow(MALFORMED);
      expect(released).toBe(0);
    }
  });

  test("a replayed, reordered, dropped, reflected or crossed box is refused", () => {
    const attacks: ((pair: ReturnType<typeof sessions>) => [NoiseSession, Uint8Array])[] = [
      ({ dialer, listener }) => {
        const box = sealed(dialer, pattern(9));
        listener.open(box);
        return [listener, box];
      },
      ({ dialer, listener }) => {
        sealed(dialer, pattern(9));
        return [listener, sealed(dialer, pattern(9))];
      },
      ({ dialer }) => [dialer, sealed(dialer, pattern(9))],
      ({ listener }) => [listener, sealed(listener, pattern(9))],
      ({ dialer, listener }) => [listener, concat(sealed(dialer, pattern(1)), new Uint8Array(18))],
    ];
    for (const attack of attacks) {
      const [victim, wire] = attack(sessions(cipher));
      expect(() => victim.open(wire)).toThrow(MALFORMED);
    }
  });

  test("a dead session stays dead and keeps its reason", () => {
    const { dialer, listener } = sessions(cipher);
    const box = sealed(dialer, pattern(10));
    let first: unknown;
    try {
      listener.open(concat(Uint8Array.of(20, 0), new Uint8Array(20)));
    } catch (error) {
      first = error;
    }
    expect(first).toBeInstanceOf(ProtocolError);
    expect(() => listener.open(box)).toThrow(first as Error);
    expect(listener.ended).toBe(false);
  });

  test.each([0, 1, 15])("a box of %d bytes is refused, even byte by byte", (length) => {
    const wire = concat(Uint8Array.of(length, 0), new Uint8Array(length));
    expect(() => sessions(cipher).listener.open(wire)).toThrow(MALFORMED);
    const { listener } = sessions(cipher);
    expect(listener.open(wire.subarray(0, 1))).toEqual([]);
    expect(() => listener.open(Uint8Array.of(0))).toThrow(MALFORMED);
  });

  test("garbage is refused or waits, and throws nothing else", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 }), (chunks) => {
        const { listener } = sessions(cipher);
        try {
          expect(opened(listener, ...chunks).length).toBe(0);
        } catch (error) {
          expect(error).toEqual(MALFORMED);
        }
        expect(listener.ended).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe("goodbye", () => {
  test("is an empty box that ends the other side", () => {
    const { dialer, listener } = sessions();
    const data = sealed(dialer, pattern(10));
    const goodbye = dialer.end();
    expect(goodbye.length).toBe(18);
    expect(listener.ended).toBe(false);
    same(opened(listener, concat(data, goodbye)), pattern(10));
    expect(listener.ended).toBe(true);
    expect(dialer.ended).toBe(false);
    // The other direction lives on.
    same(opened(dialer, sealed(listener, pattern(7))), pattern(7));
    dialer.open(listener.end());
    expect(dialer.ended).toBe(true);
  });

  test("every cut before it leaves the session not ended", () => {
    const { dialer } = sessions();
    const wire = concat(sealed(dialer, pattern(5)), dialer.end());
    for (let cut = 0; cut < wire.length; cut++) {
      const { listener } = sessions();
      listener.open(wire.subarray(0, cut));
      expect(listener.ended).toBe(false);
    }
  });

  test("nothing may follow it", () => {
    const { dialer, listener } = sessions();
    const goodbye = dialer.end();
    expect(dialer.end().length).toBe(0);
    expect(() => dialer.seal([pattern(1)])).toThrow(
      expect.objectContaining({ code: "STREAM_CLOSED" }),
    );
    listener.open(goodbye);
    expect(listener.open(new Uint8Array(0))).toEqual([]);
    expect(() => listener.open(Uint8Array.of(1))).toThrow(MALFORMED);
    const again = sessions();
    expect(() => again.listener.open(concat(again.dialer.end(), Uint8Array.of(0)))).toThrow(
      MALFORMED,
    );
  });

  test("an empty run seals nothing, so that it is no goodbye", () => {
    const { dialer, listener } = sessions();
    expect(dialer.seal([])).toEqual([]);
    expect(dialer.seal([new Uint8Array(0), new Uint8Array(0)])).toEqual([]);
    same(opened(listener, sealed(dialer, new Uint8Array(0), pattern(3))), pattern(3));
  });
});

describe("rekey", () => {
  test.each([
    { boxes: 3, bytes: Number.POSITIVE_INFINITY },
    { boxes: Number.POSITIVE_INFINITY, bytes: 100 },
    { boxes: 7, bytes: 200 },
    { boxes: 1, bytes: 1 },
  ])("happens at the same box on both sides: %o", (limits) => {
    const { dialer, listener, ciphers } = sessions("AESGCM", limits);
    const rekeyed = Object.fromEntries(
      Object.entries(ciphers).map(([name, state]) => [name, vi.spyOn(state, "rekey")]),
    );
    for (let i = 0; i < 100; i++) {
      const there = pattern(1 + ((i * 37) % 90), i);
      same(opened(listener, sealed(dialer, there)), there);
      if (i % 3 === 0) same(opened(dialer, sealed(listener, there)), there);
    }
    const times = (name: string): number | undefined => rekeyed[name]?.mock.calls.length;
    expect(times("dialerSeal")).toBeGreaterThan(10);
    expect(times("listenerOpen")).toBe(times("dialerSeal"));
    expect(times("dialerOpen")).toBe(times("listenerSeal"));
    expect(times("dialerOpen")).toBeLessThan(times("dialerSeal") as number);
    expect(ciphers.dialerSeal.nonce).toBe(100n);
  });

  test("counts the boxes: the third of three is the last under the old key", () => {
    const limits = { boxes: 3, bytes: Number.POSITIVE_INFINITY };
    const plain = sessions();
    const often = sessions("AESGCM", limits);
    for (const [i, alike] of [true, true, true, false, false].entries()) {
      const [a, b] = [sealed(plain.dialer, pattern(5, i)), sealed(often.dialer, pattern(5, i))];
      expect(toHex(a) === toHex(b)).toBe(alike);
    }
  });

  test("two ends with other limits lose each other at once", () => {
    const { dialer } = sessions("AESGCM", { boxes: 2, bytes: Number.POSITIVE_INFINITY });
    const { listener } = sessions();
    listener.open(sealed(dialer, pattern(1)));
    listener.open(sealed(dialer, pattern(1)));
    expect(() => listener.open(sealed(dialer, pattern(1)))).toThrow(MALFORMED);
  });
});

describe("bounds", () => {
  test("the last nonce ends sealing", () => {
    const { dialer, listener, ciphers } = sessions();
    ciphers.dialerSeal.nonce = 2n ** 64n - 2n;
    ciphers.listenerOpen.nonce = 2n ** 64n - 2n;
    same(opened(listener, sealed(dialer, pattern(4))), pattern(4));
    const exhausted = expect.objectContaining({ code: "STREAM_CLOSED" });
    expect(() => dialer.seal([pattern(1)])).toThrow(exhausted);
    expect(() => listener.open(new Uint8Array(20).fill(18, 0, 1))).toThrow(exhausted);
  });

  test.each([
    ["one byte", () => 1],
    ["5,000 bytes", () => 5_000],
    ["now one byte, now 4,200", (i: number) => (i % 2 === 0 ? 1 : 4_200)],
  ])("a box dripping in by %s is kept in few pieces of little memory", (_name, size) => {
    const { dialer, listener, ciphers } = sessions();
    const open = vi.spyOn(ciphers.listenerOpen, "open");
    const plain = pattern(BOX_PLAIN_BYTES);
    const wire = sealed(dialer, plain);
    const released: Uint8Array[] = [];
    for (let at = 0, i = 0; at < wire.length; i++) {
      // A small chunk is a view of a much larger buffer, as a socket's may be.
      const length = Math.min(size(i), wire.length - at);
      const chunk = new Uint8Array(length > 4_200 ? length : 16_384).subarray(0, length);
      chunk.set(wire.subarray(at, at + length));
      at += length;
      released.push(...listener.open(chunk));
    }
    same(concat(...released), plain);
    const pieces = open.mock.calls[0]?.[1] ?? [];
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.length).toBeLessThanOrEqual(32);
    // The last piece is opened the moment it arrives, so its memory was never kept.
    const kept = pieces.slice(0, -1).reduce((sum, piece) => sum + piece.buffer.byteLength, 0);
    expect(kept).toBeLessThanOrEqual(2 * 65_536);
  });

  test("seal keeps nothing of the plaintext it was given", () => {
    const { dialer, listener } = sessions();
    for (const lengths of [[10], [10, 20], [5_000], [3_000, 10, 3_000], [70_000, 3]]) {
      const pieces = lengths.map((length) => pattern(length));
      const expected = concat(...pieces);
      const boxes = dialer.seal(pieces);
      const next = dialer.seal([pattern(50, 9), pattern(60, 9)]);
      for (const piece of pieces) piece.fill(0);
      same(opened(listener, ...boxes), expected);
      listener.open(concat(...next));
    }
  });

  test("a small box is one piece, a large one is not copied together", () => {
    const { dialer } = sessions();
    expect(dialer.seal([pattern(50), pattern(50)]).length).toBe(1);
    expect(dialer.seal([pattern(60_000)]).length).toBe(3);
  });
});

describe("exportKey", () => {
  test("is the same on both ends, and another for every label", () => {
    const { dialer, listener } = sessions();
    const key = dialer.exportKey("datagrams");
    expect(key.length).toBe(32);
    expect(toHex(listener.exportKey("datagrams"))).toBe(toHex(key));
    expect(toHex(dialer.exportKey("datagram"))).not.toBe(toHex(key));
    expect(toHex(dialer.exportKey(""))).not.toBe(toHex(key));
    const keys = [secret("session dialer to listener"), secret("session listener to dialer")];
    expect(keys.map(toHex)).not.toContain(toHex(key));
  });
});
