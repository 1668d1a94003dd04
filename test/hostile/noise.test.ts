/**
 * Noise under fire: handshake messages read by machines in the right state, and boxes opened by sessions of
 * known keys. How to ask for more inputs: fuzz.ts.
 *
 * Agreements between known keys are remembered, so that an input costs no more than what it is refused by.
 */

import { concat, EMPTY, equal, type NetworkError, type Side, toUtf8 } from "@testudo/core";
import { type CipherName, type KeyAgreement, provider } from "@testudo/core/crypto";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { CipherState, TAG_BYTES } from "../../packages/transports/src/noise/cipher.ts";
import { Handshake } from "../../packages/transports/src/noise/handshake.ts";
import { type Protocol, parseProtocol } from "../../packages/transports/src/noise/patterns.ts";
import { NoiseSession } from "../../packages/transports/src/noise/session.ts";
import { TestPipe } from "../support/pipes.ts";
import { ALICE, type End, EVE, NETWORK, run } from "../support/shaking.ts";
import {
  codeOf,
  fuzz,
  must,
  mustBe,
  mustEqual,
  mutate,
  PATIENCE_MS,
  type Random,
  RUNS,
  SESSIONS,
  turn,
} from "./fuzz.ts";
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

/** What somebody who speaks noise may put where the proof of a key belongs, and whether Eve's own is proved by it. */
function proof(
  random: Random,
  hash: Uint8Array,
  own: KeyAgreement,
  role: Side,
): { readonly payload: Uint8Array; readonly honest: boolean } {
  const claimed = random.pick([ALICE, EVE, EVE]);
  const wrong = random.below(8);
  const offer = random.bytes(random.length(900));
  const signed = concat(
    toUtf8("testudo/noise/1"),
    Uint8Array.of((role === "dialer") === (wrong !== 0) ? 0 : 1),
    wrong === 1 ? random.bytes(32) : hash,
    wrong === 2 ? statics.listener.publicKey : own.publicKey,
    provider.hash("SHA256", wrong === 3 ? random.bytes(1) : offer),
  );
  // Alice's hand is not for sale: what she signed elsewhere is the best that can be had.
  const elsewhere = claimed === ALICE && random.rarely(2);
  const signature = elsewhere ? ALICE.sign(random.bytes(142)) : EVE.sign(signed);
  const whole = concat(claimed.publicKey, signature, offer);
  const payload = wrong === 4 ? mutate(random, whole) : whole;
  return { payload, honest: claimed === EVE && wrong > 3 && equal(payload, whole) };
}

it(
  "from one who speaks noise: no key is taken for another's",
  async () => {
    const protocol = parseProtocol("Noise_XX_25519_AESGCM_SHA256");
    const prologue = concat(toUtf8("testudo/1"), NETWORK, toUtf8("chain"));
    const transform = noise({ keyPair: () => remembering(5) });
    const framed = (message: Uint8Array): Uint8Array =>
      concat(Uint8Array.of(message.length & 0xff, message.length >> 8), message);
    let taken = 0;
    await fuzz("noise impostors", {
      runs: Math.ceil(SESSIONS / 2),
      make: (random): Side => random.pick(["dialer", "listener"]),
      async check(role, random) {
        const [own, expected] = [remembering(6), random.pick([undefined, ALICE, EVE])];
        const eve = new Handshake({ protocol, side: role, prologue, staticKey: own });
        const pipe = new TestPipe(() => []);
        const side: Side = role === "dialer" ? "listener" : "dialer";
        const section =
          expected && side === "dialer" ? { section: transform.section(expected) } : {};
        const end: End = { pipe, rest: EMPTY };
        const shaking = run(() => transform, side, end, section);
        let honest = false;
        const prove = (hash: Uint8Array): Uint8Array => {
          const made = proof(random, hash, own, role);
          honest = made.honest;
          return made.payload;
        };
        if (role === "dialer") pipe.receive(framed(eve.write()));
        await turn();
        eve.read((pipe.sent[0] as Uint8Array).subarray(2));
        pipe.receive(framed(eve.write(prove)));
        pipe.disconnect();
        await shaking;
        const key = end.session?.remoteKey;
        const welcome = honest && (side === "listener" || expected !== ALICE);
        must((key !== undefined) === welcome, welcome ? "an honest proof was refused" : "taken");
        if (key === undefined) {
          mustBe((end.error as NetworkError).code, ["HANDSHAKE_FAILED", "PEER_UNEXPECTED"]);
        } else {
          taken++;
          mustEqual(key, EVE.publicKey, "proved");
        }
      },
    });
    if (taken > 1) expect(taken).toBeGreaterThan(SESSIONS / 50);
  },
  PATIENCE_MS,
);

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
            if (
              mustOpenHonestly(session(cipher, rekeyBoxes), said, bytes, random, "FRAME_MALFORMED")
            )
              whole++;
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
