/**
 * Secret-handshake under fire: each of its four messages at a step that waits for it, from strangers and from
 * one who knows the app key; and its box stream. How to ask for more inputs: fuzz.ts.
 */

import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { concat, equal, Identity } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { describe, expect, it } from "vitest";
import { BoxStream } from "../../packages/transports/src/shs/box-stream.ts";
import { curveAgreement, curvePublicKey } from "../../packages/transports/src/shs/curve.ts";
import {
  dialerHandshake,
  type LongTermKeys,
  listenerHandshake,
  type SessionSecrets,
} from "../../packages/transports/src/shs/handshake.ts";
import { codeOf, fuzz, must, mustBe, mustEqual, mutate, PATIENCE_MS, SESSIONS } from "./fuzz.ts";
import { lowPoint, meddle, mustOpenHonestly, remembering, say } from "./sealed.ts";

const appKey = new Uint8Array(32).fill(9);
const [alice, bob, mallory] = [1, 2, 3].map((byte) =>
  Identity.fromSecret(new Uint8Array(32).fill(byte)),
) as [Identity, Identity, Identity];

function keysOf(
  identity: Identity,
  byte: number,
): { appKey: Uint8Array; own: LongTermKeys; ephemeral: KeyAgreement } {
  return {
    appKey,
    own: {
      publicKey: identity.publicKey,
      sign: (message) => identity.sign(message),
      agreement: remembering(curveAgreement(identity.secret().subarray(0, 32))),
    },
    ephemeral: remembering(byte),
  };
}

// Every step is a function of what it was given, so that one honest run serves all inputs.
const dialer = dialerHandshake(keysOf(alice, 11), bob.publicKey);
const listener = listenerHandshake(keysOf(bob, 12));
const answered = listener.answer(dialer.challenge);
const proved = dialer.prove(answered.challenge);
const verified = answered.verify(proved.proof);
const accepted = verified.accept();

describe("secret-handshake messages", () => {
  interface Message {
    readonly honest: Uint8Array;
    readonly read: (bytes: Uint8Array) => unknown;
  }
  const messages: readonly Message[] = [
    { honest: dialer.challenge, read: (bytes) => listener.answer(bytes) },
    { honest: answered.challenge, read: (bytes) => dialer.prove(bytes) },
    { honest: proved.proof, read: (bytes) => answered.verify(bytes) },
    { honest: accepted.acceptance, read: (bytes) => proved.finish(bytes) },
  ];

  it(
    "from a stranger: as sent, or HANDSHAKE_FAILED",
    async () => {
      const read = new Set<number>();
      await fuzz("secret-handshake messages", {
        make(random) {
          const index = random.below(messages.length);
          const kind = random.below(8);
          if (kind === 0) return { index, bytes: random.bytes(random.length(200)) };
          const from = kind === 1 ? random.pick(messages) : (messages[index] as Message);
          return { index, bytes: mutate(random, from.honest) };
        },
        check({ index, bytes }, random) {
          const { honest, read: reader } = messages[index] as Message;
          const same = equal(bytes, honest);
          // The honest ones cost signatures, and prove little more the thousandth time.
          if (same && !random.rarely(30)) return;
          const code = codeOf(() => void reader(bytes));
          if (code === undefined) read.add(index);
          mustBe(code, [acceptable(index, bytes) ? undefined : "HANDSHAKE_FAILED"]);
        },
      });
      if (read.size > 1) expect(read.size).toBe(messages.length);
    },
    PATIENCE_MS,
  );

  /** A first message is anybody's who knows the app key: the other's second one, too. It proves nothing yet. */
  function acceptable(index: number, bytes: Uint8Array): boolean {
    const { honest } = messages[index] as Message;
    return equal(bytes, honest) || (index === 0 && equal(bytes, answered.challenge));
  }

  it(
    "from one who knows the app key: no key is taken for another's",
    async () => {
      const hers = keysOf(mallory, 13);
      await fuzz("secret-handshake impostors", {
        runs: SESSIONS,
        make: (random) => ({
          // Low points, random points, and her own.
          ephemeral: random.pick([lowPoint(random), random.bytes(32), hers.ephemeral.publicKey]),
          claim: mutate(
            random,
            random.pick([alice.publicKey, mallory.publicKey, random.bytes(32)]),
          ),
          signed: random.pick([bob.publicKey, alice.publicKey]),
        }),
        check({ ephemeral, claim, signed }) {
          const mac = provider.hmac("SHA512", appKey, ephemeral).subarray(0, 32);
          const code = codeOf(() => {
            const answer = listener.answer(concat(mac, ephemeral));
            const ab = hers.ephemeral.agree(answer.challenge.subarray(32)) as Uint8Array;
            const aB = hers.ephemeral.agree(
              curvePublicKey(bob.publicKey) as Uint8Array,
            ) as Uint8Array;
            const hab = provider.hash("SHA256", ab);
            const hello = concat(mallory.sign(concat(appKey, signed, hab)), claim);
            const key = provider.hash("SHA256", appKey, ab, aB);
            const proof = xsalsa20poly1305(key, new Uint8Array(24)).encrypt(hello);
            mustEqual(answer.verify(proof).remoteKey, mallory.publicKey, "proved");
            must(
              equal(claim, mallory.publicKey) && signed === bob.publicKey,
              "a wrong statement was taken",
            );
          });
          mustBe(code, [undefined, "HANDSHAKE_FAILED"]);
        },
      });
    },
    PATIENCE_MS,
  );
});

describe("box stream", () => {
  /** The dialer's end seals what `open` opens. */
  const secrets: { readonly seal: SessionSecrets; readonly open: SessionSecrets } = {
    seal: proved.finish(accepted.acceptance),
    open: accepted.secrets,
  };

  it(
    "plaintext in order up to the first fault, then FRAME_MALFORMED for ever",
    async () => {
      const small = say(new BoxStream(secrets.seal, bob.publicKey), [1, 40, 300]);
      const large = say(new BoxStream(secrets.seal, bob.publicKey), [4_096, 4_000, 5]);
      let whole = 0;
      await fuzz("box stream", {
        make(random) {
          const said = random.rarely(200) ? large : small;
          return { said, bytes: meddle(random, said.boxes) };
        },
        check({ said, bytes }, random) {
          const receiver = new BoxStream(secrets.open, alice.publicKey);
          if (mustOpenHonestly(receiver, said, bytes, random)) whole++;
        },
      });
      if (whole !== 1) expect(whole).toBeGreaterThan(10);
    },
    PATIENCE_MS,
  );
});
