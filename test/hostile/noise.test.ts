/**
 * Noise under fire: handshake messages read by machines in the right state, and boxes opened by sessions of
 * known keys. How to ask for more inputs: fuzz.ts.
 *
 * Agreements between known keys are remembered, so that an input costs no more than what it is refused by.
 */

import { concat, EMPTY, equal, type Side } from "@testudo/core";
import type { CipherName, KeyAgreement } from "@testudo/core/crypto";
import { describe, expect, it } from "vitest";
import { CipherState, TAG_BYTES } from "../../packages/transports/src/noise/cipher.ts";
import { Handshake } from "../../packages/transports/src/noise/handshake.ts";
import { type Protocol, parseProtocol } from "../../packages/transports/src/noise/patterns.ts";
import { NoiseSession } from "../../packages/transports/src/noise/session.ts";
import { codeOf, fuzz, must, mustBe, mustEqual, mutate, PATIENCE_MS, RUNS } from "./fuzz.ts";
import { lowPoint, meddle, mustOpenHonestly, remembering, say } from "./sealed.ts";

const statics: Readonly<Record<Side, KeyAgreement>> = {
  dialer: remembering(1),
  listener: remembering(2),
};
const ephemerals: Readonly<Record<Side, KeyAgreement>> = {
  dialer: remembering(3),
  listener: remembering(4),
};

/** A protocol with one honest run of it: the same keys give the same messages every time. */
interface Recording {
  readonly protocol: Protocol;
  readonly messages: readonly Uint8Array[];
  readonly payloads: readonly Uint8Array[];
}

function machine(protocol: Protocol, side: Side): Handshake {
  const other = side === "dialer" ? "listener" : "dialer";
  return new Handshake({
    protocol,
    side,
    prologue: Uint8Array.of(9),
    staticKey: statics[side],
    ephemeralKey: ephemerals[side],
    psks: Array.from({ length: protocol.psks }, () => new Uint8Array(32).fill(7)),
    ...(protocol.known.includes(other) ? { remoteStatic: statics[other].publicKey } : {}),
  });
}

const writerOf = (index: number): Side => (index % 2 === 0 ? "dialer" : "listener");
const readerOf = (index: number): Side => writerOf(index + 1);

function record(name: string): Recording {
  const protocol = parseProtocol(name);
  const ends = { dialer: machine(protocol, "dialer"), listener: machine(protocol, "listener") };
  const payloads = protocol.messages.map((_, index) => new Uint8Array(index * 20).fill(index));
  const messages = payloads.map((payload, index) => {
    const message = ends[writerOf(index)].write(payload);
    mustEqual(ends[readerOf(index)].read(message), payload, "payload");
    return message;
  });
  return { protocol, messages, payloads };
}

/** A machine that has come as far as to read message `index`. */
function prepared({ protocol, messages, payloads }: Recording, index: number): Handshake {
  const side = readerOf(index);
  const handshake = machine(protocol, side);
  for (let at = 0; at < index; at++) {
    if (writerOf(at) === side) handshake.write(payloads[at] as Uint8Array);
    else handshake.read(messages[at] as Uint8Array);
  }
  return handshake;
}

describe("noise handshake messages", () => {
  for (const [name, share] of [
    ["Noise_XX_25519_AESGCM_SHA256", 1],
    ["Noise_XX_25519_ChaChaPoly_SHA256", 1 / 8],
    ["Noise_IKpsk2_25519_AESGCM_SHA512", 1 / 16],
    ["Noise_NN_25519_ChaChaPoly_BLAKE2s", 1 / 8],
  ] as const) {
    it(
      `${name}: read as sent, or HANDSHAKE_FAILED and dead`,
      async () => {
        const recording = record(name);
        const { messages, payloads } = recording;
        let read = 0;
        await fuzz(name, {
          runs: Math.ceil(RUNS * share),
          make(random) {
            const index = random.below(messages.length);
            const honest = messages[index] as Uint8Array;
            const kind = random.below(8);
            if (kind === 0) return { index, message: random.bytes(random.length(300)) };
            // A message of another place, a low point in front, or the honest one hurt.
            if (kind === 1) return { index, message: mutate(random, random.pick(messages)) };
            if (kind === 2)
              return { index, message: concat(lowPoint(random), honest.subarray(32)) };
            return { index, message: mutate(random, honest) };
          },
          check({ index, message }) {
            const honest = messages[index] as Uint8Array;
            const handshake = prepared(recording, index);
            const secret = handshake.hash;
            let payload: Uint8Array = EMPTY;
            const code = codeOf(() => {
              payload = handshake.read(message);
            });
            mustBe(code, [undefined, "HANDSHAKE_FAILED"]);
            if (code !== undefined) {
              mustDie(handshake);
            } else if (equal(message, honest)) {
              read++;
              mustEqual(payload, payloads[index] as Uint8Array, "payload");
            } else {
              // Only the part of a first message that no key protects can be changed unnoticed, and then
              // the two ends no longer share a hash.
              must(index === 0 && !name.includes("IK"), "accepted");
              must(!equal(handshake.hash, secret), "the hash did not move");
            }
          },
        });
        if (read !== 1) expect(read).toBeGreaterThan(10);
      },
      PATIENCE_MS,
    );
  }
});

function mustDie(handshake: Handshake): void {
  for (const use of [
    () => handshake.write(),
    () => handshake.read(EMPTY),
    () => handshake.split(),
  ]) {
    let refused = false;
    try {
      use();
    } catch (error) {
      refused = error instanceof TypeError;
    }
    must(refused, "a failed handshake went on");
  }
}

describe("noise boxes", () => {
  const key = new Uint8Array(32).fill(8);
  const remoteKey = new Uint8Array(32);

  function session(cipher: CipherName, rekeyBoxes: number): NoiseSession {
    const keys = {
      seal: new CipherState(cipher, key),
      open: new CipherState(cipher, key),
      exporter: new Uint8Array(32),
    };
    const rekey = { boxes: rekeyBoxes, bytes: 2 ** 36 };
    return new NoiseSession({ keys, handshakeHash: key, remoteKey, offer: EMPTY, rekey });
  }

  for (const [cipher, share] of [
    ["AESGCM", 1],
    ["ChaChaPoly", 1 / 8],
  ] as const) {
    it(
      `${cipher}: plaintext in order up to the first fault, then FRAME_MALFORMED for ever`,
      async () => {
        const rekeyBoxes = 3;
        const small = say(session(cipher, rekeyBoxes), [1, 40, 300]);
        const large = say(session(cipher, rekeyBoxes), [9_000, 65_519, 5]);
        let whole = 0;
        await fuzz(`${cipher} boxes`, {
          runs: Math.ceil(RUNS * share),
          make(random) {
            const said = random.rarely(200) ? large : small;
            return { said, bytes: meddle(random, said.boxes) };
          },
          check({ said, bytes }, random) {
            if (mustOpenHonestly(session(cipher, rekeyBoxes), said, bytes, random)) whole++;
          },
        });
        if (whole !== 1) expect(whole).toBeGreaterThan(10);
      },
      PATIENCE_MS,
    );
  }

  it("a length below a tag is refused before a byte more is waited for", () => {
    for (let length = 0; length < TAG_BYTES; length++) {
      expect(codeOf(() => void session("AESGCM", 3).open(Uint8Array.of(length, 0)))).toBe(
        "FRAME_MALFORMED",
      );
    }
  });
});
