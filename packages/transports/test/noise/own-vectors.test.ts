/**
 * The project's own Noise vectors: the machine's, and the transform's, taken apart byte by byte.
 */

import { concat, Identity, type Side, toHex, toUtf8, verify, Wire } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { describe, expect, test } from "vitest";
import { loadOwn } from "../../../../test/support/vectors.ts";
import {
  makeNoise,
  type NoiseVectors,
  type TransformVector,
} from "../../../../test/vectors/make-noise.ts";
import { Handshake } from "../../src/noise/handshake.ts";
import { type NoiseSession, noise, noiseChacha } from "../../src/noise/index.ts";
import { parseProtocol } from "../../src/noise/patterns.ts";
import { play } from "./play.ts";
import { bytes, options, other, pipes } from "./support.ts";

const vectors = loadOwn<NoiseVectors>("noise.json");
const FACTORIES = { noise, "noise-chacha": noiseChacha };
const PROTOCOLS = {
  noise: "Noise_XX_25519_AESGCM_SHA256",
  "noise-chacha": "Noise_XX_25519_ChaChaPoly_SHA256",
};

test("the script still makes the same bytes", async () => {
  expect(await makeNoise()).toEqual(vectors);
});

test.each(vectors.machine.map((vector) => [vector.protocol_name, vector] as const))(
  "%s",
  (_name, vector) => play(vector),
);

describe.each(vectors.transform.map((vector) => [vector.name, vector] as const))(
  "transcript of %s",
  (name, vector) => {
    test.each(["dialer", "listener"] as const)(
      "the %s says its half and opens the other",
      async (side) => {
        const { session, written } = await oneSide(vector, side);
        const ours = vector.handshake.filter((_, i) => (i % 2 === 0) === (side === "dialer"));
        expect(written.map(toHex)).toEqual(ours);
        expect(toHex(session.offer)).toBe(vector[other(side)].offer);
        for (const { label, key } of vector.exported) {
          expect(toHex(session.exportKey(label))).toBe(key);
        }
        for (const { from, plain, sealed } of vector.boxes) {
          if (from === side) {
            const box = plain === "" ? session.end() : concat(...session.seal([bytes(plain)]));
            expect(toHex(box)).toBe(sealed);
          } else expect(toHex(concat(...session.open(bytes(sealed))))).toBe(plain);
        }
        expect(session.ended).toBe(true);
      },
    );

    test("is Noise XX with the documented prologue and payloads", () => {
      const machines = readers(vector, name as keyof typeof PROTOCOLS);
      const payloads = vector.handshake.map((hex, index) => {
        const wire = bytes(hex);
        expect((wire[0] as number) + 256 * (wire[1] as number)).toBe(wire.length - 2);
        return machines[index % 2 === 0 ? "listener" : "dialer"](wire.subarray(2));
      });
      expect(payloads[0]?.payload.length).toBe(0);
      for (const [role, side] of ["dialer", "listener"].entries()) {
        const { payload, hash } = payloads[role === 0 ? 2 : 1] as (typeof payloads)[0];
        const own = vector[side as Side];
        const key = Identity.fromSecret(bytes(own.identity)).publicKey;
        expect(payload.subarray(0, 32)).toEqual(key);
        expect(toHex(payload.subarray(96))).toBe(own.offer);
        const signed = concat(
          toUtf8("testudo/noise/1"),
          Uint8Array.of(role),
          hash,
          provider.keyAgreement(bytes(own.static)).publicKey,
          provider.hash("SHA256", bytes(own.offer)),
        );
        expect(verify(key, signed, payload.subarray(32, 96))).toBe(true);
      }
    });
  },
);

/** Runs the transform on one side, with the other side's messages taken from the vector. */
async function oneSide(
  vector: TransformVector,
  side: Side,
): Promise<{ session: NoiseSession; written: Uint8Array[] }> {
  const own = vector[side];
  const secrets = [bytes(own.static), bytes(own.ephemeral)];
  const make = FACTORIES[vector.name as keyof typeof FACTORIES];
  const transform = make({
    offer: bytes(own.offer),
    keyPair: () => provider.keyAgreement(secrets.shift()),
  });
  const over = pipes();
  for (const [index, message] of vector.handshake.entries()) {
    if ((index % 2 === 0) === (side === "listener")) over[other(side)].write(bytes(message));
  }
  const session = await transform.handshake(
    new Wire(over[side]),
    options(side, {
      identity: Identity.fromSecret(bytes(own.identity)),
      networkId: bytes(vector.network_id),
      chain: vector.chain,
    }),
  );
  return { session: session as NoiseSession, written: over.written[side] };
}

type Reader = (message: Uint8Array) => { payload: Uint8Array; hash: Uint8Array };

/** Two bare machines that read the transcript; each says again what its own side said. */
function readers(vector: TransformVector, name: keyof typeof PROTOCOLS): Record<Side, Reader> {
  const make = (side: Side): Handshake =>
    new Handshake({
      protocol: parseProtocol(PROTOCOLS[name]),
      side,
      prologue: concat(toUtf8("testudo/1"), bytes(vector.network_id), toUtf8(vector.chain)),
      staticKey: provider.keyAgreement(bytes(vector[side].static)),
      ephemeralKey: provider.keyAgreement(bytes(vector[side].ephemeral)),
    });
  const machines = { dialer: make("dialer"), listener: make("listener") };
  const last: Record<Side, Uint8Array> = { dialer: new Uint8Array(0), listener: new Uint8Array(0) };
  const reader =
    (side: Side): Reader =>
    (message) => {
      const from = machines[other(side)];
      const payload = machines[side].read(message);
      last[other(side)] = payload;
      expect(from.write(payload)).toEqual(message);
      return { payload, hash: machines[side].boundHash };
    };
  return { dialer: reader("dialer"), listener: reader("listener") };
}
