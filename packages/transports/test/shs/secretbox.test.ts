/** Secretbox: our WebAssembly and @noble/ciphers must not differ in a bit, whatever they are given. */

import { poly1305 } from "@noble/ciphers/_poly1305.js";
import { salsa20, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { concat, equal, isZero } from "@testudo/core";
import * as fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  BoxKey,
  MAX_SECRET_BYTES,
  nobleSecretBox,
  type SecretBox,
  secretBox,
  wasmSecretBox,
} from "../../src/shs/secretbox.ts";
import { BOX_AT, secretBoxModule, TAG_AT } from "../../src/shs/secretbox-wasm.ts";

const boxes: [string, SecretBox][] = [
  ["WebAssembly", wasmSecretBox()],
  ["noble", nobleSecretBox()],
];
const NONCE_SPACE = 1n << 192n;

/** Bytes with long carries in them: many that are all ones or all zeros. */
const extreme = (constraints: { minLength: number; maxLength: number }): fc.Arbitrary<Uint8Array> =>
  fc
    .array(
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(0, 0xff) },
        { weight: 1, arbitrary: fc.nat(255) },
      ),
      constraints,
    )
    .map((bytes) => Uint8Array.from(bytes));
const bytes = (length: number): fc.Arbitrary<Uint8Array> => {
  const constraints = { minLength: length, maxLength: length };
  return fc.oneof(fc.uint8Array(constraints), extreme(constraints));
};
const plaintext = fc.oneof(
  fc.uint8Array({ maxLength: 600 }),
  extreme({ minLength: 0, maxLength: 600 }),
  fc
    .integer({ min: 0, max: MAX_SECRET_BYTES })
    .map((length) => new Uint8Array(length).fill(length)),
);

function seal(box: SecretBox, key: BoxKey, plain: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(16 + plain.length);
  box.plain.set(plain);
  box.seal(key, sealed.subarray(16), sealed.subarray(0, 16));
  return sealed;
}

function open(box: SecretBox, key: BoxKey, sealed: Uint8Array): Uint8Array | undefined {
  const plain = new Uint8Array(Math.max(0, sealed.length - 16));
  return box.open(key, sealed.subarray(16), sealed.subarray(0, 16), plain) ? plain : undefined;
}

describe.each(boxes)("secretbox by %s", (_name, box) => {
  test("is NaCl's, sealed and opened, at any length", async () => {
    await fc.assert(
      fc.property(bytes(32), bytes(24), plaintext, (key, nonce, plain) => {
        const expected = xsalsa20poly1305(key, nonce).encrypt(plain);
        expect(equal(seal(box, new BoxKey(key, nonce), plain), expected)).toBe(true);
        const opened = open(box, new BoxKey(key, nonce), expected);
        expect(opened !== undefined && equal(opened, plain)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("is NaCl's at every length around a block and a group", () => {
    const key = new BoxKey(new Uint8Array(32).fill(1), new Uint8Array(24).fill(2));
    for (const around of [0, 16, 32, 64, 96, 224, 256, 480, 4_096, MAX_SECRET_BYTES]) {
      for (let length = Math.max(0, around - 18); length <= around + 18; length++) {
        if (length > MAX_SECRET_BYTES) break;
        const plain = Uint8Array.from({ length }, (_, i) => i * 7 + length);
        const expected = xsalsa20poly1305(key.key, key.nonce).encrypt(plain);
        expect(equal(seal(box, key, plain), expected), `${length}`).toBe(true);
        const opened = open(box, key, expected);
        expect(opened !== undefined && equal(opened, plain), `${length}`).toBe(true);
      }
    }
  });

  test("opens nothing that was changed anywhere, cut, or sealed under another key or nonce", () => {
    const key = new BoxKey(new Uint8Array(32).fill(1), new Uint8Array(24).fill(2));
    const good = seal(
      box,
      key,
      Uint8Array.from({ length: 70 }, (_, i) => i),
    );
    for (let bit = 0; bit < 8 * good.length; bit++) {
      const bad = good.slice();
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(open(box, key, bad), `bit ${bit}`).toBeUndefined();
    }
    for (let length = 16; length < good.length; length++) {
      expect(open(box, key, good.subarray(0, length))).toBeUndefined();
    }
    expect(open(box, key, concat(good, Uint8Array.of(0)))).toBeUndefined();
    expect(open(box, new BoxKey(new Uint8Array(32).fill(3), key.nonce), good)).toBeUndefined();
    key.advance(1);
    expect(open(box, key, good)).toBeUndefined();
    expect(open(box, new BoxKey(key.key, new Uint8Array(24).fill(2)), good)).toBeDefined();
  });

  test("writes nothing of what it does not open", () => {
    const key = new BoxKey(new Uint8Array(32).fill(1), new Uint8Array(24).fill(2));
    const good = seal(box, key, new Uint8Array(500).fill(7));
    good[0] = (good[0] as number) ^ 1;
    const plain = new Uint8Array(484);
    expect(box.open(key, good.subarray(16), good.subarray(0, 16), plain)).toBe(false);
    expect(isZero(plain)).toBe(true);
  });

  test("keeps no plaintext", () => {
    const key = new BoxKey(new Uint8Array(32).fill(1), new Uint8Array(24).fill(2));
    const words = new TextEncoder().encode("a secret that is long enough to be told from chance");
    const sealed = seal(box, key, words);
    expect(Buffer.from(box.plain.buffer).includes(Buffer.from(words))).toBe(false);
    expect(open(box, key, sealed)).toEqual(words);
    expect(Buffer.from(box.plain.buffer).includes(Buffer.from(words))).toBe(false);
  });
});

describe("a key and its nonce", () => {
  const asNumber = (nonce: Uint8Array): bigint => BigInt(`0x${Buffer.from(nonce).toString("hex")}`);
  const asNonce = (value: bigint): Uint8Array =>
    new Uint8Array(Buffer.from((value % NONCE_SPACE).toString(16).padStart(48, "0"), "hex"));

  test("count on, big endian, with every carry, and take the subkey along", async () => {
    const [[, wasm]] = boxes as [[string, SecretBox]];
    const plain = new Uint8Array(40).fill(9);
    const key = new Uint8Array(32).fill(1);
    const beginning = fc.oneof(
      fc.bigInt({ min: 0n, max: NONCE_SPACE - 1n }),
      // Just before a carry out of the last bytes, and around the wrap to zero.
      fc
        .tuple(fc.nat(23), fc.nat(6))
        .map(([byte, less]) => (1n << BigInt(8 * (byte + 1))) - 1n - BigInt(less)),
    );
    await fc.assert(
      fc.property(
        beginning,
        fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 6 }),
        (from, steps) => {
          const counted = new BoxKey(key, asNonce(from));
          let at = from;
          for (const step of steps) {
            // Made before it is counted on, so that what is kept must follow.
            expect(counted.state).toHaveLength(64);
            counted.advance(step);
            at = (at + BigInt(step)) % NONCE_SPACE;
            expect(asNumber(counted.nonce)).toBe(at);
            const expected = xsalsa20poly1305(key, asNonce(at)).encrypt(plain);
            expect(equal(seal(wasm, counted, plain), expected)).toBe(true);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test("keep their own copy of the nonce", () => {
    const nonce = new Uint8Array(24).fill(5);
    const key = new BoxKey(new Uint8Array(32), nonce);
    nonce.fill(6);
    expect(key.nonce).toEqual(new Uint8Array(24).fill(5));
    key.advance(1);
    expect(nonce).toEqual(new Uint8Array(24).fill(6));
  });
});

describe("the module", () => {
  const module = secretBoxModule(MAX_SECRET_BYTES);
  const KEY_AT = BOX_AT + 8_192;

  function tagOf(key: Uint8Array, message: Uint8Array): Uint8Array {
    const partial = message.length % 16 === 0 ? 0 : 1;
    module.memory.fill(0, BOX_AT, BOX_AT + message.length + 17);
    module.memory.set(concat(message, Uint8Array.of(partial)), BOX_AT);
    module.memory.set(key, KEY_AT);
    module.authenticate(KEY_AT, BOX_AT, Math.ceil(message.length / 16), partial);
    return module.memory.slice(TAG_AT, TAG_AT + 16);
  }

  test("computes Poly1305 for any key, however the carries fall", async () => {
    await fc.assert(
      fc.property(
        bytes(32),
        fc.oneof(fc.uint8Array({ maxLength: 300 }), extreme({ minLength: 0, maxLength: 300 })),
        (key, message) => {
          expect(tagOf(key, message)).toEqual(poly1305(message, key));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test("computes Poly1305 where the sum is the prime, and just around it", () => {
    // With r = 1 the sum is that of the blocks: 2^128 and what stands in each, chosen to meet 2^130 - 5.
    const r = (value: number): Uint8Array => concat(Uint8Array.of(value), new Uint8Array(31));
    const full = new Uint8Array(16).fill(0xff);
    for (const key of [r(1), r(2), r(4), r(0)]) {
      for (let low = 0xe0; low <= 0xff; low++) {
        const last = concat(Uint8Array.of(low), new Uint8Array(15).fill(0xff));
        for (const count of [0, 1, 2, 3, 4]) {
          const blocks = Array.from({ length: count }, () => full);
          for (const message of [
            concat(...blocks, last),
            concat(last, ...blocks),
            concat(...blocks, last, new Uint8Array(16)),
          ]) {
            expect(tagOf(key, message)).toEqual(poly1305(message, key));
          }
        }
      }
    }
    const most = new Uint8Array(32).fill(0xff);
    for (let count = 1; count < 40; count++) {
      const message = new Uint8Array(16 * count).fill(0xff);
      expect(tagOf(most, message)).toEqual(poly1305(message, most));
    }
  });

  test("computes Salsa20 for any state, in any number of groups", async () => {
    await fc.assert(
      fc.property(bytes(32), bytes(8), fc.integer({ min: 1, max: 9 }), (key, nonce, groups) => {
        const sigma = new TextEncoder().encode("expand 32-byte k");
        const state = concat(
          ...[sigma.subarray(0, 4), key.subarray(0, 16), sigma.subarray(4, 8), nonce],
          ...[new Uint8Array(8), sigma.subarray(8, 12), key.subarray(16), sigma.subarray(12)],
        );
        const plain = Uint8Array.from({ length: 256 * groups }, (_, i) => i * 31);
        module.memory.set(state, 0);
        module.memory.set(concat(plain, new Uint8Array(64)), BOX_AT);
        module.stream(BOX_AT, groups);
        const sealed = module.memory.slice(BOX_AT, BOX_AT + plain.length);
        expect(equal(sealed, salsa20(key, nonce, plain))).toBe(true);
        expect(
          isZero(module.memory.subarray(BOX_AT + plain.length, BOX_AT + plain.length + 64)),
        ).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe("which of the two", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.resetModules();
  });

  test("is one for all sessions", () => expect(secretBox()).toBe(secretBox()));

  test.each([
    ["there is no WebAssembly", undefined],
    [
      "it is forbidden",
      {
        Module: class {
          constructor() {
            throw new Error("the page's policy forbids it");
          }
        },
      },
    ],
  ])("is noble where %s, with the same bytes", async (_why, engine) => {
    vi.resetModules();
    vi.stubGlobal("WebAssembly", engine);
    const { secretBox: chosen, wasmSecretBox: make } = await import("../../src/shs/secretbox.ts");
    expect(make).toThrow();
    const key = new BoxKey(new Uint8Array(32).fill(1), new Uint8Array(24).fill(2));
    const plain = new Uint8Array(5_000).fill(3);
    expect(equal(seal(chosen(), key, plain), seal(secretBox(), key, plain))).toBe(true);
  });
});
