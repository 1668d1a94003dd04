/**
 * Noise patterns: which public keys are known beforehand, and which tokens each message carries.
 *
 * Noise Protocol Framework revision 34: one-way patterns (§7.4), interactive patterns (§7.5), deferred
 * patterns (§18.1), `psk` modifiers (§9). Only data and its reader; nothing here touches a key.
 * Noise's initiator is our dialer, its responder our listener.
 */

import type { Side } from "@testudo/core";
import type { CipherName, HashName } from "@testudo/core/crypto";

export type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk";

/** A protocol name taken apart. Immutable; read it once and use it for every handshake. */
export interface Protocol {
  /** `Noise_XX_25519_AESGCM_SHA256`. */
  readonly name: string;
  readonly cipher: CipherName;
  readonly hash: HashName;
  /** Whose static key the other side knows before the first message, in the order they are hashed. */
  readonly known: readonly Side[];
  /** One list of tokens a message; the dialer sends the first, then they alternate. */
  readonly messages: readonly (readonly Token[])[];
  /** How many pre-shared keys the tokens use up. */
  readonly psks: number;
  /** Only the dialer may send after the handshake. */
  readonly oneWay: boolean;
}

/** `>s` and `<s`: the dialer's, the listener's static key is known. Messages stand between semicolons. */
const PATTERNS: Readonly<Record<string, string>> = {
  N: "<s | e es",
  K: ">s <s | e es ss",
  X: "<s | e es s ss",

  NN: "e; e ee",
  NK: "<s | e es; e ee",
  NX: "e; e ee s es",
  KN: ">s | e; e ee se",
  KK: ">s <s | e es ss; e ee se",
  KX: ">s | e; e ee se s es",
  XN: "e; e ee; s se",
  XK: "<s | e es; e ee; s se",
  XX: "e; e ee s es; s se",
  IN: "e s; e ee se",
  IK: "<s | e es s ss; e ee se",
  IX: "e s; e ee se s es",

  NK1: "<s | e; e ee es",
  NX1: "e; e ee s; es",
  X1N: "e; e ee; s; se",
  X1K: "<s | e es; e ee; s; se",
  XK1: "<s | e; e ee es; s se",
  X1K1: "<s | e; e ee es; s; se",
  X1X: "e; e ee s es; s; se",
  XX1: "e; e ee s; es s se",
  X1X1: "e; e ee s; es s; se",
  K1N: ">s | e; e ee; se",
  K1K: ">s <s | e es; e ee; se",
  KK1: ">s <s | e; e ee se es",
  K1K1: ">s <s | e; e ee es; se",
  K1X: ">s | e; e ee s es; se",
  KX1: ">s | e; e ee se s; es",
  K1X1: ">s | e; e ee s; se es",
  I1N: "e s; e ee; se",
  I1K: "<s | e es s; e ee; se",
  IK1: "<s | e s; e ee se es",
  I1K1: "<s | e s; e ee es; se",
  I1X: "e s; e ee s es; se",
  IX1: "e s; e ee se s; es",
  I1X1: "e s; e ee s; se es",
};

const NAME =
  /^Noise_([A-Z0-9]+)(?:(psk\d(?:\+psk\d)*))?_25519_(AESGCM|ChaChaPoly)_(SHA256|SHA512|BLAKE2s|BLAKE2b)$/;

/** The names of the patterns, without modifiers. */
export const PATTERN_NAMES: readonly string[] = Object.keys(PATTERNS);

/** Reads `Noise_XXpsk3_25519_AESGCM_SHA256`. Throws `RangeError` for a name it does not know. */
export function parseProtocol(name: string): Protocol {
  const [, base = "", modifiers, cipher, hash] = NAME.exec(name) ?? [];
  const pattern = Object.hasOwn(PATTERNS, base) ? PATTERNS[base] : undefined;
  if (pattern === undefined) throw unknown(name);
  const [before, after] = pattern.includes("|") ? pattern.split("|") : ["", pattern];
  const messages = (after as string).split(";").map((text) => words(text) as Token[]);
  const psks = modifiers?.split("+").map((modifier) => Number(modifier.slice(3))) ?? [];
  for (const [index, place] of psks.entries()) {
    // Ascending, so that one protocol has one name.
    if (place > messages.length || place <= (psks[index - 1] ?? -1)) throw unknown(name);
    if (place === 0) messages[0]?.unshift("psk");
    else messages[place - 1]?.push("psk");
  }
  return Object.freeze({
    name,
    cipher: cipher as CipherName,
    hash: hash as HashName,
    known: words(before as string).map((key) => (key === ">s" ? "dialer" : "listener")),
    messages,
    psks: psks.length,
    oneWay: messages.length === 1,
  });
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

function unknown(name: string): RangeError {
  return new RangeError(`protocol ${JSON.stringify(name)} is not one this engine knows`);
}
