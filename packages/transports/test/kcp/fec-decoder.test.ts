/** The FEC decoder: numbers that wrap, lag, leap and lie, groups that do not fit together, and bounded memory. */

import { concat, toHex, writeU16, writeU32 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fecBody, groupCount } from "../../src/kcp/fec.ts";
import { FecDecoder } from "../../src/kcp/fec-decoder.ts";
import { FecEncoder } from "../../src/kcp/fec-encoder.ts";
import { ReedSolomon } from "../../src/kcp/reed-solomon.ts";
import { hex, vectors } from "../kcpgo/vectors.ts";
import { datagram, encode, groups, HEADER, receiver } from "./fec-support.ts";

describe("FecDecoder", () => {
  const code = new ReedSolomon(2, 1);
  const GROUPS = groupCount(3);
  /** The first data packet and the parity of a group: enough to rebuild the second. */
  const halves = (start: number): Uint8Array[] => {
    const [packets = []] = groups(code, 1, { seqid: 3 * ((start + GROUPS) % GROUPS) });
    return [packets[0] as Uint8Array, packets[2] as Uint8Array];
  };
  const feed = (to: ReturnType<typeof receiver>, start: number): number => {
    const before = to.rebuilt.length;
    for (const packet of halves(start)) to.decode(packet);
    return to.rebuilt.length - before;
  };

  it("tells what it was given", () => {
    const to = receiver(code);
    const [data = new Uint8Array(), , parity = new Uint8Array()] = groups(code, 1)[0] ?? [];
    expect(to.decode(data)).toBe("data");
    expect(to.decode(parity)).toBe("parity");
    const oob = hex(vectors.oob.wire);
    expect(to.decode(oob)).toBe("oob");
    expect(toHex(fecBody(oob) ?? new Uint8Array())).toBe(`04030201${vectors.oob.payload}`);
    expect(to.decode(oob.subarray(0, -1))).toBeUndefined();
    for (let length = 0; length < 8; length++) {
      expect(to.decode(data.subarray(0, length))).toBeUndefined();
    }
    expect(to.decode(data.subarray(0, -1))).toBeUndefined();
    expect(to.decode(Uint8Array.of(1, 2, 3, 4, 81, 0, 32, 0, 9, 9))).toBeUndefined();
  });

  it("ignores numbers from paws on", () => {
    const to = receiver(code);
    const [data = new Uint8Array()] = halves(0);
    writeU32(data, 0, 3 * GROUPS);
    expect(to.decode(data)).toBeUndefined();
    writeU32(data, 0, 3 * GROUPS - 3);
    expect(to.decode(data)).toBe("data");
    expect(to.data).toHaveLength(1);
  });

  it("keeps the newest group and three before it", () => {
    const to = receiver(code);
    const late = [96, 97, 98, 99, 100].map(halves);
    for (const [first = new Uint8Array()] of late) to.decode(first);
    for (const [, parity = new Uint8Array()] of late) to.decode(parity);
    expect(to.rebuilt).toHaveLength(4);
    expect(to.data).toHaveLength(5);
    expect(feed(to, 96)).toBe(0);
  });

  it("hands on late and duplicate data, but rebuilds nothing twice", () => {
    const to = receiver(code);
    feed(to, 7);
    feed(to, 7);
    const [packets = []] = groups(code, 1, { seqid: 21 });
    to.decode(packets[1] as Uint8Array);
    expect(to.rebuilt).toEqual([toHex(datagram(1))]);
    expect(to.data).toEqual([datagram(0), datagram(0), datagram(1)].map(toHex));
    expect(to.decoder.heldBytes).toBe(0);
  });

  it("follows a leap over lost groups at once, a long one when packets agree", () => {
    const to = receiver(code);
    expect(feed(to, 10)).toBe(1);
    expect(feed(to, 74)).toBe(1);
    expect(feed(to, 139)).toBe(0);
    expect(feed(to, 140)).toBe(0);
    expect(feed(to, 141)).toBe(1);
    expect(feed(to, 20)).toBe(0);
    expect(feed(to, 21)).toBe(0);
    expect(feed(to, 22)).toBe(1);
    expect(feed(to, GROUPS - 1)).toBe(0);
  });

  it("is not led astray by single forged numbers", () => {
    const to = receiver(code);
    feed(to, 0);
    for (let group = 1; group < 200; group++) {
      const forged = halves(1_000_000 + 977 * group)[group % 2] as Uint8Array;
      to.decode(forged);
      expect(feed(to, group)).toBe(1);
    }
  });

  it("finds back after a leap that was forged", () => {
    const to = receiver(code);
    feed(to, 0);
    to.decode(halves(60)[0] as Uint8Array);
    const found = [1, 2, 3, 4, 5].map((group) => feed(to, group));
    expect(found).toEqual([0, 0, 1, 1, 1]);
  });

  it("gives a group up when a type is not at its place", () => {
    const to = receiver(code);
    const [data = new Uint8Array(), parity = new Uint8Array()] = halves(5);
    const moved = data.slice();
    writeU32(moved, 0, 17);
    to.decode(moved);
    to.decode(data);
    to.decode(parity);
    expect(to.data).toHaveLength(2);
    expect(to.rebuilt).toEqual([]);
    expect(to.decoder.mismatched).toBe(1);
    expect(feed(to, 6)).toBe(1);
  });

  it("gives a group up when lengths cannot be of one group", () => {
    const wide = new ReedSolomon(2, 2);
    const [[first, second, third, fourth] = []] = groups(wide, 1);
    const long = concat(third as Uint8Array, new Uint8Array(5));
    const to = receiver(wide);
    to.decode(fourth as Uint8Array);
    to.decode(long);
    expect(to.rebuilt).toEqual([]);
    const other = receiver(wide);
    other.decode((fourth as Uint8Array).subarray(0, 20));
    other.decode(second as Uint8Array);
    expect(other.rebuilt).toEqual([]);
    for (const one of [to, other]) {
      one.decode(first as Uint8Array);
      expect(one.decoder.heldBytes).toBe(0);
    }
  });

  it("hands on nothing with a size that cannot be", () => {
    const one = new ReedSolomon(1, 1);
    const parity = (size: number): Uint8Array => {
      const packet = new Uint8Array(20);
      writeU32(packet, 0, 1);
      writeU16(packet, 4, 0xf2);
      writeU16(packet, 6, size);
      return packet;
    };
    for (const [size, count] of [
      [0, 0],
      [1, 0],
      [2, 1],
      [14, 1],
      [15, 0],
      [65_535, 0],
    ] as const) {
      const to = receiver(one);
      expect(to.decode(parity(size))).toBe("parity");
      expect(to.rebuilt).toHaveLength(count);
    }
  });

  it("keeps no more bytes than it may", () => {
    const wide = new ReedSolomon(50, 50);
    const to = receiver(wide, { maxBytes: 1000, maxShardBytes: 92 });
    for (const packet of groups(wide, 10).flatMap((packets) => packets.slice(0, 49))) {
      to.decode(packet);
      expect(to.decoder.heldBytes).toBeLessThanOrEqual(1000);
    }
    expect(to.decoder.heldBytes).toBeGreaterThan(900);
    const small = receiver(code, { maxShardBytes: 10 });
    const encoder = new FecEncoder(code);
    small.decode(encode(encoder, new Uint8Array(9))[0] as Uint8Array);
    expect(small.decoder.heldBytes).toBe(0);
    small.decode(encode(encoder, new Uint8Array(8))[0] as Uint8Array);
    expect(small.decoder.heldBytes).toBe(10);
    expect(small.data).toHaveLength(2);
  });

  it("is whole again after a receiver that throws", () => {
    const decoder = new FecDecoder(code);
    const [data = new Uint8Array(), parity = new Uint8Array()] = halves(0);
    decoder.decode(data, () => undefined);
    const fail = (): never => {
      throw new Error("receiver");
    };
    expect(() => decoder.decode(parity, fail)).toThrow("receiver");
    expect(decoder.heldBytes).toBe(0);
    const got: string[] = [];
    for (const packet of halves(1)) decoder.decode(packet, (bytes) => got.push(toHex(bytes)));
    expect(got).toEqual([toHex(datagram(0)), toHex(datagram(1))]);
  });

  it("survives hostile packets in bounded memory, and rebuilds honest ones after them", () => {
    const shape = new ReedSolomon(3, 2);
    const to = receiver(shape);
    const near = fc.integer({ min: 0, max: 60 });
    const seqid = fc.oneof(near, fc.integer({ min: 0, max: 0xffff_ffff }));
    const hostile = fc
      .record({
        seqid,
        type: fc.constantFrom(0xf1, 0xf2, 0xf3, 0),
        size: fc.option(fc.integer({ min: 0, max: 0xffff })),
        rest: fc.uint8Array({ maxLength: 40 }),
      })
      .map(({ seqid, type, size, rest }) => {
        const packet = concat(new Uint8Array(HEADER), rest);
        writeU32(packet, 0, seqid);
        writeU16(packet, 4, type);
        writeU16(packet, 6, size ?? rest.length + 2);
        return packet;
      });
    const property = fc.property(
      fc.array(fc.oneof(hostile, fc.uint8Array({ maxLength: 30 })), { maxLength: 60 }),
      fc.integer({ min: 0, max: groupCount(5) - 20 }),
      (packets, start) => {
        for (const packet of packets) {
          to.decode(packet);
          expect(to.decoder.heldBytes).toBeLessThanOrEqual(4 * 5 * 42);
        }
        const honest = groups(shape, 12, { seqid: 5 * start }).map((group) => group.slice(2));
        const settled = honest.map((group) => {
          const before = to.rebuilt.length;
          for (const packet of group) to.decode(packet);
          return to.rebuilt.length - before;
        });
        // At worst the last groups that a forger touched are lost, and those it takes to find back.
        expect(settled.slice(-6)).toEqual([2, 2, 2, 2, 2, 2]);
        to.rebuilt.length = 0;
        to.data.length = 0;
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});
