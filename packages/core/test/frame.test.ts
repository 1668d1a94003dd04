import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, equal, readU32, writeU32 } from "../src/bytes.ts";
import { crc32 } from "../src/crypto/crc32.ts";
import {
  decodeFrame,
  encodeHeader,
  FLAGS,
  FrameDecoder,
  HEADER_BYTES,
  type OnFrame,
} from "../src/frame.ts";

const MAX_PAYLOAD = 100;

function encode(
  opcode: number,
  nonce: number,
  flags: number,
  ...payload: Uint8Array[]
): Uint8Array {
  return concat(encodeHeader(opcode, nonce, flags, payload), ...payload);
}

/** All frames of `chunks`, and where the last chunk's reading stopped. */
function decodeAll(decoder: FrameDecoder, chunks: readonly Uint8Array[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const onFrame: OnFrame = (buffer, start, end) => {
    frames.push(buffer.slice(start, end));
    return true;
  };
  for (const chunk of chunks) expect(decoder.push(chunk, 0, onFrame)).toBe(chunk.length);
  return frames;
}

const payloads = fc.uint8Array({ maxLength: MAX_PAYLOAD });
const frames = fc
  .tuple(
    fc.integer({ min: 1, max: 0xffff_ffff }),
    fc.nat(0xffff_ffff),
    fc.integer({ min: 0, max: 3 }),
    payloads,
  )
  .map(([opcode, nonce, flags, payload]) => ({ opcode, nonce, flags, payload }));

describe("a header", () => {
  it("has the layout that docs/protocol.md gives", () => {
    const payload = Uint8Array.of(1, 2, 3);
    const bytes = encode(1_000, 7, FLAGS.reply, payload);
    expect(bytes.length).toBe(HEADER_BYTES + 3);
    expect([readU32(bytes, 0), readU32(bytes, 4), readU32(bytes, 8)]).toEqual([16, 1_000, 7]);
    expect(bytes[12]).toBe(1);
    expect(readU32(bytes, 13)).toBe(crc32(concat(payload, bytes.subarray(0, 13))));
    expect(bytes.subarray(17)).toEqual(payload);
  });

  it("is the same however the payload is cut", () => {
    fc.assert(
      fc.property(payloads, fc.nat(MAX_PAYLOAD), (payload, at) => {
        const whole = encodeHeader(9, 8, 2, [payload]).slice();
        const parts = [payload.subarray(0, at), payload.subarray(at)];
        expect(encodeHeader(9, 8, 2, parts)).toEqual(whole);
      }),
    );
  });
});

describe("decodeFrame", () => {
  it("is the inverse, wherever the frame lies", () => {
    fc.assert(
      fc.property(frames, fc.nat(20), ({ opcode, nonce, flags, payload }, offset) => {
        const bytes = concat(new Uint8Array(offset), encode(opcode, nonce, flags, payload));
        const frame = decodeFrame(bytes, offset, bytes.length);
        expect(frame).toMatchObject({ opcode, nonce, flags });
        expect(frame.payload).toEqual(payload);
        expect(frame.checksum).toBe(readU32(bytes, offset + 13));
      }),
    );
  });

  it("notices any changed bit", () => {
    fc.assert(
      fc.property(frames, fc.nat(), fc.nat(7), ({ opcode, nonce, flags, payload }, at, bit) => {
        const bytes = encode(opcode, nonce, flags, payload);
        const position = at % bytes.length;
        bytes[position] = (bytes[position] as number) ^ (1 << bit);
        expect(() => decodeFrame(bytes, 0, bytes.length)).toThrow(
          expect.objectContaining({ name: "ProtocolError", code: "CHECKSUM_MISMATCH" }),
        );
      }),
    );
  });

  it("refuses opcode 0 and flags it does not know, though the checksum fits", () => {
    for (const bytes of [encode(0, 1, 0), encode(1, 1, 4), encode(1, 1, 0x80)]) {
      expect(() => decodeFrame(bytes, 0, bytes.length)).toThrow(
        expect.objectContaining({ code: "FRAME_MALFORMED" }),
      );
    }
  });
});

describe("the decoder", () => {
  it("finds the same frames however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(frames, { maxLength: 6 }),
        fc.array(fc.nat(700), { maxLength: 12 }),
        (list, cuts) => {
          const encoded = list.map((frame) =>
            encode(frame.opcode, frame.nonce, frame.flags, frame.payload),
          );
          const bytes = concat(...encoded);
          const at = [
            ...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length]),
          ];
          at.sort((a, b) => a - b);
          const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i] as number, end));
          const decoder = new FrameDecoder(MAX_PAYLOAD);
          expect(decodeAll(decoder, chunks)).toEqual(encoded);
          expect(decoder.partial).toBe(false);
        },
      ),
    );
  });

  it("knows whether a frame has begun and not ended, at every byte", () => {
    const bytes = encode(5, 6, 0, new Uint8Array(10));
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new FrameDecoder(MAX_PAYLOAD);
      expect(decodeAll(decoder, [bytes.subarray(0, cut)])).toHaveLength(
        cut === bytes.length ? 1 : 0,
      );
      expect(decoder.partial).toBe(cut > 0 && cut < bytes.length);
    }
  });

  it("stops behind the frame for which it was told to, and goes on from there", () => {
    const bytes = concat(encode(1, 1, 0), encode(2, 2, 0, new Uint8Array(5)), encode(3, 3, 0));
    const decoder = new FrameDecoder(MAX_PAYLOAD);
    const seen: number[] = [];
    const one: OnFrame = (buffer, start) => {
      seen.push(readU32(buffer, start + 4));
      return false;
    };
    let at = decoder.push(bytes.subarray(0, 3), 0, one);
    expect(at).toBe(3);
    // The first frame was in pieces, the others are whole.
    for (at = 3; at < bytes.length; ) at = decoder.push(bytes, at, one);
    expect(seen).toEqual([1, 2, 3]);
    expect(decoder.push(bytes.subarray(0, 0), 0, one)).toBe(0);
  });

  it("puts a large frame together from any pieces, with room for little more than has come", () => {
    const payload = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 2_654_435_761) >>> 24);
    const bytes = encode(7, 8, 0, payload);
    for (const size of [1_447, 65_536, 300_000, bytes.length - 1]) {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      const [frame, ...more] = decodeAll(new FrameDecoder(payload.length), chunks);
      expect(frame !== undefined && equal(frame, bytes)).toBe(true);
      expect(more).toEqual([]);
    }
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 100 }, () => new FrameDecoder(payload.length));
    for (const decoder of decoders) decoder.push(bytes.subarray(0, 100), 0, () => true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024);
    expect(decoders.every((decoder) => decoder.partial)).toBe(true);
  });

  it("refuses a length before it allocates anything for it", () => {
    const header = (length: number): Uint8Array => {
      const bytes = new Uint8Array(4);
      writeU32(bytes, 0, length);
      return bytes;
    };
    for (const [length, code] of [
      [HEADER_BYTES - 4 + MAX_PAYLOAD + 1, "FRAME_TOO_LARGE"],
      [0xffff_ffff, "FRAME_TOO_LARGE"],
      [HEADER_BYTES - 5, "FRAME_MALFORMED"],
      [0, "FRAME_MALFORMED"],
    ] as const) {
      const bytes = header(length);
      const chunkings = [[bytes], [bytes.subarray(0, 3), bytes.subarray(3)]];
      for (const chunks of chunkings) {
        const decoder = new FrameDecoder(MAX_PAYLOAD);
        expect(() => {
          for (const chunk of chunks) decoder.push(chunk, 0, () => true);
        }).toThrow(expect.objectContaining({ code }));
      }
    }
    const largest = encode(1, 1, 0, new Uint8Array(MAX_PAYLOAD));
    expect(decodeAll(new FrameDecoder(MAX_PAYLOAD), [largest])).toHaveLength(1);
  });
});
