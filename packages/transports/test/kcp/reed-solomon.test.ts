/** Reed-Solomon: the rows of the reference, sums in any order, and what it refuses. */

import { describe, expect, it } from "vitest";
import { ReedSolomon } from "../../src/kcp/reed-solomon.ts";

const rows = (dataShards: number, parityShards: number): number[][] =>
  new ReedSolomon(dataShards, parityShards).matrix.map((row) => [...row]);

describe("the matrix", () => {
  it("has the reference's rows", () => {
    expect(rows(2, 1)).toEqual([[3, 2]]);
    expect(rows(3, 2)).toEqual([
      [1, 1, 1],
      [15, 8, 6],
    ]);
    expect(rows(10, 3)[0]).toEqual([129, 150, 175, 184, 210, 196, 254, 232, 3, 2]);
  });

  it("repeats the one shard of a group of one", () => {
    expect(rows(1, 3)).toEqual([[1], [1], [1]]);
  });
});

describe("ReedSolomon", () => {
  it("wants at least one of each, and no more than a byte can count", () => {
    for (const [data, parity] of [
      [0, 1],
      [1, 0],
      [1.5, 1],
      [1, Number.NaN],
      [-1, 3],
      [200, 57],
    ] as const) {
      expect(() => new ReedSolomon(data, parity)).toThrow(RangeError);
    }
    expect(new ReedSolomon(200, 56).matrix).toHaveLength(56);
  });

  it("sums shards in any order, and forgets the last group when told to", () => {
    const code = new ReedSolomon(3, 6);
    const shards = [Uint8Array.of(1, 2, 3), Uint8Array.of(9), Uint8Array.of(4, 5, 6, 7, 8)];
    const parity = (order: readonly number[], sums = code.sums(10)): Uint8Array[] => {
      for (const i of order) {
        const shard = shards[i] as Uint8Array;
        code.add(sums, i, shard, 0, shard.length);
      }
      return Array.from({ length: 6 }, (_, row) => {
        const out = new Uint8Array(sums.length);
        code.write(sums, row, out, 0);
        return out;
      });
    };
    const expected = parity([0, 1, 2]);
    expect(expected[0]).toHaveLength(5);
    for (const order of [
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      const used = code.sums(10);
      code.add(used, 0, new Uint8Array(10).fill(0xee), 0, 10);
      used.length = 0;
      expect(parity(order, used)).toEqual(expected);
    }
  });

  it("reads and writes where it is told to, and nowhere else", () => {
    const code = new ReedSolomon(1, 1);
    const sums = code.sums(4);
    code.add(sums, 0, Uint8Array.of(9, 9, 1, 2, 9), 2, 4);
    code.pad(sums, 3);
    const out = new Uint8Array(6).fill(7);
    code.write(sums, 0, out, 1);
    expect([...out]).toEqual([7, 1, 2, 0, 7, 7]);
    code.pad(sums, 2);
    expect(sums.length).toBe(3);
  });

  it("refuses what is longer than its sums", () => {
    const code = new ReedSolomon(1, 1);
    expect(() => code.add(code.sums(4), 0, new Uint8Array(5), 0, 5)).toThrow(RangeError);
    expect(() => code.pad(code.sums(4), 5)).toThrow(RangeError);
  });
});
