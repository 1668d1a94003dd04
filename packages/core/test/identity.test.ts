import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toBase64, toHex } from "../src/bytes.ts";
import { Identity, PeerId, verify } from "../src/identity.ts";

const hex = (text: string): Uint8Array => fromHex(text) as Uint8Array;
/** RFC 8032 §7.1, test 2. */
const SEED = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
const KEY = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
const SIGNATURE =
  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("PeerId", () => {
  it("is the same from bytes and from text, in any of its forms", () => {
    fc.assert(
      fc.property(key, (bytes) => {
        const id = PeerId.from(bytes);
        expect(id.text).toBe(toBase64(bytes));
        for (const text of [id.text, id.text.replace("=", ""), id.text.replaceAll("+", "-")]) {
          expect(PeerId.from(text).text).toBe(id.text);
          expect(PeerId.from(text).equals(id)).toBe(true);
        }
        expect(id.bytes).toEqual(bytes);
        expect(`${id}`).toBe(id.text);
        expect(JSON.stringify({ id })).toBe(JSON.stringify({ id: id.text }));
        expect(id.short).toBe(id.text.slice(0, 8));
        expect(id.proved).toBe(true);
      }),
    );
  });

  it("does not change when the caller's bytes do, a Buffer's neither", () => {
    for (const bytes of [KEY.slice(), Buffer.from(KEY)]) {
      const [id, unproved] = [PeerId.from(bytes), PeerId.unproved(bytes)];
      bytes.fill(0);
      expect(id.bytes).toEqual(KEY);
      expect(unproved.bytes).toEqual(KEY);
    }
    expect(Object.isFrozen(PeerId.from(KEY))).toBe(true);
  });

  it.each([
    "",
    "AAAA",
    "not base64 at all, but thirty-two b",
    new Uint8Array(31),
    new Uint8Array(33),
    new Uint8Array(64),
    undefined,
    null,
    [1, 2, 3],
    Array.from({ length: 32 }, () => 0),
    `unproved:${toBase64(KEY)}`,
  ])("refuses %o", (value) => {
    expect(() => PeerId.from(value as string)).toThrow(TypeError);
  });

  it("of an unproved peer equals no key's, though it has the same bytes", () => {
    const [proved, unproved] = [PeerId.from(KEY), PeerId.unproved(KEY)];
    expect(unproved.proved).toBe(false);
    expect(unproved.equals(proved)).toBe(false);
    expect(proved.equals(unproved)).toBe(false);
    expect(unproved.equals(PeerId.unproved(KEY))).toBe(true);
    expect(unproved.text).toBe(`unproved:${toBase64(KEY)}`);
    expect(unproved.short).toBe(`?${toBase64(KEY).slice(0, 7)}`);
    expect(() => PeerId.from(unproved.text)).toThrow(TypeError);
  });

  it("differs wherever the key does", () => {
    const id = PeerId.from(KEY);
    for (let at = 0; at < 32; at++) {
      const other = KEY.slice();
      other[at] = (other[at] ?? 0) ^ 1;
      expect(id.equals(PeerId.from(other))).toBe(false);
    }
  });
});

describe("Identity", () => {
  it("is RFC 8032's, from 32 bytes or 64", () => {
    for (const secret of [SEED, concat(SEED, KEY), Buffer.from(SEED)]) {
      const identity = Identity.fromSecret(secret);
      expect(identity.publicKey).toEqual(KEY);
      expect(identity.id.text).toBe(toBase64(KEY));
      expect(toHex(identity.sign(Uint8Array.of(0x72)))).toBe(SIGNATURE);
    }
  });

  it("comes back from its secret", () => {
    const identity = Identity.generate();
    const again = Identity.fromSecret(identity.secret());
    expect(identity.secret()).toHaveLength(64);
    expect(again.id.equals(identity.id)).toBe(true);
    expect(again.secret()).toEqual(identity.secret());
  });

  it("does not change when the caller wipes the secret, or what secret() gave", () => {
    for (const secret of [SEED.slice(), Buffer.from(SEED), Buffer.from(concat(SEED, KEY))]) {
      const identity = Identity.fromSecret(secret);
      secret.fill(0);
      identity.secret().fill(0);
      expect(identity.secret()).toEqual(concat(SEED, KEY));
      expect(toHex(identity.sign(Uint8Array.of(0x72)))).toBe(SIGNATURE);
    }
  });

  it("is fresh each time, and takes its randomness from whoever gives it", () => {
    expect(Identity.generate().id.text).not.toBe(Identity.generate().id.text);
    const asked: number[] = [];
    const identity = Identity.generate((length) => {
      asked.push(length);
      return SEED;
    });
    expect(identity.publicKey).toEqual(KEY);
    expect(asked).toEqual([32]);
  });

  it.each([0, 31, 33, 63, 65])("refuses a secret of %d bytes", (length) => {
    expect(() => Identity.fromSecret(new Uint8Array(length))).toThrow(TypeError);
  });

  it("refuses a secret that is no bytes, or whose halves do not belong together", () => {
    expect(() => Identity.fromSecret(toBase64(SEED) as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => Identity.fromSecret(concat(SEED, SEED))).toThrow(TypeError);
  });

  it("shows its secret to no log, no JSON, no inspection and no message", () => {
    const identity = Identity.fromSecret(SEED);
    const shown = [
      JSON.stringify(identity),
      inspect(identity, { depth: 9, showHidden: true }),
      String(identity),
      JSON.stringify(Object.entries(identity)),
    ].join("\n");
    for (const secret of [toHex(SEED), toBase64(SEED), SEED.join(), SEED.join(", ")]) {
      expect(shown).not.toContain(secret.slice(0, 20));
    }
    expect(JSON.parse(JSON.stringify(identity))).toEqual({ id: identity.id.text });
    try {
      Identity.fromSecret(concat(SEED, SEED));
    } catch (error) {
      expect(String(error)).not.toContain(toHex(SEED).slice(0, 8));
    }
  });
});

describe("verify", () => {
  const identity = Identity.fromSecret(SEED);
  const message = Uint8Array.of(1, 2, 3);
  const signature = identity.sign(message);

  it("takes a key or a peer id", () => {
    expect(verify(identity.publicKey, message, signature)).toBe(true);
    expect(verify(identity.id, message, signature)).toBe(true);
    expect(verify(identity.id, Uint8Array.of(1, 2), signature)).toBe(false);
    expect(verify(Identity.generate().id, message, signature)).toBe(false);
  });

  it("believes nothing of an unproved peer, though its bytes are the signer's key", () => {
    expect(verify(PeerId.unproved(KEY), message, signature)).toBe(false);
  });

  it("never throws for bad bytes", () => {
    const blob = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(blob, blob, blob, (anyKey, anyMessage, anySignature) => {
        expect(verify(anyKey, anyMessage, anySignature)).toBe(false);
      }),
    );
  });
});
