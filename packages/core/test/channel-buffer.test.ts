import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, equal } from "../src/bytes.ts";
import { BlockPool, ReceiveBuffer, SendBuffer } from "../src/channel-buffer.ts";
import { pattern } from "./support/channel-link.ts";

describe("send buffer", () => {
  test("gives out what was pushed, in order, however it is cut", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 70_000 }), { maxLength: 8 });
    fc.assert(
      fc.property(sizes, sizes, (pushes, takes) => {
        const buffer = new SendBuffer(new BlockPool());
        const out: Uint8Array[] = [];
        let pushed = 0;
        let taken = 0;
        const take = (count: number): void => {
          const pieces: Uint8Array[] = [];
          buffer.take(count, pieces);
          const bytes = concat(...pieces);
          expect(bytes.length).toBe(Math.min(count, pushed - taken));
          taken += bytes.length;
          out.push(bytes);
          buffer.recycle();
          expect(buffer.size).toBe(pushed - taken);
        };
        pushes.forEach((size, i) => {
          buffer.push(pattern(size, pushed));
          pushed += size;
          take(takes[i] ?? 0);
        });
        take(pushed);
        expect(equal(concat(...out), pattern(pushed))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test("sent blocks are filled again, and only once they are recycled", () => {
    const pool = new BlockPool();
    const buffer = new SendBuffer(pool);
    const memoryOf = (bytes: number): ArrayBufferLike => {
      const pieces: Uint8Array[] = [];
      buffer.push(pattern(bytes));
      buffer.take(bytes, pieces);
      return (pieces[0] as Uint8Array).buffer;
    };
    const first = memoryOf(10);
    const second = memoryOf(10);
    expect(second).not.toBe(first);
    buffer.recycle();
    expect([first, second]).toContain(memoryOf(10));
    buffer.recycle();
    pool.clear();
    expect([first, second]).not.toContain(memoryOf(10));
  });
});

describe("receive buffer", () => {
  test("keeps large chunks as they are, gathers small ones, and keeps the order", async () => {
    const taken: number[] = [];
    const buffer = new ReceiveBuffer((bytes) => taken.push(bytes));
    const large = pattern(8_000, 20);
    buffer.push(pattern(10));
    buffer.push(pattern(10, 10));
    buffer.push(large);
    buffer.push(pattern(10, 8_020));
    expect(buffer.size).toBe(8_030);
    const chunks = [];
    for (let i = 0; i < 3; i++) chunks.push((await buffer.next()).value as Uint8Array);
    expect(chunks.map((chunk) => chunk.length)).toEqual([20, 8_000, 10]);
    expect(chunks[1]).toBe(large);
    expect(equal(concat(...chunks), pattern(8_030))).toBe(true);
    expect(taken).toEqual([20, 8_000, 10]);
    expect(buffer.size).toBe(0);
  });

  test("a gathered chunk that was taken is never added to", async () => {
    const buffer = new ReceiveBuffer(() => {});
    buffer.push(pattern(10));
    const { value } = await buffer.next();
    buffer.push(pattern(10, 10));
    expect(value).toEqual(pattern(10));
    expect((await buffer.next()).value).toEqual(pattern(10, 10));
  });
});
