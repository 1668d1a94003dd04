/** Keys: those of the vectors, and what is no password or number. */

import { toHex } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { KCPTUN_KEY, kcpgoKey } from "../../src/kcpgo/keys.ts";
import { vectors } from "./vectors.ts";

const { pbkdf2_example: readme, pbkdf2_kcptun: kcptun } = vectors.keys;

describe("kcpgoKey", () => {
  it("derives as the reference's README does, when nothing is said", () => {
    expect(toHex(kcpgoKey(readme.password))).toBe(readme.key);
  });

  it("derives as kcptun does, when told to", () => {
    expect(toHex(kcpgoKey(kcptun.password, KCPTUN_KEY))).toBe(kcptun.key);
    expect(KCPTUN_KEY).toEqual({ salt: kcptun.salt, iterations: kcptun.iterations });
  });

  it("takes salt, rounds and length", () => {
    const { salt, iterations, keylen } = kcptun;
    const key = kcpgoKey(kcptun.password, { salt, iterations, bytes: keylen / 2 });
    expect(toHex(key)).toBe(kcptun.key.slice(0, keylen));
  });

  it("refuses what is no password or number", () => {
    expect(() => kcpgoKey("")).toThrow(TypeError);
    for (const iterations of [0, 1.5, -1, Number.NaN, 10_000_001]) {
      expect(() => kcpgoKey("secret word", { iterations })).toThrow("iterations");
    }
    for (const bytes of [0, 1.5, 1025]) {
      expect(() => kcpgoKey("secret word", { bytes })).toThrow(RangeError);
    }
  });
});
