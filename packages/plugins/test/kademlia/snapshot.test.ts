import { concat } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeSnapshot,
  encodeSnapshot,
  MAX_ANCHORS,
  MAX_KEPT_RECORDS,
} from "../../src/kademlia/snapshot.ts";

const record = fc.uint8Array({ maxLength: 40 });
const snapshot = fc.record({
  seq: fc.maxSafeNat(),
  records: fc.array(record, { maxLength: 20 }),
  anchors: fc.array(record, { maxLength: MAX_ANCHORS }),
});

describe("a snapshot", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(snapshot, (kept) => {
        expect(decodeSnapshot(encodeSnapshot(kept))).toEqual(kept);
      }),
      { numRuns: 50 },
    );
  });

  it("keeps no more than its bounds", () => {
    const many = Array.from({ length: MAX_KEPT_RECORDS + 5 }, (_, i) => Uint8Array.of(i, i >> 8));
    const read = decodeSnapshot(encodeSnapshot({ seq: 1, records: many, anchors: many }));
    expect(read.records).toEqual(many.slice(0, MAX_KEPT_RECORDS));
    expect(read.anchors).toEqual(many.slice(0, MAX_ANCHORS));
  });

  it("cut off, longer, or of another kind is malformed", () => {
    const bytes = encodeSnapshot({ seq: 7, records: [Uint8Array.of(1, 2, 3)], anchors: [] });
    const malformed = expect.objectContaining({ code: "BODY_MALFORMED" });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeSnapshot(bytes.subarray(0, length))).toThrow(malformed);
    }
    expect(() => decodeSnapshot(concat(bytes, Uint8Array.of(0)))).toThrow(malformed);
    for (const at of [0, 5, 23, 24, 25, 27]) {
      const other = new Uint8Array(bytes);
      other[at] = 255;
      expect(() => decodeSnapshot(other), `byte ${at}`).toThrow(malformed);
    }
  });
});
