/**
 * Plays a vector of the public collections' shape through two Noise machines.
 */

import { type Side, toHex } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { expect } from "vitest";
import type { NoiseVector } from "../../../../test/support/vectors.ts";
import { Handshake } from "../../src/noise/handshake.ts";
import { parseProtocol } from "../../src/noise/patterns.ts";
import { bytes, joinedHex } from "./support.ts";

function machine(vector: NoiseVector, side: Side): Handshake {
  const ours = side === "dialer" ? "init" : "resp";
  const pair = (hex: string | undefined): KeyAgreement | undefined =>
    hex === undefined ? undefined : provider.keyAgreement(bytes(hex));
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

/** Plays a vector through both sides, and expects its bytes. */
export function play(vector: NoiseVector): void {
  const dialer = machine(vector, "dialer");
  const listener = machine(vector, "listener");
  const { messages, oneWay } = parseProtocol(vector.protocol_name);
  const handshake = vector.messages.slice(0, messages.length);
  for (const [index, { payload, ciphertext }] of handshake.entries()) {
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
