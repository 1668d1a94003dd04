/** Crypt: every packet of the vectors in both directions, node:crypto's own CFB beside ours, damaged and hostile packets. */

import { createDecipheriv } from "node:crypto";
import { toHex } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Crypt, cryptNames, MAX_PACKET_BYTES, makeCrypt } from "../../src/kcpgo/crypt.ts";
import { hex, nonces, vectors } from "./vectors.ts";

/** No module here carries them: their tables of thousands of bytes would be ours to write, for ciphers nobody should choose today. */
const UNSUPPORTED = ["blowfish", "twofish", "cast5"];

const KEY = Uint8Array.from({ length: 32 }, (_, i) => 7 * i + 3);
const NAMES = cryptNames();
const CHECKED = NAMES.filter((name) => name !== "null");

function sealed(crypt: Crypt, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(payload.length + crypt.overheadBytes);
  packet.set(payload, crypt.headerBytes);
  crypt.seal(packet);
  return packet;
}

describe("the vectors", () => {
  const supported = vectors.crypt.filter(({ cipher }) => !UNSUPPORTED.includes(cipher));

  it("name no cipher that is not made here, but those listed", () => {
    const refused = vectors.crypt.filter(({ cipher, key }) => {
      try {
        makeCrypt(cipher, hex(key));
        return false;
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        return true;
      }
    });
    expect(refused.map(({ cipher }) => cipher).toSorted()).toEqual(UNSUPPORTED.toSorted());
    expect(supported).toHaveLength(12);
  });

  it.each(supported)("are sealed byte for byte: $cipher", ({ cipher, key, header, packets }) => {
    const nonceBytes = (packets[0]?.nonce.length ?? 0) / 2;
    const crypt = makeCrypt(cipher, hex(key), nonces(nonceBytes));
    expect(crypt.headerBytes).toBe(header);
    for (const { plain, packet, nonce } of packets) {
      const made = toHex(sealed(crypt, hex(plain)));
      expect(made).toBe(packet);
      expect(nonce).toHaveLength(2 * nonceBytes);
    }
  });

  it.each(supported)("are opened: $cipher", ({ cipher, key, packets }) => {
    const crypt = makeCrypt(cipher, hex(key));
    for (const { plain, packet } of packets) {
      expect(toHex(crypt.open(hex(packet)) ?? new Uint8Array())).toBe(plain);
    }
  });
});

describe("cipher feedback by other modes", () => {
  const IV = hex("a7734f9c12ac1b01a415f2c1fc78e66b");
  const MODES = [
    ["aes-128", "aes-128-cfb", 16, 16],
    ["aes-192", "aes-192-cfb", 24, 16],
    ["aes", "aes-256-cfb", 32, 16],
    ["3des", "des-ede3-cfb", 24, 8],
    ["sm4", "sm4-cfb", 16, 16],
  ] as const;

  it.each(MODES)("is node:crypto's own, packet after packet: %s", (name, mode, keyBytes, block) => {
    const crypt = makeCrypt(name, KEY);
    const other = makeCrypt(name, KEY);
    const lengths = [20, 21, 31, 32, 33, 47, 48, 49, 1399, 1400, MAX_PACKET_BYTES];
    for (const length of [...lengths, ...lengths.toReversed()]) {
      for (const offset of [0, 1, 4]) {
        // A packet need not begin where memory is aligned.
        const packet = new Uint8Array(length + offset).subarray(offset).fill(length);
        crypt.seal(packet);
        const ours = packet.slice();
        const payload = new Uint8Array(length - 20).fill(length);
        expect(other.open(packet)).toEqual(payload);
        const theirs = createDecipheriv(mode, KEY.subarray(0, keyBytes), IV.subarray(0, block));
        expect(new Uint8Array(theirs.update(ours)).subarray(20)).toEqual(payload);
      }
    }
  });
});

describe("a crypt", () => {
  it.each(NAMES)("opens what it sealed, at any length: %s", (name) => {
    const crypt = makeCrypt(name, KEY);
    expect(crypt.name).toBe(name);
    expect(crypt.overheadBytes).toBe(crypt.headerBytes + crypt.tailBytes);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: MAX_PACKET_BYTES - 28 }), (payload) => {
        expect(crypt.open(sealed(crypt, payload))).toEqual(payload);
      }),
      { numRuns: 50 },
    );
  });

  it.each(CHECKED)("takes another nonce for each packet: %s", (name) => {
    const crypt = makeCrypt(name, KEY);
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) seen.add(toHex(sealed(crypt, KEY).subarray(0, 12)));
    expect(seen.size).toBe(200);
  });

  it.each(CHECKED)("drops what was damaged after the nonce, in silence: %s", (name) => {
    const crypt = makeCrypt(name, KEY);
    const packet = sealed(crypt, KEY);
    for (let at = 16; at < packet.length; at++) {
      const damaged = packet.slice();
      damaged[at] = (damaged[at] as number) ^ 0x40;
      expect(crypt.open(damaged)).toBeUndefined();
    }
    for (let length = 0; length < packet.length; length++) {
      expect(crypt.open(packet.slice(0, length))).toBeUndefined();
    }
    expect(crypt.open(packet)).toEqual(KEY);
  });

  it.each(NAMES)("survives hostile bytes, and honest ones open after them: %s", (name) => {
    const crypt = makeCrypt(name, KEY);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1600 }), (bytes) => {
        const opened = crypt.open(bytes.slice());
        if (name !== "null") expect(opened).toBeUndefined();
        expect(crypt.open(sealed(crypt, KEY))).toEqual(KEY);
      }),
      { numRuns: 300 },
    );
  });

  it.each(NAMES)("drops packets longer than any of kcp-go's: %s", (name) => {
    const crypt = makeCrypt(name, KEY);
    expect(crypt.open(new Uint8Array(MAX_PACKET_BYTES + 1))).toBeUndefined();
    expect(() => crypt.seal(new Uint8Array(MAX_PACKET_BYTES + 1))).toThrow(RangeError);
  });

  it.each(CHECKED)("wants room for what it adds: %s", (name) => {
    const crypt = makeCrypt(name, KEY);
    expect(() => crypt.seal(new Uint8Array(crypt.overheadBytes - 1))).toThrow(RangeError);
    const empty = new Uint8Array(crypt.overheadBytes);
    crypt.seal(empty);
    expect(crypt.open(empty)).toEqual(new Uint8Array());
  });

  it("is not opened by another key", () => {
    const other = KEY.map((byte) => byte ^ 2);
    for (const name of CHECKED.filter((one) => one !== "none")) {
      expect(makeCrypt(name, other).open(sealed(makeCrypt(name, KEY), KEY))).toBeUndefined();
    }
  });
});

describe("makeCrypt", () => {
  it("lists what there is when asked for what there is not", () => {
    expect(() => makeCrypt("rot13", KEY)).toThrow(TypeError);
    for (const name of NAMES) expect(() => makeCrypt("rot13", KEY)).toThrow(` ${name}`);
    expect(() => makeCrypt("toString", KEY)).toThrow(TypeError);
  });

  it("uses as much of the key as the cipher takes, and refuses less", () => {
    for (const [name, bytes] of [
      ["aes", 32],
      ["aes-128", 16],
      ["aes-192", 24],
      ["aes-128-gcm", 16],
      ["aes-192-gcm", 24],
      ["aes-256-gcm", 32],
      ["3des", 24],
      ["sm4", 16],
      ["salsa20", 32],
      ["tea", 16],
      ["xtea", 16],
      ["xor", 1],
    ] as const) {
      expect(() => makeCrypt(name, KEY.subarray(0, bytes - 1))).toThrow(RangeError);
      const packet = sealed(makeCrypt(name, KEY.subarray(0, bytes)), KEY);
      if (name !== "xor") expect(makeCrypt(name, KEY).open(packet)).toEqual(KEY);
    }
  });

  it("keeps its own copy of the key", () => {
    for (const name of CHECKED) {
      const key = KEY.slice();
      const crypt = makeCrypt(name, key);
      key.fill(0);
      expect(makeCrypt(name, KEY).open(sealed(crypt, KEY))).toEqual(KEY);
    }
  });

  it("calls aes-256 aes", () => {
    expect(makeCrypt("aes", KEY).open(sealed(makeCrypt("aes-256", KEY), KEY))).toEqual(KEY);
  });
});
