import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { ED25519_TORSION_SUBGROUP } from "@noble/curves/ed25519.js";
import { AddressError, concat, equal, toHex } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { describe, expect, test } from "vitest";
import {
  ACCEPTANCE_BYTES,
  CHALLENGE_BYTES,
  type DialerProof,
  dialerHandshake,
  type ListenerAnswer,
  listenerHandshake,
  PROOF_BYTES,
  type SessionSecrets,
} from "../../src/shs/handshake.ts";
import { type CaseVector, ephemeral, hex, longTerm, mainCase, vectors } from "./vectors.ts";

const ZERO_NONCE = new Uint8Array(24);
const sha256 = (...pieces: Uint8Array[]): Uint8Array => provider.hash("SHA256", ...pieces);
const sealBox = (key: Uint8Array, plain: Uint8Array): Uint8Array =>
  xsalsa20poly1305(key, ZERO_NONCE).encrypt(plain);
const openBox = (key: Uint8Array, box: Uint8Array): Uint8Array =>
  xsalsa20poly1305(key, ZERO_NONCE).decrypt(box);
const failure = expect.objectContaining({ name: "HandshakeError", code: "HANDSHAKE_FAILED" });

function parties(of: CaseVector) {
  const { client, server } = of.keys;
  const appKey = hex(of.appKey);
  const own = {
    dialer: longTerm(hex(client.ed25519Seed)),
    listener: longTerm(hex(server.ed25519Seed)),
  };
  return {
    appKey,
    dial: (remoteKey = hex(server.publicKey)) =>
      dialerHandshake({ appKey, own: own.dialer, ephemeral: ephemeral(client) }, remoteKey),
    listen: () => listenerHandshake({ appKey, own: own.listener, ephemeral: ephemeral(server) }),
    own,
  };
}

/** Both sides up to the message whose receiver is under test; steps may be taken again. */
function stages(of: CaseVector): { proof: DialerProof; answer: ListenerAnswer } {
  const { dial, listen } = parties(of);
  return {
    proof: dial().prove(hex(of.messages.serverChallenge)),
    answer: listen().answer(hex(of.messages.clientChallenge)),
  };
}

function fresh(seed: number, appKey = new Uint8Array(32).fill(1)) {
  const own = longTerm(new Uint8Array(32).fill(seed));
  return { appKey, own };
}

function challengeOver(appKey: Uint8Array, point: Uint8Array): Uint8Array {
  return concat(provider.hmac("SHA512", appKey, point).subarray(0, 32), point);
}

function mirrored(secrets: SessionSecrets): SessionSecrets {
  return {
    shared: secrets.shared,
    sealKey: secrets.openKey,
    sealNonce: secrets.openNonce,
    openKey: secrets.sealKey,
    openNonce: secrets.sealNonce,
  };
}

describe("the published vectors", () => {
  test("are there", () => expect(vectors.cases).toHaveLength(3));

  test.each(vectors.cases)("$name: the dialer says and concludes the same", (of) => {
    const start = parties(of).dial();
    expect(toHex(start.challenge)).toBe(of.messages.clientChallenge);
    const proved = start.prove(hex(of.messages.serverChallenge));
    expect(toHex(proved.proof)).toBe(of.messages.clientAuth);
    const secrets = proved.finish(hex(of.messages.serverAccept));
    expect(toHex(secrets.shared)).toBe(of.session.sessionSecret);
    expect(toHex(secrets.sealKey)).toBe(of.session.clientToServerKey);
    expect(toHex(secrets.sealNonce)).toBe(of.session.clientToServerNonce);
    expect(toHex(secrets.openKey)).toBe(of.session.serverToClientKey);
    expect(toHex(secrets.openNonce)).toBe(of.session.serverToClientNonce);
  });

  test.each(vectors.cases)("$name: the listener says and concludes the same", (of) => {
    const answer = parties(of).listen().answer(hex(of.messages.clientChallenge));
    expect(toHex(answer.challenge)).toBe(of.messages.serverChallenge);
    const verdict = answer.verify(hex(of.messages.clientAuth));
    expect(toHex(verdict.remoteKey)).toBe(of.keys.client.publicKey);
    const { acceptance, secrets } = verdict.accept();
    expect(toHex(acceptance)).toBe(of.messages.serverAccept);
    expect(toHex(secrets.shared)).toBe(of.session.sessionSecret);
    expect(toHex(secrets.openKey)).toBe(of.session.clientToServerKey);
    expect(toHex(secrets.openNonce)).toBe(of.session.clientToServerNonce);
    expect(toHex(secrets.sealKey)).toBe(of.session.serverToClientKey);
    expect(toHex(secrets.sealNonce)).toBe(of.session.serverToClientNonce);
  });

  test.each(vectors.cases)("$name: every secret between the messages", (of) => {
    const { client, server } = of.keys;
    const { secrets } = of;
    const appKey = hex(of.appKey);
    const { dialer, listener } = parties(of).own;
    for (const party of [client, server]) {
      expect(toHex(ephemeral(party).publicKey)).toBe(party.ephemeralPublicKey);
      expect(party.secretKey).toBe(party.ed25519Seed + party.publicKey);
      expect(toHex(longTerm(hex(party.ephemeralSeed)).agreement.publicKey)).toBe(
        party.ephemeralPublicKey,
      );
    }
    const [a, b] = [ephemeral(client), ephemeral(server)];
    const hexAgreement = (own: typeof a, remote: string): string =>
      toHex(own.agree(hex(remote)) ?? new Uint8Array(0));
    expect(hexAgreement(a, server.ephemeralPublicKey)).toBe(secrets.ab);
    expect(hexAgreement(b, client.ephemeralPublicKey)).toBe(secrets.ab);
    expect(hexAgreement(a, server.curvePublicKey)).toBe(secrets.aB);
    expect(hexAgreement(listener.agreement, client.ephemeralPublicKey)).toBe(secrets.aB);
    expect(hexAgreement(dialer.agreement, server.ephemeralPublicKey)).toBe(secrets.Ab);
    expect(hexAgreement(b, client.curvePublicKey)).toBe(secrets.Ab);
    const [ab, aB, Ab] = [hex(secrets.ab), hex(secrets.aB), hex(secrets.Ab)];
    expect(toHex(sha256(ab))).toBe(secrets.sha256_ab);
    expect(toHex(sha256(appKey, ab, aB))).toBe(secrets.secret2);
    expect(toHex(sha256(appKey, ab, aB, Ab))).toBe(secrets.secret3);
    expect(toHex(sha256(hex(secrets.secret3)))).toBe(of.session.sessionSecret);
    const { proof, answer } = stages(of);
    expect(toHex(openBox(hex(secrets.secret2), proof.proof))).toBe(secrets.clientHelloPlain);
    const { acceptance } = answer.verify(proof.proof).accept();
    const signed = concat(appKey, hex(secrets.clientHelloPlain), hex(secrets.sha256_ab));
    expect(
      provider.verify(hex(server.publicKey), signed, openBox(hex(secrets.secret3), acceptance)),
    ).toBe(true);
  });

  test.each(vectors.cases)("$name: lengths", ({ messages, lengths }) => {
    expect(lengths).toEqual({
      clientChallenge: CHALLENGE_BYTES,
      serverChallenge: CHALLENGE_BYTES,
      clientAuth: PROOF_BYTES,
      serverAccept: ACCEPTANCE_BYTES,
    });
    for (const [name, text] of Object.entries(messages)) {
      expect(text.length / 2).toBe(lengths[name as keyof typeof lengths]);
    }
  });
});

describe("two sides with fresh keys", () => {
  test.each([false, true])("agree, and never twice on the same; prepared: %s", (prepared) => {
    const run = () => {
      const dialer = dialerHandshake(fresh(1), fresh(2).own.publicKey);
      if (prepared) dialer.prepare();
      const answer = listenerHandshake(fresh(2)).answer(dialer.challenge);
      if (prepared) answer.prepare();
      const proved = dialer.prove(answer.challenge);
      if (prepared) proved.prepare();
      const verdict = answer.verify(proved.proof);
      const { acceptance, secrets } = verdict.accept();
      expect(verdict.remoteKey).toEqual(fresh(1).own.publicKey);
      expect(proved.finish(acceptance)).toEqual(mirrored(secrets));
      return [dialer.challenge, answer.challenge, proved.proof, acceptance, secrets.shared];
    };
    const [first, second] = [run(), run()];
    for (const [index, bytes] of first.entries()) {
      expect(equal(bytes, second[index] as Uint8Array)).toBe(false);
    }
  });

  test("do not look at their input again after a step has taken it", () => {
    const dialer = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    const first = Buffer.from(dialer.challenge);
    const answer = listenerHandshake(fresh(2)).answer(first);
    first.fill(0xff);
    const second = Buffer.from(answer.challenge);
    const proved = dialer.prove(second);
    second.fill(0xff);
    const third = Buffer.from(proved.proof);
    const verdict = answer.verify(third);
    third.fill(0xff);
    const { acceptance, secrets } = verdict.accept();
    expect(proved.finish(acceptance)).toEqual(mirrored(secrets));
  });
});

describe("any bit changed on the way", () => {
  const of = mainCase();
  const { appKey: _, dial, listen } = parties(of);
  const { proof, answer } = stages(of);
  const start = dial();
  test.each<[string, string, (bytes: Uint8Array) => unknown]>([
    ["1", of.messages.clientChallenge, (bytes) => listen().answer(bytes)],
    ["2", of.messages.serverChallenge, (bytes) => start.prove(bytes)],
    ["3", of.messages.clientAuth, (bytes) => answer.verify(bytes)],
    ["4", of.messages.serverAccept, (bytes) => proof.finish(bytes)],
  ])("in message %s ends it", (_number, text, take) => {
    const bytes = hex(text);
    expect(() => take(bytes)).not.toThrow();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => take(flipped), `bit ${bit}`).toThrow(failure);
    }
    for (const wrong of [bytes.subarray(1), bytes.subarray(0, -1), concat(bytes, bytes)]) {
      expect(() => take(wrong), `${wrong.length} bytes`).toThrow(failure);
    }
    expect(() => take(new Uint8Array(0))).toThrow(failure);
  });
});

describe("keys of low order", () => {
  // The points whose order divides 8, on the curve and its twist, with every encoding the field allows.
  const order8 = [
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  ];
  const ends = ["ec", "ed", "ee"].map((low) => `${low}${"ff".repeat(30)}7f`);
  const points = [`00${"00".repeat(31)}`, `01${"00".repeat(31)}`, ...order8, ...ends].flatMap(
    (text) => {
      const [plain, high] = [hex(text), hex(text)];
      high[31] = (high[31] as number) | 0x80;
      return [plain, high];
    },
  );
  const of = mainCase();

  test("as an ephemeral key, under a right MAC, are refused by both sides", () => {
    expect(points).toHaveLength(14);
    const { appKey, dial, listen } = parties(of);
    for (const point of points) {
      const challenge = challengeOver(appKey, point);
      expect(() => listen().answer(challenge), toHex(point)).toThrow(failure);
      expect(() => dial().prove(challenge), toHex(point)).toThrow(failure);
    }
  });

  test("as a dialled key are an error of the address, before a byte is made", () => {
    for (const text of [...ED25519_TORSION_SUBGROUP, "00".repeat(32), "ff".repeat(32)]) {
      const dial = (): unknown => parties(of).dial(hex(text));
      expect(dial, text).toThrow(AddressError);
      expect(dial, text).toThrow(expect.objectContaining({ code: "ADDRESS_MALFORMED" }));
    }
  });

  test("as a dialer's long-term key are refused, though lax verifiers accept their signatures", () => {
    const { answer } = stages(of);
    const secret2 = hex(of.secrets.secret2);
    for (const key of ED25519_TORSION_SUBGROUP) {
      for (const r of ED25519_TORSION_SUBGROUP) {
        const hello = concat(hex(r), new Uint8Array(32), hex(key));
        expect(() => answer.verify(sealBox(secret2, hello)), `${key} ${r}`).toThrow(failure);
      }
    }
  });
});

describe("signatures", () => {
  const of = mainCase();
  const { appKey, own } = parties(of);
  const { proof, answer } = stages(of);
  const hello = hex(of.secrets.clientHelloPlain);
  const hab = hex(of.secrets.sha256_ab);
  const stranger = longTerm(new Uint8Array(32).fill(9));

  /** S + L for S: the same equation, another text. */
  function malleated(signature: Uint8Array): Uint8Array {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${toHex(signature.slice(32, 64).reverse())}`) + order;
    return concat(
      signature.subarray(0, 32),
      hex(s.toString(16).padStart(64, "0")).reverse(),
      signature.subarray(64),
    );
  }

  test("of the dialer: malleated, a stranger's, or over something else are refused", () => {
    const offer = (plain: Uint8Array): (() => unknown) => {
      const box = sealBox(hex(of.secrets.secret2), plain);
      return () => answer.verify(box);
    };
    expect(offer(hello)).not.toThrow();
    expect(offer(malleated(hello))).toThrow(failure);
    const signed = concat(appKey, own.listener.publicKey, hab);
    const by = (who: typeof stranger, message: Uint8Array, key: Uint8Array): Uint8Array =>
      concat(who.sign(message), key);
    expect(offer(by(own.dialer, signed, own.dialer.publicKey))).not.toThrow();
    expect(offer(by(stranger, signed, own.dialer.publicKey))).toThrow(failure);
    expect(offer(by(own.dialer, signed, stranger.publicKey))).toThrow(failure);
    const elsewhere = concat(appKey, stranger.publicKey, hab);
    expect(offer(by(own.dialer, elsewhere, own.dialer.publicKey))).toThrow(failure);
    expect(offer(hello.subarray(0, 64))).toThrow(failure);
    expect(offer(concat(hello, new Uint8Array(1)))).toThrow(failure);
  });

  test("of the listener: malleated, a stranger's, or over something else are refused", () => {
    const offer = (plain: Uint8Array): (() => unknown) => {
      const box = sealBox(hex(of.secrets.secret3), plain);
      return () => proof.finish(box);
    };
    const signature = own.listener.sign(concat(appKey, hello, hab));
    expect(offer(signature)).not.toThrow();
    expect(offer(malleated(signature))).toThrow(failure);
    expect(offer(stranger.sign(concat(appKey, hello, hab)))).toThrow(failure);
    expect(offer(own.listener.sign(concat(appKey, hello, hello)))).toThrow(failure);
    expect(offer(signature.subarray(0, 63))).toThrow(failure);
  });
});

describe("somebody in the middle", () => {
  test("who plays a recorded dialer to the listener again does not get in", () => {
    const dialer = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    const first = listenerHandshake(fresh(2)).answer(dialer.challenge);
    const { proof } = dialer.prove(first.challenge);
    first.verify(proof);
    const second = listenerHandshake(fresh(2)).answer(dialer.challenge);
    expect(() => second.verify(proof)).toThrow(failure);
  });

  test("who plays a recorded listener to the dialer again does not get far", () => {
    const dialer = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    const answer = listenerHandshake(fresh(2)).answer(dialer.challenge);
    const { acceptance } = answer.verify(dialer.prove(answer.challenge).proof).accept();
    const again = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    const proved = again.prove(answer.challenge);
    expect(() => proved.finish(acceptance)).toThrow(failure);
  });

  test("who sends our own bytes back is noticed", () => {
    const dialer = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    expect(() => dialer.prove(dialer.challenge)).toThrow(failure);
    const answer = listenerHandshake(fresh(2)).answer(dialer.challenge);
    const proved = dialer.prove(answer.challenge);
    expect(() => proved.finish(proved.proof)).toThrow(failure);
    expect(() => proved.finish(proved.proof.subarray(0, ACCEPTANCE_BYTES))).toThrow(failure);
    expect(() => answer.verify(concat(answer.challenge, new Uint8Array(48)))).toThrow(failure);
  });

  test("who knows the app key and swaps the ephemeral keys passes nothing on", () => {
    const { appKey } = fresh(1);
    const theirs = provider.keyAgreement();
    const swapped = challengeOver(appKey, theirs.publicKey);
    const dialer = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    const answer = listenerHandshake(fresh(2)).answer(swapped);
    const proved = dialer.prove(swapped);
    expect(() => answer.verify(proved.proof)).toThrow(failure);
  });

  test("who has another app key is refused at the first message", () => {
    const other = new Uint8Array(32).fill(2);
    const dialer = dialerHandshake(fresh(1, other), fresh(2).own.publicKey);
    expect(() => listenerHandshake(fresh(2)).answer(dialer.challenge)).toThrow(/app key/);
    const listener = listenerHandshake(fresh(2, other)).answer(dialer.challenge);
    const elsewhere = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    expect(() => elsewhere.prove(listener.challenge)).toThrow(/app key/);
  });

  test("the wrong listener cannot open the proof, and so never learns who called", () => {
    const dialer = dialerHandshake(fresh(1), fresh(2).own.publicKey);
    const wrong = listenerHandshake(fresh(3)).answer(dialer.challenge);
    const proved = dialer.prove(wrong.challenge);
    expect(() => wrong.verify(proved.proof)).toThrow(/dialled another key/);
  });
});
