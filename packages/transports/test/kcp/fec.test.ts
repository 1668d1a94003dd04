/** FEC: the vectors byte for byte, every loss that the parity covers, and numbers that wrap, lag, leap and lie. */

import { concat, toHex, writeU16, writeU32 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fecBody, fecKind, groupCount, readSeqid } from "../../src/kcp/fec.ts";
import { FecDecoder, type FecDecoderOptions } from "../../src/kcp/fec-decoder.ts";
import { FecEncoder, type FecEncoderOptions } from "../../src/kcp/fec-encoder.ts";
import { ReedSolomon } from "../../src/kcp/reed-solomon.ts";
import { hex, vectors } from "../kcpgo/vectors.ts";

const HEADER = 8;

/** The n-th of a series of datagrams that differ in content and length. */
function datagram(n: number): Uint8Array {
  return Uint8Array.from({ length: 1 + ((n * 37) % 90) }, (_, i) => 31 * n + 7 * i + 1);
}

/** What goes on the wire for a datagram. */
function encode(encoder: FecEncoder, body: Uint8Array, now = 0): Uint8Array[] {
  const packet = concat(new Uint8Array(HEADER), body);
  return [packet, ...encoder.encode(packet, now)];
}

/** Whole groups, one list of packets each. */
function groups(code: ReedSolomon, count: number, options?: FecEncoderOptions): Uint8Array[][] {
  const encoder = new FecEncoder(code, options);
  return Array.from({ length: count }, (_, group) =>
    Array.from({ length: code.dataShards }, (_, i) =>
      encode(encoder, datagram(group * code.dataShards + i)),
    ).flat(),
  );
}

/** A decoder and all that it handed on, as text, the rebuilt ones apart. */
function receiver(code: ReedSolomon, options?: FecDecoderOptions) {
  const decoder = new FecDecoder(code, options);
  const data: string[] = [];
  const rebuilt: string[] = [];
  const decode = (packet: Uint8Array) =>
    decoder.decode(packet, (body, recovered) => (recovered ? rebuilt : data).push(toHex(body)));
  return { decoder, data, rebuilt, decode };
}

/** Every choice of at most `most` of the numbers below `count`. */
function choices(count: number, most: number): number[][] {
  const all: number[][] = [[]];
  for (let i = 0; i < count; i++) {
    for (const choice of all.slice()) if (choice.length < most) all.push([...choice, i]);
  }
  return all;
}

describe("the vectors", () => {
  it.each(vectors.fec)("are made byte for byte: $dataShards + $parityShards", (vector) => {
    const encoder = new FecEncoder(new ReedSolomon(vector.dataShards, vector.parityShards));
    const wire = vector.inputs.flatMap((input) => encode(encoder, hex(input)));
    expect(wire.map(toHex)).toEqual(vector.wire);
  });

  it.each(vectors.fec)("are rebuilt: $dataShards + $parityShards", (vector) => {
    const to = receiver(new ReedSolomon(vector.dataShards, vector.parityShards));
    vector.wire.forEach((packet, i) => {
      if (!vector.dropped_wire_indexes.includes(i)) to.decode(hex(packet));
    });
    // A shard of the vectors is size, datagram and padding.
    const bodies = vector.recovered_shards.map((text) => {
      const shard = hex(text);
      return toHex(shard.subarray(2, (shard[0] as number) + 256 * (shard[1] as number)));
    });
    expect(to.rebuilt).toEqual(bodies);
    expect([...to.data, ...to.rebuilt].toSorted()).toEqual(vector.inputs.toSorted());
    expect(to.decoder.recovered).toBe(vector.recovered_shards.length);
  });

  it("wrap where the reference does", () => {
    const { dataShards, parityShards, start, paws, first8bytes } = vectors.seqid_wrap;
    expect(groupCount(dataShards + parityShards) * (dataShards + parityShards)).toBe(paws);
    const encoder = new FecEncoder(new ReedSolomon(dataShards, parityShards), { seqid: start });
    const wire = Array.from({ length: 4 }, () => encode(encoder, new Uint8Array(25))).flat();
    expect(wire.map((packet) => toHex(packet.subarray(0, 8)))).toEqual(first8bytes);
  });
});

describe("any loss up to the parity", () => {
  const SHAPES = [
    [1, 1],
    [1, 3],
    [2, 1],
    [2, 2],
    [3, 2],
    [4, 4],
    [5, 3],
    [3, 6],
    [10, 3],
  ] as const;

  it.each(SHAPES)("is made good, and none beyond it: %i + %i", (dataShards, parityShards) => {
    const code = new ReedSolomon(dataShards, parityShards);
    const [packets = []] = groups(code, 1);
    const sent = packets.slice(0, dataShards).map((packet) => toHex(packet.subarray(HEADER)));
    for (const lost of choices(packets.length, parityShards + 1)) {
      const to = receiver(code);
      packets.forEach((packet, i) => {
        if (!lost.includes(i)) to.decode(packet);
      });
      const missing = sent.filter((_, i) => lost.includes(i));
      expect(to.data).toEqual(sent.filter((_, i) => !lost.includes(i)));
      expect(to.rebuilt).toEqual(lost.length <= parityShards ? missing : []);
      if (lost.length <= parityShards) expect(to.decoder.heldBytes).toBe(0);
    }
  });

  it("is made good in wide groups, in any order, with duplicates", () => {
    const shapes = fc.constantFrom<[number, number]>([10, 3], [20, 10], [100, 5], [128, 128]);
    const codes = new Map<string, ReedSolomon>();
    const property = fc.property(shapes, fc.nat(), fc.array(fc.nat()), (shape, seed, repeats) => {
      const code = codes.get(shape.join()) ?? new ReedSolomon(...shape);
      codes.set(shape.join(), code);
      const [packets = []] = groups(code, 1);
      // A cheap shuffle: the numbers by a hash of theirs, and the last few of them are lost.
      const order = packets
        .map((packet, i) => ({ packet, rank: Math.imul(i + 1, (seed | 1) ^ (i << 7)) | 0 }))
        .toSorted((a, b) => a.rank - b.rank)
        .map(({ packet }) => packet)
        .slice(code.parityShards);
      for (const at of repeats) order.splice(at % order.length, 0, order[0] as Uint8Array);
      const to = receiver(code);
      for (const packet of order) to.decode(packet);
      const sent = packets.slice(0, code.dataShards).map((packet) => toHex(packet.slice(HEADER)));
      expect(new Set([...to.data, ...to.rebuilt])).toEqual(new Set(sent));
      expect(to.rebuilt.filter((text) => sent.includes(text))).toHaveLength(to.rebuilt.length);
    });
    fc.assert(property, { numRuns: 40 });
  });

  it("is made good across the wrap, with groups in each other's way", () => {
    const code = new ReedSolomon(3, 2);
    const last = (groupCount(5) - 3) * 5;
    const series = groups(code, 8, { seqid: last });
    expect(readSeqid(series[3]?.[0] as Uint8Array)).toBe(0);
    const to = receiver(code);
    // Two groups at a time, packet by packet in turn, the first of each lost.
    for (let pair = 0; pair < series.length; pair += 2) {
      for (let i = 1; i < 5; i++) {
        for (const one of [series[pair + 1], series[pair]]) to.decode(one?.[i] as Uint8Array);
      }
    }
    const all = series.flatMap((one) =>
      one.slice(0, 3).map((packet) => toHex(packet.slice(HEADER))),
    );
    expect([...to.data, ...to.rebuilt].toSorted()).toEqual(all.toSorted());
    expect(to.rebuilt).toHaveLength(8);
  });
});

describe("FecEncoder", () => {
  it("leaves out parity after a pause, but not its numbers", () => {
    const encoder = new FecEncoder(new ReedSolomon(2, 1));
    const kinds = (now: number): string =>
      encode(encoder, datagram(1), now)
        .map((packet) => `${readSeqid(packet)}:${fecKind(packet)}`)
        .join(" ");
    expect(kinds(1000)).toBe("0:data");
    expect(kinds(1501)).toBe("1:data");
    expect(kinds(9000)).toBe("3:data");
    expect(kinds(9500)).toBe("4:data 5:parity");
    expect(kinds(9501)).toBe("6:data");
  });

  it("does not mix a group without parity into the next", () => {
    const code = new ReedSolomon(2, 1);
    const encoder = new FecEncoder(code);
    encode(encoder, new Uint8Array(90).fill(0xff), 0);
    encode(encoder, new Uint8Array(90).fill(0xff), 501);
    const packets = [datagram(1), datagram(2)].flatMap((body) => encode(encoder, body, 600));
    const to = receiver(code);
    to.decode(packets[1] as Uint8Array);
    to.decode(packets[2] as Uint8Array);
    expect(to.rebuilt).toEqual([toHex(datagram(1))]);
  });

  it("always sends the parity of groups of one", () => {
    const encoder = new FecEncoder(new ReedSolomon(1, 2));
    expect(encode(encoder, datagram(1), 0)).toHaveLength(3);
    expect(encode(encoder, datagram(1), 100_000)).toHaveLength(3);
  });

  it("leaves the rooms alone, in parity too", () => {
    const code = new ReedSolomon(1, 1);
    const encoder = new FecEncoder(code, { headRoom: 5, tailRoom: 3 });
    const packet = concat(
      new Uint8Array(5).fill(1),
      new Uint8Array(8),
      datagram(4),
      new Uint8Array(3).fill(2),
    );
    const [parity = new Uint8Array()] = encoder.encode(packet, 0);
    expect(packet.subarray(0, 5)).toEqual(new Uint8Array(5).fill(1));
    expect(packet.subarray(-3)).toEqual(new Uint8Array(3).fill(2));
    expect(fecBody(packet.subarray(5, -3))).toEqual(datagram(4));
    expect(parity.subarray(0, 5)).toEqual(new Uint8Array(5));
    expect(parity.subarray(-3)).toEqual(new Uint8Array(3));
    const to = receiver(code);
    to.decode(parity.subarray(5, -3));
    expect(to.rebuilt).toEqual([toHex(datagram(4))]);
  });

  it("refuses numbers that begin no group, and packets that are too short or long", () => {
    const code = new ReedSolomon(2, 1);
    for (const seqid of [1, -3, 0.5, groupCount(3) * 3]) {
      expect(() => new FecEncoder(code, { seqid })).toThrow(RangeError);
    }
    const encoder = new FecEncoder(code, { maxShardBytes: 10 });
    expect(() => encoder.encode(new Uint8Array(7), 0)).toThrow(RangeError);
    expect(() => encoder.encode(new Uint8Array(17), 0)).toThrow(RangeError);
    expect(encoder.encode(new Uint8Array(16), 0)).toEqual([]);
  });
});

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
