/** FEC: the vectors byte for byte, every loss that the parity covers, and what the encoder leaves out. */

import { concat, toHex } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fecBody, fecKind, groupCount, readSeqid } from "../../src/kcp/fec.ts";
import { FecEncoder } from "../../src/kcp/fec-encoder.ts";
import { ReedSolomon } from "../../src/kcp/reed-solomon.ts";
import { hex, vectors } from "../kcpgo/vectors.ts";
import { datagram, encode, groups, HEADER, receiver } from "./fec-support.ts";

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
