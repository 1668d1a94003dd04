/** Keys of its own: every form a program of multiserver's kind has them in, and nothing that is not a pair. */

import { concat, Identity, type Section, section, type Transform, toBase64 } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { type ShsKeys, shs } from "../../src/shs/index.ts";
import { bob, carol, dialling, finish, session } from "./call.ts";

const secretKey = carol.secret();
const { publicKey } = carol;
const ssb = {
  curve: "ed25519",
  public: `${toBase64(publicKey)}.ed25519`,
  private: `${toBase64(secretKey)}.ed25519`,
  id: `@${toBase64(publicKey)}.ed25519`,
} as const;
const { id: _id, ...withoutId } = ssb;

const forms: [string, ShsKeys][] = [
  ["an identity", carol],
  ["libsodium's pair", { publicKey, secretKey }],
  ["what ssb-keys loads", ssb],
  ["what ssb-keys keeps, without the id", withoutId],
];

/** As a stack does it: what the transform has of its own is handed to its handshake. */
async function ends(dialer: Transform, listener: Transform, to: Section) {
  const identity = (transform: Transform, node: Identity): Identity => transform.identity ?? node;
  return finish({
    transforms: [dialer, listener],
    identities: [
      identity(dialer, Identity.fromSecret(new Uint8Array(32).fill(1))),
      identity(listener, bob),
    ],
    section: to,
  });
}

describe("keys", () => {
  test.each(forms)("are taken from %s", async (_form, keys) => {
    const own = shs({ keys });
    expect(own.identity?.id.text).toBe(carol.id.text);
    expect(own.section(bob).text).toBe(`shs:${carol.id.text}`);
    const dialled = await ends(own, shs(), shs().section(bob));
    expect(session(dialled.listener).remoteKey).toEqual(carol.publicKey);
    const listened = await ends(shs(), own, own.section(bob));
    expect(session(listened.dialer).remoteKey).toEqual(carol.publicKey);
  });

  test("are the node's when none are given", () => {
    expect(shs().identity).toBeUndefined();
    expect(shs().section(bob).text).toBe(`shs:${bob.id.text}`);
  });

  test("of an invite win over them", async () => {
    const seed = toBase64(new Uint8Array(32).fill(8));
    const { listener } = await ends(
      shs({ keys: carol }),
      shs(),
      dialling(toBase64(bob.publicKey), seed),
    );
    const invited = Identity.fromSecret(new Uint8Array(32).fill(8));
    expect(session(listener).remoteKey).toEqual(invited.publicKey);
  });

  const other = bob.secret();
  test.each<[string, unknown]>([
    ["nothing", null],
    ["a text", ssb.private],
    ["an empty object", {}],
    ["bytes", secretKey],
    ["a public key alone", { publicKey }],
    ["a secret key alone", { secretKey }],
    ["a seed in place of the secret key", { publicKey, secretKey: secretKey.subarray(0, 32) }],
    ["a public key too long", { publicKey: concat(publicKey, publicKey), secretKey }],
    ["numbers", { publicKey: [...publicKey], secretKey: [...secretKey] }],
    ["another's public key", { publicKey: bob.publicKey, secretKey }],
    [
      "a secret of two halves",
      { publicKey, secretKey: concat(secretKey.subarray(0, 32), other.subarray(32)) },
    ],
    [
      "both halves wrong the same way",
      { publicKey: bob.publicKey, secretKey: concat(secretKey.subarray(0, 32), bob.publicKey) },
    ],
    ["another curve", { ...ssb, curve: "k256" }],
    ["another's text", { ...withoutId, public: `${toBase64(bob.publicKey)}.ed25519` }],
    ["another's id", { ...ssb, id: `@${toBase64(bob.publicKey)}.ed25519` }],
    ["no base64", { ...ssb, private: "!" }],
    ["a text too short", { ...ssb, private: `${toBase64(secretKey.subarray(0, 32))}.ed25519` }],
    ["no private half", { curve: "ed25519", public: ssb.public }],
  ])("are refused when they are %s, and not shown", (_what, keys) => {
    let thrown: unknown;
    try {
      shs({ keys: keys as ShsKeys });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    expect(String(thrown)).toMatch(/^TypeError: shs keys must be/);
    for (const secret of [toBase64(secretKey), toBase64(secretKey.subarray(0, 32))]) {
      expect(String(thrown)).not.toContain(secret.slice(0, 20));
    }
  });
});

describe("what can be refused without doing anything", () => {
  const key = toBase64(bob.publicKey);
  const seed = toBase64(secretKey.subarray(0, 32));
  const check = (side: "dialer" | "listener", ...args: string[]): void =>
    shs().check?.(section("shs", ...args), side);

  test("dialling wants a key that somebody can hold, and a seed of 32 bytes if any", () => {
    check("dialer", key);
    check("dialer", ` @${key}.ed25519 `);
    check("dialer", key, seed);
    check("dialer", key, seed.replace("=", ""), "more");
  });

  test.each([
    ["no key", []],
    ["an empty key", [""]],
    ["a key too short", ["AAAA"]],
    ["nobody's key", [toBase64(new Uint8Array(32))]],
    ["an empty seed", [key, ""]],
    ["a seed too short", [key, "AAAA"]],
    ["a seed that is a whole secret", [key, toBase64(secretKey)]],
    ["a bad key before a seed", ["AAAA", seed]],
  ])("dialling refuses %s", (_what, args) => {
    const act = (): void => check("dialer", ...args);
    expect(act).toThrow(expect.objectContaining({ code: "ADDRESS_MALFORMED" }));
    expect(act).not.toThrow(seed);
  });

  test("listening wants no key, or one that can be read, and no seed", () => {
    check("listener");
    check("listener", key);
    for (const args of [[""], ["AAAA"], [key, ""], [key, seed]]) {
      const act = (): void => check("listener", ...args);
      expect(act).toThrow(expect.objectContaining({ code: "ADDRESS_MALFORMED" }));
      expect(act).not.toThrow(seed);
    }
  });
});
