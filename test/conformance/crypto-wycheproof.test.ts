/**
 * Both crypto providers against project Wycheproof: the odd and hostile inputs other libraries fell for.
 *
 * The vectors are not part of this repository; TESTUDO_PUBLIC_VECTORS names the folder that has them,
 * and without it these tests are shown as skipped.
 */

import { describe, expect, it } from "vitest";
import { concat, toHex } from "../../packages/core/src/bytes.ts";
import { provider as noble } from "../../packages/core/src/crypto/noble.ts";
import { provider as node } from "../../packages/core/src/crypto/node.ts";
import type { CipherName } from "../../packages/core/src/crypto/types.ts";
import { loadPublic, NO_PUBLIC_VECTORS, publicVectors } from "../support/vectors.ts";
import { bytes } from "./crypto-vectors.ts";

interface Case {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly result: "valid" | "acceptable" | "invalid";
}
type Group<T, G> = G & { readonly tests: readonly (Case & T)[] };

function groups<T, G = object>(name: string): readonly Group<T, G>[] {
  return loadPublic<{ testGroups: readonly Group<T, G>[] }>(`wycheproof/${name}_test.json`)
    .testGroups;
}

const label = (test: Case): string => `case ${test.tcId} ${test.comment}`;
const missing = publicVectors() === undefined;

const reason = missing ? ` (${NO_PUBLIC_VECTORS})` : "";

describe.skipIf(missing).each([node, noble])(`Wycheproof, provider $name${reason}`, (provider) => {
  it("Ed25519", () => {
    let ran = 0;
    type Sets = { publicKey: { pk: string } };
    for (const group of groups<{ msg: string; sig: string }, Sets>("ed25519")) {
      for (const test of group.tests) {
        const key = bytes(group.publicKey.pk);
        const answer = provider.verify(key, bytes(test.msg), bytes(test.sig));
        expect(answer, label(test)).toBe(test.result === "valid");
        ran++;
      }
    }
    expect(ran).toBeGreaterThan(100);
  });

  it("X25519", () => {
    let ran = 0;
    for (const group of groups<{ public: string; private: string; shared: string }>("x25519")) {
      for (const test of group.tests) {
        const shared = provider.keyAgreement(bytes(test.private)).agree(bytes(test.public));
        const zero = test.flags.includes("ZeroSharedSecret");
        expect(shared && toHex(shared), label(test)).toBe(zero ? undefined : test.shared);
        ran++;
      }
    }
    expect(ran).toBeGreaterThan(400);
  });

  it.each<[string, CipherName]>([
    ["aes_gcm", "AESGCM"],
    ["chacha20_poly1305", "ChaChaPoly"],
  ])("%s", (file, cipher) => {
    let ran = 0;
    type Box = { key: string; iv: string; aad: string; msg: string; ct: string; tag: string };
    type Sizes = { ivSize: number; keySize: number; tagSize: number };
    for (const group of groups<Box, Sizes>(file)) {
      if (group.keySize !== 256 || group.tagSize !== 128) continue;
      for (const test of group.tests) {
        const aead = provider.aead(cipher, bytes(test.key));
        const [nonce, associated] = [bytes(test.iv), bytes(test.aad)];
        const sealed = [bytes(test.ct), bytes(test.tag)];
        ran++;
        if (group.ivSize !== 96) {
          expect(() => aead.open(nonce, associated, sealed), label(test)).toThrow(TypeError);
          continue;
        }
        const opened = aead.open(nonce, associated, sealed);
        if (test.result === "invalid") {
          expect(opened, label(test)).toBeUndefined();
        } else {
          expect(opened && toHex(concat(...opened)), label(test)).toBe(test.msg);
          const box = concat(...aead.seal(nonce, associated, [bytes(test.msg)]));
          expect(toHex(box), label(test)).toBe(test.ct + test.tag);
        }
      }
    }
    expect(ran).toBeGreaterThan(80);
  });

  it("HKDF over SHA-256", () => {
    let ran = 0;
    type Derived = { ikm: string; salt: string; info: string; size: number; okm: string };
    for (const group of groups<Derived>("hkdf_sha256")) {
      for (const test of group.tests) {
        const derive = (): string =>
          toHex(
            provider.hkdf("SHA256", bytes(test.ikm), bytes(test.salt), bytes(test.info), test.size),
          );
        if (test.result === "invalid") expect(derive, label(test)).toThrow(RangeError);
        else expect(derive(), label(test)).toBe(test.okm);
        ran++;
      }
    }
    expect(ran).toBeGreaterThan(80);
  });
});
