import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compare,
  concat,
  EMPTY,
  equal,
  fromBase64,
  fromHex,
  fromUtf8,
  isZero,
  readU16,
  readU32,
  readU64,
  toBase64,
  toHex,
  toUtf8,
  writeU16,
  writeU32,
  writeU64,
} from "../src/bytes.ts";

const blob = fc.uint8Array({ maxLength: 64 });

describe("joining and comparing", () => {
  it("joins into a new array", () => {
    const piece = Uint8Array.of(1, 2);
    const joined = concat(piece, EMPTY, Uint8Array.of(3));
    piece[0] = 9;
    expect(joined).toEqual(Uint8Array.of(1, 2, 3));
    expect(concat()).toHaveLength(0);
    expect(concat(piece)).not.toBe(piece);
  });

  it("equal, compare and the lexicographic order of their hex agree", () => {
    fc.assert(
      fc.property(blob, blob, (a, b) => {
        const [x, y] = [toHex(a), toHex(b)];
        expect(Math.sign(compare(a, b))).toBe(x < y ? -1 : x > y ? 1 : 0);
        expect(compare(a, b) === 0).toBe(equal(a, b));
        expect(equal(a, a.slice())).toBe(true);
      }),
    );
  });

  it("equal sees a difference at every place", () => {
    const a = new Uint8Array(40);
    for (let at = 0; at < a.length; at++) {
      const b = a.slice();
      b[at] = 0x80;
      expect(equal(a, b)).toBe(false);
      expect(isZero(b)).toBe(false);
    }
    expect(equal(a, a.subarray(1))).toBe(false);
    expect(isZero(a)).toBe(true);
    expect(isZero(EMPTY)).toBe(true);
  });
});

describe("text forms", () => {
  it("hex there and back, in either case", () => {
    fc.assert(
      fc.property(blob, (bytes) => {
        expect(toHex(bytes)).toMatch(/^([0-9a-f]{2})*$/);
        expect(fromHex(toHex(bytes))).toEqual(bytes);
        expect(fromHex(toHex(bytes).toUpperCase())).toEqual(bytes);
      }),
    );
  });

  it.each(["0", "0g", "0x", " 00", "00 ", "00\n", "-1", "٣٣"])("refuses %j as hex", (text) => {
    expect(fromHex(text)).toBeUndefined();
  });

  it("base64 there and back, in both alphabets, padded or not", () => {
    fc.assert(
      fc.property(blob, (bytes) => {
        const text = toBase64(bytes);
        const url = text.replaceAll("+", "-").replaceAll("/", "_");
        expect(text).toBe(Buffer.from(bytes).toString("base64"));
        for (const form of [text, url, text.replaceAll("=", ""), url.replaceAll("=", "")]) {
          expect(fromBase64(form)).toEqual(bytes);
        }
      }),
    );
  });

  it("base64 of more bytes than one call takes arguments", () => {
    const bytes = Uint8Array.from({ length: 300_001 }, (_, i) => i * 7);
    const text = toBase64(bytes);
    expect(text).toBe(Buffer.from(bytes).toString("base64"));
    expect(equal(fromBase64(text) ?? EMPTY, bytes)).toBe(true);
  });

  it.each(["A", "AAAAA", "AA=", "AAA==", "AAAA=", "AAAA==", "=", "==", "====", "A=AA", "AA A"])(
    "refuses %j as base64",
    (text) => {
      expect(fromBase64(text)).toBeUndefined();
    },
  );

  it.each(["AAAA\n", " AAAA", "AA.A", "AAAÄ", "AAA\0"])("refuses %j as base64", (text) => {
    expect(fromBase64(text)).toBeUndefined();
  });

  it("never throws for any string", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const bytes = fromBase64(text);
        if (bytes !== undefined) expect(fromBase64(toBase64(bytes))).toEqual(bytes);
        const digits = fromHex(text);
        if (digits !== undefined) expect(toHex(digits)).toBe(text.toLowerCase());
      }),
    );
  });

  it("UTF-8 there and back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(fromUtf8(toUtf8(text))).toBe(text);
      }),
    );
  });

  it.each(["ff", "c0af", "e282", "eda080", "f4908080", "80"])("refuses %s as UTF-8", (hex) => {
    expect(fromUtf8(fromHex(hex) ?? EMPTY)).toBeUndefined();
  });

  it("keeps a leading byte order mark", () => {
    expect(fromUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa");
  });
});

describe("little-endian numbers", () => {
  it("lie as DataView puts them, wherever they lie", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(u32, fc.integer({ min: 0, max: 0xffff }), fc.nat(5), (wide, narrow, at) => {
        const bytes = new Uint8Array(16).fill(0xaa);
        const view = new DataView(bytes.buffer);
        writeU32(bytes, at, wide);
        writeU16(bytes, at + 4, narrow);
        expect(view.getUint32(at, true)).toBe(wide);
        expect(view.getUint16(at + 4, true)).toBe(narrow);
        expect(readU32(bytes, at)).toBe(wide);
        expect(readU16(bytes, at + 4)).toBe(narrow);
        expect(bytes[at + 6]).toBe(0xaa);
        expect(at === 0 || bytes[at - 1] === 0xaa).toBe(true);
      }),
    );
  });

  it("of eight bytes are read up to 2^53-1, and no further", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(5), (value, at) => {
        const bytes = new Uint8Array(16);
        const view = new DataView(bytes.buffer);
        writeU64(bytes, at, value);
        expect(view.getBigUint64(at, true)).toBe(BigInt(value));
        expect(readU64(bytes, at)).toBe(value);
        view.setBigUint64(at, 2n ** 53n + BigInt(value), true);
        expect(readU64(bytes, at)).toBeUndefined();
      }),
    );
  });
});
