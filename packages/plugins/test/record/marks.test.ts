import { writeU32 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Mark, Marks } from "../../src/record/marks.ts";
import { CLOCK_SKEW_MS } from "../../src/record/record.ts";

/** Of a few heads only, so that there are chains. */
function key(node: number): Uint8Array {
  const bytes = new Uint8Array(32);
  writeU32(bytes, 0, (node % 4) * 0x1000_0000);
  writeU32(bytes, 4, 0xffff_ffff - node);
  return bytes;
}
const mark = (seq: number, source: string): Mark => ({ seq, expiresAt: seq, source });

describe("marks", () => {
  it("are found by the key, until they are taken away", () => {
    const marks = new Marks(3);
    expect(marks.get(key(1))).toBeUndefined();
    marks.delete(key(1));
    marks.expire(1);
    const huge = { seq: 2 ** 53 - 1, expiresAt: 1.8e12, source: "a" };
    marks.add(key(1), huge);
    expect([marks.get(key(1)), marks.get(key(5)), marks.size]).toEqual([huge, undefined, 1]);
    marks.delete(key(5));
    marks.delete(key(1));
    expect([marks.get(key(1)), marks.size, marks.of("a")]).toEqual([undefined, 0, 0]);
  });

  it("that are too many go by the source that has most, the oldest first", () => {
    const marks = new Marks(4);
    for (const node of [1, 2, 3]) marks.add(key(node), mark(node, "a"));
    for (const node of [4, 5, 6, 7]) marks.add(key(node), mark(node, "b"));
    const there = (): number[] => [1, 2, 3, 4, 5, 6, 7, 8].filter((node) => marks.get(key(node)));
    // At two and three it is the one who comes that has most.
    expect([there(), marks.size]).toEqual([[2, 3, 6, 7], 4]);
    marks.add(key(8), mark(8, "c"));
    expect([there(), marks.of("a")]).toEqual([[3, 6, 7, 8], 1]);
  });

  it("are as many and the same as a plain list's, whatever comes and goes", () => {
    const most = 10;
    const step = fc.record({
      node: fc.integer({ min: 0, max: 20 }),
      source: fc.constantFrom("a", "a", "b", "c"),
      act: fc.constantFrom("add", "add", "add", "delete", "expire"),
      seq: fc.integer({ min: 0, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 150 }), (steps) => {
        const marks = new Marks(most);
        const plain = new Map<number, Mark>();
        for (const { node, source, act, seq } of steps) {
          if (act === "delete" || (act === "add" && plain.has(node))) {
            marks.delete(key(node));
            plain.delete(node);
          } else if (act === "expire") {
            const past = Math.floor(seq / 4);
            marks.expire(past + CLOCK_SKEW_MS);
            for (const [at, { expiresAt }] of plain) if (expiresAt <= past) plain.delete(at);
          } else {
            marks.add(key(node), mark(seq, source));
            plain.set(node, mark(seq, source));
            if (plain.size > most) {
              // Of several who have most it may be any: the marks say whose it was.
              const gone = [...plain.keys()].filter((at) => marks.get(key(at)) === undefined);
              expect(gone).toHaveLength(1);
              const { source: whose } = plain.get(gone[0] as number) as Mark;
              for (const other of ["a", "b", "c"])
                expect(countOf(plain, other)).toBeLessThanOrEqual(countOf(plain, whose));
              expect([...plain].find(([, { source }]) => source === whose)?.[0]).toBe(gone[0]);
              plain.delete(gone[0] as number);
            }
          }
          expect(marks.size).toBe(plain.size);
          for (let at = 0; at <= 20; at++) expect(marks.get(key(at))).toEqual(plain.get(at));
          for (const name of ["a", "b", "c"]) expect(marks.of(name)).toBe(countOf(plain, name));
        }
      }),
    );
  });
});

function countOf(plain: ReadonlyMap<number, Mark>, source: string): number {
  return [...plain.values()].filter((each) => each.source === source).length;
}
