/** Boxes of gzip: what is on the wire, what is refused, and that no peer can make them grow. */

import { deflateRawSync, inflateRawSync } from "node:zlib";
import { concat, equal, ProtocolError, toUtf8 } from "@testudo/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BOX_BYTES, GzipSession, MAX_EXPANSION } from "../../src/gzip/session.ts";

const MOST = 1_048_576;
const make = (level = 6, most = MOST): GzipSession => new GzipSession(level, most);
const open = (session: GzipSession, chunks: readonly Uint8Array[]): Uint8Array =>
  concat(...chunks.flatMap((chunk) => session.open(chunk)));

function box(kind: number, payload: Uint8Array, length = payload.length): Uint8Array {
  return concat(Uint8Array.of(length, length >>> 8, length >>> 16, kind), payload);
}

function deflated(plain: Uint8Array, dictionary?: Uint8Array): Uint8Array {
  const bytes = deflateRawSync(plain, dictionary === undefined ? {} : { dictionary });
  const padded = new Uint8Array(Math.max(bytes.length, Math.ceil(plain.length / MAX_EXPANSION)));
  padded.set(bytes);
  return padded;
}

/** Never twice the same, and nothing to save. */
function noise(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state >>> 24;
  });
}

const line = (i: number): Uint8Array =>
  toUtf8(
    JSON.stringify({
      author: "@alice.ed25519",
      sequence: i,
      content: { type: "post", text: `hello ${i}` },
    }),
  );

/** From what docs/protocol.md says, and nothing else. */
function byHand(bytes: Uint8Array): { plain: Uint8Array; kinds: number[] } {
  const kinds: number[] = [];
  let plain: Uint8Array = new Uint8Array(0);
  for (let at = 0; at < bytes.length; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const word = view.getUint32(0, true);
    const [kind, length] = [word >>> 24, word & 0xff_ffff];
    const payload = bytes.subarray(at + 4, at + 4 + length);
    const dictionary = plain.slice(-32_768);
    if (kind === 0) plain = concat(plain, payload);
    if (kind === 1) {
      const options = dictionary.length === 0 ? {} : { dictionary };
      plain = concat(plain, inflateRawSync(payload, options));
    }
    kinds.push(kind);
    at += 4 + length;
  }
  return { plain, kinds };
}

describe("what is on the wire", () => {
  test("can be read by hand: stored, deflated on what went before, and a goodbye", () => {
    const session = make();
    const sent = [noise(40), noise(40), noise(70_000, 2), noise(40_000, 2), line(1), line(2)];
    const wire = concat(...sent.flatMap((plain) => session.seal([plain])), session.end());
    const { plain, kinds } = byHand(wire);
    expect(equal(plain, concat(...sent))).toBe(true);
    // The third run is longer than a box; what lies further back than the window is not found again.
    expect(kinds).toEqual([0, 1, 0, 0, 0, 1, 1, 2]);
    expect(wire.subarray(0, 4)).toEqual(Uint8Array.of(40, 0, 0, 0));
    expect(wire.subarray(-4)).toEqual(Uint8Array.of(0, 0, 0, 2));
  });

  test("is small for messages that are like those before, and at once complete", () => {
    const [here, there] = [make(), make()];
    let [plain, wire] = [0, 0];
    for (let i = 0; i < 50; i++) {
      const message = line(i);
      const sealed = concat(...here.seal([message]));
      expect(open(there, [sealed])).toEqual(message);
      plain += message.length;
      wire += sealed.length;
    }
    expect(wire).toBeLessThan(plain / 4);
  });

  test("costs four bytes a box where nothing is saved", () => {
    const session = make();
    expect(concat(...session.seal([Uint8Array.of(1)]))).toEqual(Uint8Array.of(1, 0, 0, 0, 1));
    expect(concat(...session.seal([noise(BOX_BYTES)])).length).toBe(BOX_BYTES + 4);
    expect(concat(...session.seal([noise(3 * BOX_BYTES + 1)])).length).toBe(
      3 * BOX_BYTES + 1 + 4 * 4,
    );
    expect(session.seal([])).toEqual([]);
    expect(session.seal([new Uint8Array(0)])).toEqual([]);
  });

  test("goes back to deflating after what could not be made smaller", () => {
    const session = make();
    for (let i = 0; i < 40; i++) session.seal([noise(BOX_BYTES, i)]);
    const text = toUtf8("all work and no play ".repeat(1_000));
    const sizes = Array.from({ length: 40 }, () => concat(...session.seal([text])).length);
    expect(sizes[0]).toBe(text.length + 4);
    expect(sizes[39]).toBeLessThan(text.length / 20);
    // Short ones are always tried.
    const other = make();
    for (let i = 0; i < 40; i++) other.seal([noise(BOX_BYTES, i)]);
    const [first, second] = [1, 2].map((i) => concat(...other.seal([line(i)])).length);
    expect(second).toBeLessThan((first ?? 0) / 2);
  });

  test("never opens into more than 64 times its bytes, however alike the plaintext", () => {
    const [here, there] = [make(), make()];
    const zeros = new Uint8Array(MOST);
    const sealed = concat(...here.seal([zeros]));
    expect(sealed.length).toBe(16 * (4 + BOX_BYTES / MAX_EXPANSION));
    expect(equal(open(there, [sealed]), zeros)).toBe(true);
  });

  test("takes any level, which nobody need know", () => {
    const text = toUtf8("so it goes. ".repeat(2_000));
    for (const level of [1, 6, 9]) {
      expect(equal(open(make(3), make(level).seal([text])), text)).toBe(true);
    }
  });
});

describe("any mix of plaintext", () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 50 }),
    fc.integer({ min: 1, max: 90_000 }).map((length) => noise(length, length)),
    fc.integer({ min: 1, max: 90_000 }).map((length) => new Uint8Array(length)),
    fc.nat(500).map(line),
    fc.nat(40).map((count) => concat(...Array.from({ length: count }, (_, i) => line(i)))),
  );

  test("comes through both ways at once, in any cut", async () => {
    await fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.array(piece, { maxLength: 3 })), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 6 }),
        (writes, cuts) => {
          const ends = [make(), make()] as const;
          for (const [forth, pieces] of writes) {
            const [from, to] = forth ? ends : [ends[1], ends[0]];
            const sealed = concat(...from.seal(pieces));
            const got: Uint8Array[] = [];
            for (let at = 0, i = 0; at < sealed.length; i++) {
              const length = cuts[i % cuts.length] as number;
              got.push(...to.open(sealed.slice(at, at + length)));
              at += length;
            }
            expect(equal(concat(...got), concat(...pieces))).toBe(true);
          }
          for (const [from, to] of [ends, [ends[1], ends[0]]] as const) {
            expect(to.ended).toBe(false);
            to.open(from.end());
            expect(to.ended).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("comes through cut at every byte", () => {
    const sealed = (): Uint8Array => {
      const session = make();
      const boxes = [line(1), noise(30), line(2)].flatMap((plain) => session.seal([plain]));
      return concat(...boxes, session.end());
    };
    const plain = concat(line(1), noise(30), line(2));
    const { length } = sealed();
    for (let at = 0; at <= length; at++) {
      const there = make();
      const wire = sealed();
      const got = [...there.open(wire.subarray(0, at))];
      expect(there.ended, `${at}`).toBe(at === length);
      got.push(...there.open(wire.subarray(at)));
      expect(concat(...got)).toEqual(plain);
      expect(there.ended).toBe(true);
    }
  });
});

describe("the goodbye", () => {
  test("is said once, and nothing may be sealed behind it", () => {
    const session = make();
    expect(session.end()).toEqual(Uint8Array.of(0, 0, 0, 2));
    expect(session.end()).toEqual(new Uint8Array(0));
    expect(() => session.seal([line(1)])).toThrow(TypeError);
  });

  test("makes everything behind it mute", () => {
    const [here, there] = [make(), make()];
    const before = here.seal([line(1)]);
    expect(open(there, [concat(...before, here.end(), box(9, noise(50)))])).toEqual(line(1));
    expect(there.open(noise(5_000))).toEqual([]);
    expect(there.ended).toBe(true);
  });
});

describe("what is refused", () => {
  const zeros = (length: number): Uint8Array => new Uint8Array(length);
  const big = toUtf8("a text that has some room for saving, ".repeat(20));
  const good = deflated(big);

  test("honest boxes made by hand are not", () => {
    expect(
      open(make(), [box(1, good), box(0, noise(9)), box(1, deflated(big, concat(big, noise(9))))]),
    ).toEqual(concat(big, noise(9), big));
    expect(open(make(), [box(1, deflated(zeros(BOX_BYTES)))]).length).toBe(BOX_BYTES);
  });

  test.each<[string, string, Uint8Array]>([
    ["an unknown kind", "FRAME_MALFORMED", box(3, noise(9))],
    ["a kind from far away", "FRAME_MALFORMED", box(0xff, noise(9))],
    ["a goodbye that says something", "FRAME_MALFORMED", box(2, noise(1))],
    ["nothing stored", "FRAME_MALFORMED", box(0, zeros(0))],
    ["nothing deflated", "FRAME_MALFORMED", box(1, zeros(0))],
    ["a stored run longer than a box", "FRAME_MALFORMED", box(0, zeros(0), BOX_BYTES + 1)],
    ["a payload longer than a box", "FRAME_MALFORMED", box(1, zeros(0), 0xff_ffff)],
    ["garbage", "FRAME_MALFORMED", box(1, noise(200))],
    ["a cut stream", "FRAME_MALFORMED", box(1, good.subarray(0, -1))],
    [
      "a stream without its last block",
      "FRAME_MALFORMED",
      box(1, deflateRawSync(big, { finishFlush: 2 })),
    ],
    ["something behind the stream", "FRAME_MALFORMED", box(1, concat(good, Uint8Array.of(1)))],
    ["more zeros behind it than needed", "FRAME_MALFORMED", box(1, concat(good, zeros(1)))],
    [
      "padding that says something",
      "FRAME_MALFORMED",
      box(1, deflated(zeros(BOX_BYTES)).fill(1, 1_000)),
    ],
    ["an empty run", "FRAME_MALFORMED", box(1, deflateRawSync(zeros(0)))],
    ["a run that grew", "FRAME_MALFORMED", box(1, deflateRawSync(noise(20)))],
    ["a run of another dictionary", "FRAME_MALFORMED", box(1, deflated(noise(300), noise(300)))],
    ["a run longer than a box", "FRAME_TOO_LARGE", box(1, deflated(zeros(BOX_BYTES + 1)))],
    ["a run without its padding", "FRAME_TOO_LARGE", box(1, deflateRawSync(zeros(BOX_BYTES)))],
    ["a bomb", "FRAME_TOO_LARGE", box(1, deflateRawSync(zeros(50_000_000)).subarray(0, BOX_BYTES))],
  ])("%s", (_what, code, bytes) => {
    const session = make();
    const refused = expect.objectContaining({ name: "ProtocolError", code });
    expect(() => open(session, [bytes])).toThrow(refused);
    // Dead from then on, and it was no goodbye.
    expect(() => session.open(box(0, noise(5)))).toThrow(refused);
    expect(session.ended).toBe(false);
  });

  test("more from one chunk than is allowed, whatever it is made of", () => {
    const boxes = (count: number): Uint8Array[] =>
      make().seal(Array.from({ length: count }, () => zeros(BOX_BYTES)));
    const two = 2 * BOX_BYTES;
    expect(open(make(6, two), [concat(...boxes(2))]).length).toBe(two);
    // Each in a chunk of its own there may be any number.
    expect(open(make(6, two), boxes(9)).length).toBe(9 * BOX_BYTES);
    const tooMuch = expect.objectContaining({ code: "FRAME_TOO_LARGE" });
    expect(() => make(6, two).open(concat(...boxes(3)))).toThrow(tooMuch);
    expect(() => make(6, two).open(concat(...boxes(2), box(0, noise(1))))).toThrow(tooMuch);
    const almost = [...make().seal([zeros(two - 10)]), box(1, good)];
    expect(() => make(6, two).open(concat(...almost))).toThrow(tooMuch);
  });

  test("nothing but a ProtocolError comes of garbage, and no more than it may open into", async () => {
    await fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 300 }),
            fc
              .tuple(fc.nat(3), fc.uint8Array({ maxLength: 300 }))
              .map(([kind, bytes]) => box(kind, bytes)),
            fc.uint8Array({ minLength: 1, maxLength: 300 }).map((plain) => box(1, deflated(plain))),
          ),
          { maxLength: 8 },
        ),
        (chunks) => {
          const session = make(6, BOX_BYTES);
          for (const chunk of chunks) {
            try {
              const opened = concat(...session.open(chunk)).length;
              expect(opened).toBeLessThanOrEqual(BOX_BYTES);
            } catch (error) {
              expect(error).toBeInstanceOf(ProtocolError);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("a flipped bit does no other harm", () => {
    const session = make();
    const wire = concat(...session.seal([line(1)]), ...session.seal([line(2)]), session.end());
    for (let bit = 0; bit < 8 * wire.length; bit++) {
      const bad = wire.slice();
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      const there = make(6, BOX_BYTES);
      try {
        expect(open(there, [bad]).length).toBeLessThanOrEqual(BOX_BYTES);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }
  });
});
