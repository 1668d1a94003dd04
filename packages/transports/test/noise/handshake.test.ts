import { toHex, toUtf8 } from "@testudo/core";
import { type CipherName, type HashName, provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Handshake, type HandshakeParameters } from "../../src/noise/handshake.ts";
import { PATTERN_NAMES, type Protocol, parseProtocol } from "../../src/noise/patterns.ts";
import { secret } from "./support.ts";

const FAILED = expect.objectContaining({ name: "HandshakeError", code: "HANDSHAKE_FAILED" });

function protocolOf(
  pattern: string,
  cipher: CipherName = "AESGCM",
  hash: HashName = "SHA256",
): Protocol {
  return parseProtocol(`Noise_${pattern}_25519_${cipher}_${hash}`);
}

const STATIC = {
  dialer: provider.keyAgreement(secret("dialer static")),
  listener: provider.keyAgreement(secret("listener static")),
};

/** Both machines with every key that a pattern may want. */
function machines(
  protocol: Protocol,
  changes: Partial<HandshakeParameters> = {},
): { dialer: Handshake; listener: Handshake } {
  const psks = Array.from({ length: protocol.psks }, (_, i) => secret(`psk ${i}`));
  const make = (side: "dialer" | "listener"): Handshake =>
    new Handshake({
      protocol,
      side,
      prologue: toUtf8("prologue"),
      staticKey: STATIC[side],
      remoteStatic: STATIC[side === "dialer" ? "listener" : "dialer"].publicKey,
      psks,
      ...(side === "listener" ? changes : {}),
    });
  return { dialer: make("dialer"), listener: make("listener") };
}

/** Runs to the end; gives both sides' hash before each payload. */
function run({ dialer, listener }: { dialer: Handshake; listener: Handshake }): string[][] {
  const bound: string[][] = [];
  for (let i = 0; !dialer.complete; i++) {
    const [from, to] = i % 2 === 0 ? [dialer, listener] : [listener, dialer];
    expect(to.read(from.write(Uint8Array.of(i)))).toEqual(Uint8Array.of(i));
    bound.push([toHex(from.boundHash), toHex(to.boundHash)]);
  }
  return bound;
}

const psked = ["NNpsk0", "NNpsk2", "NKpsk0", "KNpsk2", "IKpsk1+psk2", "XXpsk0+psk1+psk2+psk3"];

describe.each([...PATTERN_NAMES, ...psked, "Npsk0", "Xpsk1"])("%s", (pattern) => {
  const protocol = protocolOf(pattern);

  test("both sides end with the same keys, hash and statics", () => {
    const pair = machines(protocol);
    for (const [ours, theirs] of run(pair)) expect(theirs).toBe(ours);
    expect(toHex(pair.dialer.hash)).toBe(toHex(pair.listener.hash));
    const dialer = pair.dialer.split();
    const listener = pair.listener.split();
    const none = new Uint8Array(0);
    expect(listener.open.open(none, dialer.seal.seal(none, [none]))).toEqual([]);
    expect(dialer.open.open(none, listener.seal.seal(none, [none]))).toEqual([]);
    expect(dialer.exporter).toEqual(listener.exporter);
    expect(dialer.exporter.length).toBe(32);
  });

  test("another prologue, or another pre-shared key, fails", () => {
    const changes: Partial<HandshakeParameters>[] = [{ prologue: toUtf8("other") }];
    if (protocol.psks > 0) {
      changes.push({ psks: Array.from({ length: protocol.psks }, () => secret("wrong psk")) });
    }
    for (const change of changes) {
      const pair = machines(protocol, change);
      expect(() => run(pair)).toThrow(FAILED);
    }
  });
});

describe("write and read", () => {
  const protocol = protocolOf("XX");

  test("refuse to act out of turn, before and after", () => {
    const { dialer, listener } = machines(protocol);
    expect(() => listener.write()).toThrow(TypeError);
    expect(() => dialer.read(new Uint8Array(32))).toThrow(TypeError);
    const first = dialer.write();
    expect(() => dialer.write()).toThrow(TypeError);
    listener.read(first);
    dialer.read(listener.write());
    listener.read(dialer.write());
    expect(dialer.complete && listener.complete).toBe(true);
    expect(() => dialer.write()).toThrow(TypeError);
    expect(() => listener.read(first)).toThrow(TypeError);
  });

  test("split once, and only at the end", () => {
    const pair = machines(protocol);
    expect(() => pair.dialer.split()).toThrow(TypeError);
    run(pair);
    pair.dialer.split();
    expect(() => pair.dialer.split()).toThrow(TypeError);
  });

  test("a failed read leaves nothing to go on with", () => {
    const { dialer, listener } = machines(protocol);
    listener.read(dialer.write());
    const reply = listener.write();
    const altered = reply.slice();
    altered[40] = (altered[40] as number) ^ 1;
    expect(() => dialer.read(altered)).toThrow(FAILED);
    expect(() => dialer.read(reply)).toThrow(TypeError);
    expect(() => dialer.split()).toThrow(TypeError);
  });

  test("a payload may depend on the hash before it", () => {
    const { dialer, listener } = machines(protocol);
    let given = "";
    const message = dialer.write((hash) => {
      given = toHex(hash);
      return hash;
    });
    const payload = listener.read(message);
    expect(toHex(payload)).toBe(given);
    expect(toHex(listener.boundHash)).toBe(given);
    expect(toHex(listener.hash)).not.toBe(given);
  });

  test("a message over 65,535 bytes is refused", () => {
    const { dialer, listener } = machines(protocol);
    expect(() => dialer.write(new Uint8Array(65_504))).toThrow(RangeError);
    const fits = machines(protocol).dialer;
    expect(listener.read(fits.write(new Uint8Array(65_503))).length).toBe(65_503);
  });

  test.each([0, 31])("a first message of %d bytes is too short", (length) => {
    expect(() => machines(protocol).listener.read(new Uint8Array(length))).toThrow(FAILED);
  });

  test("every truncation of every message fails", () => {
    for (const index of [0, 1, 2]) {
      for (let cut = 0; ; cut++) {
        const { dialer, listener } = machines(protocol);
        const sides = [dialer, listener] as const;
        for (let i = 0; i < index; i++) {
          (sides[(i + 1) % 2] as Handshake).read((sides[i % 2] as Handshake).write());
        }
        const message = (sides[index % 2] as Handshake).write();
        if (cut === message.length) break;
        const reader = sides[(index + 1) % 2] as Handshake;
        expect(() => reader.read(message.subarray(0, cut))).toThrow(FAILED);
      }
    }
  });

  test("points of low order are refused, wherever they come from", () => {
    const low = [new Uint8Array(32), new Uint8Array(32).fill(1, 0, 1)];
    for (const point of low) {
      const listener = machines(protocol).listener;
      listener.read(point);
      expect(() => listener.write()).toThrow(FAILED);
      const knows = new Handshake({
        protocol: protocolOf("NK"),
        side: "dialer",
        remoteStatic: point,
      });
      expect(() => knows.write()).toThrow(FAILED);
    }
  });

  test("random bytes never make a handshake, and never throw anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 300 }), (garbage) => {
        const { dialer } = machines(protocol);
        dialer.write();
        expect(() => dialer.read(garbage)).toThrow(FAILED);
      }),
      { numRuns: 300 },
    );
  });

  test("is the same for the same keys and another for fresh ones", () => {
    const protocol = protocolOf("NN");
    const fixed = (): Handshake =>
      new Handshake({
        protocol,
        side: "dialer",
        ephemeralKey: provider.keyAgreement(secret("ephemeral")),
      });
    expect(fixed().write()).toEqual(fixed().write());
    const fresh = new Handshake({ protocol, side: "dialer" }).write();
    expect(fresh).not.toEqual(new Handshake({ protocol, side: "dialer" }).write());
  });
});

describe("constructor", () => {
  test.each(["XX", "XN", "IN", "KN", "X", "K"])("%s needs the dialer's static key", (pattern) => {
    const remoteStatic = STATIC.listener.publicKey;
    const protocol = protocolOf(pattern);
    expect(() => new Handshake({ protocol, side: "dialer", remoteStatic })).toThrow(/staticKey/);
  });

  test.each(["NK", "IK", "N", "KK"])("%s needs the listener's public key", (pattern) => {
    const staticKey = STATIC.dialer;
    const protocol = protocolOf(pattern);
    expect(() => new Handshake({ protocol, side: "dialer", staticKey })).toThrow(/remoteStatic/);
    expect(
      () =>
        new Handshake({ protocol, side: "dialer", staticKey, remoteStatic: new Uint8Array(31) }),
    ).toThrow(TypeError);
  });

  test("psks must be as many as the name says, 32 bytes each", () => {
    const protocol = protocolOf("NNpsk0+psk2");
    for (const psks of [[], [secret("one")], [secret("one"), new Uint8Array(31)]]) {
      expect(() => new Handshake({ protocol, side: "dialer", psks })).toThrow(/psks/);
    }
    const psks = [secret("one")];
    expect(() => new Handshake({ protocol: protocolOf("NN"), side: "dialer", psks })).toThrow(
      TypeError,
    );
  });
});
