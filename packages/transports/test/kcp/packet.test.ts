/** The packets: what goes in comes out, and nothing else comes out. */

import { toHex } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  COOKIE_BYTES,
  type ConnectionId,
  decodeAccept,
  decodeDone,
  decodeOpen,
  decodePing,
  decodePong,
  decodeReset,
  decodeRetry,
  encodeAccept,
  encodeDone,
  encodeOpen,
  encodePing,
  encodePong,
  encodeReset,
  encodeRetry,
  OPEN_BYTES,
  type Open,
  readId,
} from "../../src/kcp/packet.ts";

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const ids: fc.Arbitrary<ConnectionId> = bytes(8)
  .filter((all) => all.some((byte) => byte !== 0))
  .map((all) => readId(all, 0));
const terms = fc.record({
  mtu: fc.integer({ min: 548, max: 65_507 }),
  fecData: fc.integer({ min: 1, max: 40 }),
  fecParity: fc.integer({ min: 1, max: 24 }),
});
const opens: fc.Arbitrary<Open> = fc
  .tuple(terms, ids, fc.option(bytes(COOKIE_BYTES), { nil: undefined }))
  .map(([each, id, cookie]) => ({ ...each, id, cookie }));

const decoders = [
  decodeOpen,
  decodeRetry,
  decodeAccept,
  decodePing,
  decodePong,
  decodeDone,
  decodeReset,
];

describe("packets", () => {
  it("come out as they went in", () => {
    fc.assert(
      fc.property(opens, ids, bytes(8), fc.boolean(), (open, id, nonce, answer) => {
        expect(decodeOpen(encodeOpen(open))).toEqual(open);
        const { cookie, ...accept } = open;
        expect(decodeAccept(encodeAccept(id, accept))).toEqual(accept);
        if (cookie !== undefined) expect(decodeRetry(encodeRetry(id, cookie))).toEqual(cookie);
        expect(decodePing(encodePing(id, nonce))).toEqual(nonce);
        expect(decodePing(encodePing(id, nonce, 1_200))).toEqual(nonce);
        expect(decodePong(encodePong(id, nonce))).toEqual(nonce);
        expect(decodeDone(encodeDone(id, answer))).toEqual({ answer });
        for (const reason of ["cut", "refused", "full"] as const) {
          expect(decodeReset(encodeReset(id, reason, answer))).toEqual({ answer, reason });
        }
      }),
    );
  });

  it("have the layout of the page", () => {
    const id = readId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 0);
    const cookie = new Uint8Array(COOKIE_BYTES).fill(0xcc);
    const open = encodeOpen({ id, mtu: 1_472, fecData: 10, fecParity: 3, cookie });
    expect(toHex(open)).toBe(
      `017465737475646f310102030405060708c0050a0318${"cc".repeat(24)}${"00".repeat(18)}`,
    );
    expect(toHex(encodeAccept(id, { id, mtu: 1_200, fecData: 0, fecParity: 0 }))).toBe(
      "0301020304050607080102030405060708b0040000",
    );
    expect(toHex(encodeReset(id, "full", true))).toBe("0a01020304050607080102");
  });

  it("that answer an open are shorter than it", () => {
    const id = readId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 0);
    const answers = [
      encodeRetry(id, new Uint8Array(COOKIE_BYTES)),
      encodeAccept(id, { id, mtu: 1_200, fecData: 1, fecParity: 1 }),
      encodeReset(id, "full", true),
    ];
    for (const answer of answers) expect(answer.length).toBeLessThan(OPEN_BYTES);
  });

  it("of any other length or content are refused, never thrown at", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(12), (packet, type) => {
        if (packet.length > 0) packet[0] = type;
        for (const decode of decoders) decode(packet);
        expect(decoders.filter((decode) => decode(packet) !== undefined).length).toBeLessThan(2);
      }),
      { numRuns: 2_000 },
    );
  });

  it("are read strictly: an open that is changed anywhere but in its values is none", () => {
    fc.assert(
      fc.property(
        opens,
        fc.nat(OPEN_BYTES - 1),
        fc.integer({ min: 1, max: 255 }),
        (open, at, by) => {
          const packet = encodeOpen(open);
          packet[at] = (packet[at] as number) ^ by;
          const read = decodeOpen(packet);
          if (read !== undefined) expect(encodeOpen(read)).toEqual(packet);
        },
      ),
      { numRuns: 2_000 },
    );
    const id = readId(new Uint8Array(8), 0);
    expect(
      decodeOpen(encodeOpen({ id, mtu: 1_472, fecData: 0, fecParity: 0, cookie: undefined })),
    ).toBeUndefined();
    const one = readId(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 0);
    for (const bad of [
      { mtu: 547, fecData: 0, fecParity: 0 },
      { mtu: 548, fecData: 1, fecParity: 0 },
      { mtu: 548, fecData: 0, fecParity: 1 },
      { mtu: 548, fecData: 64, fecParity: 1 },
    ]) {
      expect(decodeOpen(encodeOpen({ ...bad, id: one, cookie: undefined }))).toBeUndefined();
      expect(decodeAccept(encodeAccept(one, { ...bad, id: one }))).toBeUndefined();
    }
  });
});
