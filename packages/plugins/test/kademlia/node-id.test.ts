import { provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  commonPrefix,
  compareDistance,
  leadingZeros,
  nodeIdIn,
  nodeIdOf,
  sameId,
  Target,
} from "../../src/kademlia/node-id.ts";
import { anyId, distance, nodeId, similarId } from "./contacts.ts";

const id = fc.oneof(anyId, similarId);

describe("node ids", () => {
  it("are the SHA-256 of the key", () => {
    const key = new Uint8Array(32).fill(7);
    expect(nodeIdOf(key)).toEqual(provider.hash("SHA256", key));
  });

  it("compare by the exclusive or, read as a number", () => {
    fc.assert(
      fc.property(id, id, id, (target, a, b) => {
        const wanted = distance(target, a) - distance(target, b);
        const sign = wanted < 0n ? -1 : wanted > 0n ? 1 : 0;
        expect(Math.sign(compareDistance(target, a, b))).toBe(sign);
        const from = new Target(target);
        expect(Math.sign(from.compare(a, b))).toBe(sign);
        const heads = Math.sign(from.head(a) - from.head(b));
        if (heads !== 0) expect(heads).toBe(sign);
        expect(from.head(a)).toBe(Number(distance(target, a) >> 203n));
      }),
    );
  });

  it("share as many bits as their distance has leading zeros", () => {
    fc.assert(
      fc.property(id, id, (a, b) => {
        const bits = distance(a, b);
        const wanted = bits === 0n ? 256 : 256 - bits.toString(2).length;
        expect(commonPrefix(a, b)).toBe(wanted);
        expect(sameId(a, b)).toBe(wanted === 256);
      }),
    );
    expect(leadingZeros(nodeId(0, 0x10))).toBe(11);
    expect(leadingZeros(new Uint8Array(32))).toBe(256);
  });

  it("are drawn in a bucket of exactly that prefix", () => {
    fc.assert(
      fc.property(
        anyId,
        fc.nat({ max: 255 }),
        fc.infiniteStream(fc.nat()),
        (self, prefix, draws) => {
          const drawn = nodeIdIn(self, prefix, (bound) => (draws.next().value ?? 0) % bound);
          expect(commonPrefix(self, drawn)).toBe(prefix);
        },
      ),
    );
  });
});
