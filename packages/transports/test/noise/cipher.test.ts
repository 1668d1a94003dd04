import { concat, NetworkError } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { describe, expect, test } from "vitest";
import { CipherState } from "../../src/noise/cipher.ts";
import { bytes, joinedHex, secret } from "./support.ts";

const NONE = new Uint8Array(0);
const PLAIN = bytes("0102030405");
const LAST = (1n << 64n) - 1n;

describe.each(["AESGCM", "ChaChaPoly"] as const)("CipherState %s", (name) => {
  const key = secret("cipher");
  const aead = provider.aead(name, key);

  function nonce(value: bigint): Uint8Array {
    const digits = value.toString(16).padStart(16, "0");
    const big = bytes(digits);
    return concat(new Uint8Array(4), name === "AESGCM" ? big : big.reverse());
  }

  test.each([
    0n,
    1n,
    0xffn,
    0x100n,
    0xffff_ffffn,
    0x1_0000_0000n,
    0x0102_0304_0506_0708n,
    LAST - 1n,
  ])("seals under nonce %d as §12 lays it out", (value) => {
    const cipher = new CipherState(name, key);
    cipher.nonce = value;
    expect(cipher.nonce).toBe(value);
    const expected = aead.seal(nonce(value), PLAIN, [PLAIN]);
    expect(joinedHex(cipher.seal(PLAIN, [PLAIN]))).toBe(joinedHex(expected));
    expect(cipher.nonce).toBe(value + 1n);
  });

  test("counts over every carry", () => {
    const cipher = new CipherState(name, key);
    for (const value of [0xfen, 0xffn, 0xfffen, 0xffffn, 0xff_ffffn, 0xff_ffff_ffffn, LAST >> 8n]) {
      cipher.nonce = value;
      cipher.seal(NONE, []);
      expect(cipher.nonce).toBe(value + 1n);
    }
  });

  test("never uses nonce 2^64-1", () => {
    const cipher = new CipherState(name, key);
    cipher.nonce = LAST - 1n;
    cipher.seal(NONE, [PLAIN]);
    const exhausted = expect.objectContaining({ code: "STREAM_CLOSED" });
    expect(() => cipher.seal(NONE, [PLAIN])).toThrow(exhausted);
    expect(() => cipher.open(NONE, aead.seal(nonce(LAST), NONE, [PLAIN]))).toThrow(NetworkError);
    expect(cipher.nonce).toBe(LAST);
  });

  test("refuses a nonce outside 64 bits", () => {
    const cipher = new CipherState(name, key);
    for (const value of [-1n, LAST + 1n]) {
      expect(() => {
        cipher.nonce = value;
      }).toThrow(RangeError);
    }
  });

  test("a forged box uses up no nonce", () => {
    const cipher = new CipherState(name, key);
    const box = concat(...aead.seal(nonce(0n), NONE, [PLAIN]));
    const forged = box.slice();
    forged[0] = (forged[0] as number) ^ 1;
    expect(cipher.open(NONE, [forged])).toBeUndefined();
    expect(cipher.nonce).toBe(0n);
    expect(joinedHex(cipher.open(NONE, [box]) ?? [])).toBe("0102030405");
  });

  test("rekey follows §4.2 and lets the nonce go on", () => {
    const cipher = new CipherState(name, key);
    cipher.nonce = 7n;
    cipher.rekey();
    expect(cipher.nonce).toBe(7n);
    const made = concat(...aead.seal(nonce(LAST), NONE, [new Uint8Array(32)])).subarray(0, 32);
    const expected = provider.aead(name, made).seal(nonce(7n), NONE, [PLAIN]);
    expect(joinedHex(cipher.seal(NONE, [PLAIN]))).toBe(joinedHex(expected));
  });
});
