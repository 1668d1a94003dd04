import { describe, expect, test } from "vitest";
import { PATTERN_NAMES, parseProtocol } from "../../src/noise/patterns.ts";

function name(pattern: string): string {
  return `Noise_${pattern}_25519_AESGCM_SHA256`;
}

describe("parseProtocol", () => {
  test("takes a name apart", () => {
    expect(parseProtocol("Noise_IKpsk1_25519_ChaChaPoly_BLAKE2b")).toEqual({
      name: "Noise_IKpsk1_25519_ChaChaPoly_BLAKE2b",
      cipher: "ChaChaPoly",
      hash: "BLAKE2b",
      known: ["listener"],
      messages: [
        ["e", "es", "s", "ss", "psk"],
        ["e", "ee", "se"],
      ],
      psks: 1,
      oneWay: false,
    });
  });

  test("has the 3 one-way, 12 interactive and 23 deferred patterns", () => {
    const oneWay = PATTERN_NAMES.filter((pattern) => parseProtocol(name(pattern)).oneWay);
    const deferred = PATTERN_NAMES.filter((pattern) => pattern.includes("1"));
    expect(oneWay).toEqual(["N", "K", "X"]);
    expect(deferred.length).toBe(23);
    expect(PATTERN_NAMES.length).toBe(38);
  });

  test("puts psk0 before the first message and others behind theirs", () => {
    const { messages, psks } = parseProtocol(name("XXpsk0+psk1+psk3"));
    expect(messages).toEqual([
      ["psk", "e", "psk"],
      ["e", "ee", "s", "es"],
      ["s", "se", "psk"],
    ]);
    expect(psks).toBe(3);
  });

  test("does not share message lists between protocols", () => {
    parseProtocol(name("NNpsk0"));
    expect(parseProtocol(name("NN")).messages[0]).toEqual(["e"]);
  });

  test.each([
    "",
    "XX",
    name(""),
    name("XY"),
    name("ZZ"),
    name("toString"),
    name("XXpsk4"),
    name("XXpsk1+psk1"),
    name("XXpsk3+psk0"),
    name("XXfallback"),
    "Noise_XX_448_AESGCM_SHA256",
    "Noise_XX_25519_AESGCM_SHA1",
    "Noise_XX_25519_DES_SHA256",
    `${name("XX")}\n`,
    ` ${name("XX")}`,
  ])("refuses %j", (bad) => {
    expect(() => parseProtocol(bad)).toThrow(RangeError);
  });
});

/** What each pattern must do for any handshake to work; Noise §7.3's rules, read off the table. */
describe.each([...PATTERN_NAMES])("pattern %s", (pattern) => {
  const { messages, known } = parseProtocol(name(pattern));
  const all = messages.flat();

  test("says every token at most once, and `e` and `s` once a side", () => {
    for (const token of ["ee", "es", "se", "ss"] as const) {
      expect(all.filter((t) => t === token).length).toBeLessThanOrEqual(1);
    }
    for (const parity of [0, 1]) {
      const side = parity === 0 ? "dialer" : "listener";
      const said = messages.filter((_, index) => index % 2 === parity).flat();
      expect(said.filter((t) => t === "e").length).toBeLessThanOrEqual(1);
      const statics = said.filter((t) => t === "s").length + (known.includes(side) ? 1 : 0);
      expect(statics).toBeLessThanOrEqual(1);
    }
  });

  test("agrees on no key before both halves were sent", () => {
    const here = new Set(known.map((side) => `${side} s`));
    for (const [index, tokens] of messages.entries()) {
      const side = index % 2 === 0 ? "dialer" : "listener";
      for (const token of tokens) {
        if (token.length === 1) here.add(`${side} ${token}`);
        else {
          expect(here).toContain(`dialer ${token[0]}`);
          expect(here).toContain(`listener ${token[1]}`);
        }
      }
    }
  });
});
