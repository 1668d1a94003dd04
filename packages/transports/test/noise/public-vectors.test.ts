/**
 * The Noise engine against the public collections cacophony and snow: every vector on X25519, both sides.
 */

import { fromHex, type Side, toHex } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { describe, expect, test } from "vitest";
import {
  NO_PUBLIC_VECTORS,
  type NoiseVector,
  noiseVectors,
  publicVectors,
} from "../../../../test/support/vectors.ts";
import { Handshake } from "../../src/noise/handshake.ts";
import { parseProtocol } from "../../src/noise/patterns.ts";

const COUNTS = { cacophony: 472, snow: 408 } as const;

function bytes(hex: string): Uint8Array {
  const decoded = fromHex(hex);
  if (decoded === undefined) throw new Error(`not hex: ${hex}`);
  return decoded;
}

function pair(hex: string | undefined): KeyAgreement | undefined {
  return hex === undefined ? undefined : provider.keyAgreement(bytes(hex));
}

function side(vector: NoiseVector, side: Side): Handshake {
  const ours = side === "dialer" ? "init" : "resp";
  const staticKey = pair(vector[`${ours}_static`]);
  const ephemeralKey = pair(vector[`${ours}_ephemeral`]);
  const remoteStatic = vector[`${ours}_remote_static`];
  return new Handshake({
    protocol: parseProtocol(vector.protocol_name),
    side,
    prologue: bytes(vector[`${ours}_prologue`]),
    psks: (vector[`${ours}_psks`] ?? []).map(bytes),
    ...(staticKey === undefined ? {} : { staticKey }),
    ...(ephemeralKey === undefined ? {} : { ephemeralKey }),
    ...(remoteStatic === undefined ? {} : { remoteStatic: bytes(remoteStatic) }),
  });
}

function joinedHex(pieces: readonly Uint8Array[]): string {
  return pieces.map(toHex).join("");
}

/** Plays the vector through both sides. */
function play(vector: NoiseVector): void {
  const dialer = side(vector, "dialer");
  const listener = side(vector, "listener");
  const { messages, oneWay } = parseProtocol(vector.protocol_name);
  for (const [index, { payload, ciphertext }] of vector.messages
    .slice(0, messages.length)
    .entries()) {
    const [from, to] = index % 2 === 0 ? [dialer, listener] : [listener, dialer];
    expect(toHex(from.write(bytes(payload)))).toBe(ciphertext);
    expect(toHex(to.read(bytes(ciphertext)))).toBe(payload);
  }
  expect(toHex(dialer.hash)).toBe(toHex(listener.hash));
  if (vector.handshake_hash !== undefined) expect(toHex(dialer.hash)).toBe(vector.handshake_hash);
  const keys = { dialer: dialer.split(), listener: listener.split() };
  expect(toHex(keys.dialer.exporter)).toBe(toHex(keys.listener.exporter));
  for (const [index, { payload, ciphertext }] of vector.messages.entries()) {
    if (index < messages.length) continue;
    const forward = oneWay || index % 2 === 0;
    const [from, to] = forward ? [keys.dialer, keys.listener] : [keys.listener, keys.dialer];
    const none = new Uint8Array(0);
    expect(joinedHex(from.seal.seal(none, [bytes(payload)]))).toBe(ciphertext);
    expect(joinedHex(to.open.open(none, [bytes(ciphertext)]) ?? [])).toBe(payload);
  }
}

const available = publicVectors() !== undefined;

describe.skipIf(!available)("public vectors on X25519", () => {
  for (const collection of ["cacophony", "snow"] as const) {
    test(`${collection}: all ${COUNTS[collection]}`, { timeout: 60_000 }, () => {
      const vectors = noiseVectors(collection).filter((v) => v.protocol_name.includes("_25519_"));
      expect(vectors.length).toBe(COUNTS[collection]);
      for (const vector of vectors) {
        try {
          play(vector);
        } catch (error) {
          throw new Error(`${collection} ${vector.protocol_name}`, { cause: error });
        }
      }
    });
  }
});

test.skipIf(available)(`public vectors: ${NO_PUBLIC_VECTORS}`, (context) => {
  context.skip(NO_PUBLIC_VECTORS);
});
