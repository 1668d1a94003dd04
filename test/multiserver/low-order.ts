/**
 * Keys that nobody can hold: points of low order, where every agreement gives the same, and half a handshake
 * with them that is otherwise without fault.
 */

import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { concat } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { curvePublicKey } from "../../packages/transports/src/shs/curve.ts";
import { APP_KEY } from "./bastion.ts";
import type { Stranger } from "./ways.ts";

/** Of Curve25519, some of them in more than one writing. */
export const EPHEMERAL: readonly Uint8Array[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
].map((hex) => new Uint8Array(Buffer.from(hex, "hex")));

/** Of Ed25519: of the orders 1, 2, 4, 4, 8, 8, and no point at all. */
export const LONG_TERM: readonly Uint8Array[] = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "0200000000000000000000000000000000000000000000000000000000000000",
].map((hex) => new Uint8Array(Buffer.from(hex, "hex")));

/** A first message that whoever has the app key takes for one. */
export function challengeOf(ephemeral: Uint8Array): Uint8Array {
  return concat(provider.hmac("SHA512", APP_KEY, ephemeral).subarray(0, 32), ephemeral);
}

/** Shakes hands as a dialer that claims to hold `claim`, with the signature that such a key lets pass most easily. */
export async function claim(
  stranger: Stranger,
  listener: Uint8Array,
  key: Uint8Array,
): Promise<void> {
  const ephemeral = provider.keyAgreement();
  stranger.say(challengeOf(ephemeral.publicKey));
  while (stranger.heard.length < 64) {
    if (stranger.over) throw new Error("no answer to an honest challenge");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const ab = ephemeral.agree(stranger.heard.subarray(32, 64)) ?? new Uint8Array(32);
  const aB = ephemeral.agree(curvePublicKey(listener) ?? listener) ?? new Uint8Array(32);
  // R is the neutral element and S is 0: right for every message wherever a low order is not looked for.
  const signature = new Uint8Array(64);
  signature[0] = 1;
  const secret = provider.hash("SHA256", APP_KEY, ab, aB);
  stranger.say(xsalsa20poly1305(secret, new Uint8Array(24)).encrypt(concat(signature, key)));
}
