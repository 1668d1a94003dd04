import { ED25519_TORSION_SUBGROUP, ed25519 } from "@noble/curves/ed25519.js";
import { toHex } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { curveAgreement, curvePublicKey, verifiedCurveKey } from "../../src/shs/curve.ts";
import { hex, vectors } from "./vectors.ts";

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** What the library says of a key: its X25519 form, or nothing when it is no point or one of small order. */
function reference(key: Uint8Array): string | undefined {
  try {
    const point = ed25519.Point.fromBytes(key, false);
    if (point.isSmallOrder()) return undefined;
    return toHex(ed25519.utils.toMontgomery(key));
  } catch {
    return undefined;
  }
}

function converted(key: Uint8Array): string | undefined {
  const curve = curvePublicKey(key);
  return curve === undefined ? undefined : toHex(curve);
}

function littleEndian(value: bigint): Uint8Array {
  return hex(value.toString(16).padStart(64, "0")).reverse();
}

describe("long-term keys in their X25519 form", () => {
  test.each(vectors.cases)(
    "$name: both keys as the published package converts them",
    ({ keys }) => {
      for (const party of [keys.client, keys.server]) {
        expect(converted(hex(party.publicKey))).toBe(party.curvePublicKey);
        const agreement = curveAgreement(hex(party.ed25519Seed));
        expect(toHex(agreement.publicKey)).toBe(party.curvePublicKey);
        const direct = provider.keyAgreement(hex(party.curveSecretKey));
        const other = provider.keyAgreement(new Uint8Array(32).fill(7)).publicKey;
        expect(agreement.agree(other)).toEqual(direct.agree(other));
      }
    },
  );

  test("are the same when asked for again, whatever was asked for between, or became of the bytes", () => {
    const [one, other] = [1, 2].map((fill) => provider.signer(new Uint8Array(32).fill(fill)));
    if (one === undefined || other === undefined) throw new Error("no keys");
    const key = one.publicKey.slice();
    const first = converted(key);
    key.set(other.publicKey);
    expect(converted(key)).toBe(reference(other.publicKey));
    expect(converted(new Uint8Array(32))).toBeUndefined();
    expect(converted(new Uint8Array(32))).toBeUndefined();
    expect(converted(new Uint8Array(31))).toBeUndefined();
    expect(converted(one.publicKey)).toBe(first);
    expect(first).toBe(reference(one.publicKey));
  });

  test("the public half of a converted secret is the converted public key", () => {
    fc.assert(
      fc.property(bytes32, (seed) => {
        expect(toHex(curveAgreement(seed).publicKey)).toBe(
          converted(provider.signer(seed).publicKey),
        );
      }),
      { numRuns: 50 },
    );
  });

  test("agrees with an independent implementation on any 32 bytes, points or not", () => {
    let [points, refused] = [0, 0];
    fc.assert(
      fc.property(bytes32, (key) => {
        const ours = converted(key);
        expect(ours).toBe(reference(key));
        if (ours === undefined) refused++;
        else points++;
      }),
      { numRuns: 300 },
    );
    expect(points).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(50);
  });

  test("refuses every point of small order, with either sign bit", () => {
    expect(ED25519_TORSION_SUBGROUP).toHaveLength(8);
    for (const text of ED25519_TORSION_SUBGROUP) {
      const key = hex(text);
      expect(converted(key), text).toBeUndefined();
      key[31] = (key[31] as number) ^ 0x80;
      expect(converted(key), `${text} with the other sign`).toBeUndefined();
    }
    expect(converted(new Uint8Array(32))).toBeUndefined();
  });

  test("refuses numbers at and above the prime, which a lax reader would reduce", () => {
    const p = 2n ** 255n - 19n;
    for (let y = p; y < 2n ** 255n; y++) {
      expect(converted(littleEndian(y)), `p + ${y - p}`).toBeUndefined();
      expect(converted(littleEndian(y + 2n ** 255n)), `p + ${y - p}, signed`).toBeUndefined();
    }
    // 3 and 4 are points in canonical form, so it was the encoding that was refused.
    expect(converted(littleEndian(3n))).toBeDefined();
    expect(converted(littleEndian(4n))).toBeDefined();
  });

  test("refuses other lengths and reads views at any offset", () => {
    const key = hex(vectors.cases[0]?.keys.client.publicKey ?? "");
    expect(converted(key.subarray(1))).toBeUndefined();
    expect(converted(new Uint8Array(0))).toBeUndefined();
    const shifted = new Uint8Array(40);
    shifted.set(key, 3);
    expect(converted(shifted.subarray(3, 35))).toBe(converted(key));
  });

  test("a key that is known to be on the curve is converted the same, and still not of small order", () => {
    fc.assert(
      fc.property(bytes32, (seed) => {
        const key = provider.signer(seed).publicKey;
        expect(verifiedCurveKey(key)).toEqual(curvePublicKey(key));
      }),
      { numRuns: 50 },
    );
    for (const point of ED25519_TORSION_SUBGROUP) {
      expect(verifiedCurveKey(hex(point))).toBeUndefined();
    }
  });
});
