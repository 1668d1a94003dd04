import { Identity, toHex, toUtf8 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  contentKey,
  contentValue,
  MAX_CONTENT_BYTES,
  MAX_SALT_BYTES,
  MAX_VALUE_BYTES,
  readValue,
  signedKey,
  signedValue,
} from "../../src/kademlia/value.ts";

const networkId = new Uint8Array(32).fill(1);
const identity = Identity.fromSecret(new Uint8Array(32).fill(7));
const fields = { networkId, salt: toUtf8("profile"), seq: 3, expiresAt: 1_700_000_000_000 };

describe("a content value", () => {
  it("is kept under the hash of its bytes, and read back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: MAX_CONTENT_BYTES }), (content) => {
        const value = contentValue(content);
        expect(value.key).toEqual(contentKey(content));
        expect(readValue(value.bytes, networkId)).toEqual(value);
      }),
      { numRuns: 50 },
    );
  });

  it("of one byte too many is refused at both ends", () => {
    const content = new Uint8Array(MAX_CONTENT_BYTES + 1);
    expect(() => contentValue(content)).toThrow(RangeError);
    expect(() => readValue(Uint8Array.of(1, ...content), networkId)).toThrow("too large");
  });
});

describe("a signed value", () => {
  it("is kept under its owner and salt, and read back", () => {
    const value = signedValue(identity, { ...fields, content: toUtf8("hello") });
    expect(value.key).toEqual(signedKey(identity.id, fields.salt));
    const read = readValue(value.bytes, networkId);
    expect(read).toMatchObject({ kind: "signed", seq: 3, expiresAt: fields.expiresAt });
    expect(read.key).toEqual(value.key);
    expect(read.content).toEqual(toUtf8("hello"));
  });

  it("has a key that no content has, so that nobody can put anything in its place", () => {
    const { key } = signedValue(identity, { ...fields, content: toUtf8("hello") });
    for (const kind of [[], [1], [2]]) {
      const content = Uint8Array.of(...kind, ...identity.publicKey, ...fields.salt);
      expect(contentValue(content).key).not.toEqual(key);
    }
    // Kind, and then the content; kind, owner and salt.
    const hash = (...bytes: number[]) => provider.hash("SHA256", Uint8Array.from(bytes));
    expect(key).toEqual(hash(2, ...identity.publicKey, ...fields.salt));
    expect(contentKey(Uint8Array.of(7, 8))).toEqual(hash(1, 7, 8));
  });

  it("lies as documented", () => {
    const { bytes } = signedValue(identity, { ...fields, content: Uint8Array.of(0xaa) });
    expect(toHex(bytes.subarray(0, 1))).toBe("02");
    expect(bytes.subarray(1, 33)).toEqual(identity.publicKey);
    expect(toHex(bytes.subarray(33, 60))).toBe(
      `03000000000000000068e5cf8b01000007${toHex(toUtf8("profile"))}0100aa`,
    );
    expect(bytes).toHaveLength(60 + 64);
  });

  it("of another network, or with any bit changed, is not believed", () => {
    const value = signedValue(identity, { ...fields, content: toUtf8("hello") });
    expect(() => readValue(value.bytes, new Uint8Array(32).fill(2))).toThrow("does not verify");
    fc.assert(
      fc.property(fc.nat(value.bytes.length * 8 - 1), (bit) => {
        const changed = value.bytes.slice();
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        // The kind's own bit may make it a content value, which is kept elsewhere.
        const read = ((): unknown => {
          try {
            return readValue(changed, networkId).kind;
          } catch (error) {
            return (error as { code?: string }).code;
          }
        })();
        expect(["BODY_MALFORMED", "content"]).toContain(read);
      }),
    );
  });

  it.each([
    ["content", { content: new Uint8Array(MAX_CONTENT_BYTES + 1) }],
    ["salt", { salt: new Uint8Array(MAX_SALT_BYTES + 1) }],
    ["seq", { seq: -1 }],
    ["seq", { seq: 2 ** 53 }],
    ["expiresAt", { expiresAt: 0.5 }],
  ])("names %s when it cannot be", (name, wrong) => {
    const made = (): unknown =>
      signedValue(identity, { ...fields, content: new Uint8Array(1), ...wrong });
    expect(made).toThrow(RangeError);
    expect(made).toThrow(name);
  });
});

it("reads arbitrary bytes without another error than BODY_MALFORMED", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: MAX_VALUE_BYTES + 10 }), (bytes) => {
      if (bytes.length > 0 && bytes[0] !== 1) bytes[0] = 2;
      try {
        expect(readValue(bytes, networkId).kind).toBe("content");
      } catch (error) {
        expect(error).toMatchObject({ code: "BODY_MALFORMED" });
      }
    }),
    { numRuns: 2_000 },
  );
});
