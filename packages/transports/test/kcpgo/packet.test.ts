/** Packet: the layers together, as the vectors have them, and what they make of hostile bytes. */

import { concat, toHex, writeU32 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FecDecoder } from "../../src/kcp/fec-decoder.ts";
import { ReedSolomon } from "../../src/kcp/reed-solomon.ts";
import { makeCrypt } from "../../src/kcpgo/crypt.ts";
import { decodePacket, PacketEncoder, readHead, readOob } from "../../src/kcpgo/packet.ts";
import { hex, nonces, vectors } from "./vectors.ts";

const CLEAR = makeCrypt("null", new Uint8Array());
const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);

function framed(encoder: PacketEncoder, datagram: Uint8Array): Uint8Array {
  const packet = new Uint8Array(encoder.headRoom + datagram.length + encoder.tailRoom);
  packet.set(datagram, encoder.headRoom);
  return packet;
}

/** One PUSH. */
function segment(sn: number, conv = 7, length = 30): Uint8Array {
  const bytes = new Uint8Array(24 + length).fill(sn);
  writeU32(bytes, 0, conv);
  writeU32(bytes, 4, 81);
  writeU32(bytes, 12, sn);
  return bytes;
}

describe("the vectors", () => {
  const { cipher, key, dataShards, parityShards, inputs, wire } = vectors.fec_aes128;

  it("of forward error correction under a cipher are made byte for byte", () => {
    const crypt = makeCrypt(cipher, hex(key), nonces(16));
    const encoder = new PacketEncoder({ crypt, code: new ReedSolomon(dataShards, parityShards) });
    const sent: string[] = [];
    for (const input of inputs) {
      encoder.encode(framed(encoder, hex(input)), 0, (packet) => sent.push(toHex(packet)));
    }
    expect(sent).toEqual(wire);
  });

  it("of forward error correction under a cipher are read, with a loss in each group", () => {
    const crypt = makeCrypt(cipher, hex(key));
    const size = dataShards + parityShards;
    for (let lost = 0; lost < size; lost++) {
      const decoder = new FecDecoder(new ReedSolomon(dataShards, parityShards));
      const got: string[] = [];
      wire.forEach((text, i) => {
        const opened = i % size === lost ? undefined : crypt.open(hex(text));
        if (opened !== undefined) decodePacket(opened, decoder, (bytes) => got.push(toHex(bytes)));
      });
      expect(got.toSorted()).toEqual(inputs.toSorted());
    }
  });

  it("of an out-of-band packet are made and read", () => {
    const { conv, payload, wire: made } = vectors.oob;
    const encoder = new PacketEncoder({ crypt: CLEAR, code: new ReedSolomon(2, 1) });
    const packet = encoder.encodeOob(conv, hex(payload));
    expect(toHex(packet)).toBe(made);
    expect(readHead(packet)).toEqual({ kind: "oob", conv });
    expect(toHex(readOob(packet) ?? new Uint8Array())).toBe(payload);
    expect(readOob(hex(vectors.fec[0]?.wire[0] ?? ""))).toBeUndefined();
  });
});

describe("PacketEncoder", () => {
  const code = new ReedSolomon(10, 3);

  it("leaves KCP what the headers leave of the packet", () => {
    const most = (name: string, withCode: boolean): number =>
      new PacketEncoder({ crypt: makeCrypt(name, KEY), ...(withCode ? { code } : {}) })
        .maxDatagramBytes;
    expect(most("null", false)).toBe(1400);
    expect(most("null", true)).toBe(1392);
    expect(most("aes", false)).toBe(1380);
    expect(most("aes", true)).toBe(1372);
    expect(most("aes-128-gcm", false)).toBe(1372);
    expect(most("aes-128-gcm", true)).toBe(1364);
  });

  it("fills a packet to the last byte, parity too", () => {
    const crypt = makeCrypt("aes-256-gcm", KEY);
    const encoder = new PacketEncoder({ crypt, code: new ReedSolomon(1, 2), packetBytes: 1500 });
    const lengths: number[] = [];
    const datagram = segment(0, 7, encoder.maxDatagramBytes - 24);
    encoder.encode(framed(encoder, datagram), 0, (packet) => lengths.push(packet.length));
    expect(lengths).toEqual([1500, 1500, 1500]);
  });

  it("wants a packet that holds something and is not too long", () => {
    for (const packetBytes of [0, 49, 1501, 1400.5, Number.NaN]) {
      expect(() => new PacketEncoder({ crypt: CLEAR, packetBytes })).toThrow(RangeError);
    }
    const tight = { crypt: makeCrypt("aes-256-gcm", KEY), code, packetBytes: 86 };
    expect(new PacketEncoder(tight).maxDatagramBytes).toBe(50);
    expect(() => new PacketEncoder({ ...tight, packetBytes: 85 })).toThrow(RangeError);
    const encoder = new PacketEncoder({ crypt: CLEAR });
    expect(() => encoder.encode(new Uint8Array(1501), 0, () => undefined)).toThrow(RangeError);
  });

  it("sends out-of-band only with a code, and only what fits", () => {
    const plain = new PacketEncoder({ crypt: CLEAR });
    expect(() => plain.encodeOob(1, KEY)).toThrow(TypeError);
    const crypt = makeCrypt("aes-256-gcm", KEY);
    const encoder = new PacketEncoder({ crypt, code });
    const most = encoder.maxDatagramBytes - 4;
    expect(() => encoder.encodeOob(1, new Uint8Array(most + 1))).toThrow(RangeError);
    const packet = encoder.encodeOob(0xfedc_ba98, new Uint8Array(most).fill(9));
    expect(packet).toHaveLength(1400);
    const opened = crypt.open(packet) ?? new Uint8Array();
    expect(readHead(opened)).toEqual({ kind: "oob", conv: 0xfedc_ba98 });
    expect(readOob(opened)).toEqual(new Uint8Array(most).fill(9));
  });
});

describe("readHead", () => {
  const encoder = new PacketEncoder({ crypt: CLEAR, code: new ReedSolomon(1, 1) });
  const sent: Uint8Array[] = [];
  encoder.encode(framed(encoder, segment(5, 0xffff_fffe)), 0, (packet) => sent.push(packet));
  const [data, parity] = sent as [Uint8Array, Uint8Array];

  it("tells the kinds apart, and whose they are", () => {
    const first = { conv: 0xffff_fffe, command: 81, sn: 5 };
    expect(readHead(segment(5, 0xffff_fffe))).toEqual({ kind: "segments", ...first });
    expect(readHead(data)).toEqual({ kind: "data", ...first });
    expect(readHead(parity)).toEqual({ kind: "parity" });
  });

  it("knows nothing of what is too short or of no kind", () => {
    for (let length = 0; length < 24; length++) {
      expect(readHead(segment(5).subarray(0, length))).toBeUndefined();
      expect(readHead(data.subarray(0, 8 + length))).toBeUndefined();
    }
    for (const command of [0, 80, 85, 0xf0, 0xf4]) {
      const bytes = segment(5);
      bytes[4] = command;
      expect(readHead(bytes)).toBeUndefined();
    }
  });
});

describe("decodePacket", () => {
  it("takes data packets without a decoder, and packets without a header with one", () => {
    const encoder = new PacketEncoder({ crypt: CLEAR, code: new ReedSolomon(1, 1) });
    const got: [Uint8Array, boolean][] = [];
    const deliver = (bytes: Uint8Array, recovered: boolean): void =>
      void got.push([bytes, recovered]);
    encoder.encode(framed(encoder, segment(1)), 0, (packet) =>
      decodePacket(packet, undefined, deliver),
    );
    decodePacket(segment(2), new FecDecoder(new ReedSolomon(1, 1)), deliver);
    expect(got).toEqual([
      [segment(1), false],
      [segment(2), false],
    ]);
  });

  it("survives hostile bytes under every layer", () => {
    const decoder = new FecDecoder(new ReedSolomon(3, 2));
    const type = fc.constantFrom([0xf1, 0], [0xf2, 0], [0xf3, 0], [81, 0], [0xf1, 1]);
    const bytes = fc
      .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), type, fc.uint8Array({ maxLength: 60 }))
      .map(([seqid, kind, rest]) => concat(seqid, Uint8Array.from(kind), rest));
    fc.assert(
      fc.property(fc.oneof(bytes, fc.uint8Array({ maxLength: 40 })), (opened) => {
        readHead(opened);
        readOob(opened);
        for (const one of [decoder, undefined]) {
          decodePacket(opened.slice(), one, (datagram) => {
            expect(datagram.length).toBeLessThanOrEqual(opened.length);
          });
        }
      }),
      { numRuns: 2000 },
    );
  });
});
