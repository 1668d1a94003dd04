import { concat, PeerId, readU16, section, toUtf8, Wire, writeU16 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { describe, expect, test } from "vitest";
import { Handshake } from "../../src/noise/handshake.ts";
import { NoiseSession, noise, noiseChacha } from "../../src/noise/index.ts";
import { parseProtocol } from "../../src/noise/patterns.ts";
import {
  both,
  codeOf,
  IDENTITIES,
  listenerSection,
  options,
  type Pipes,
  pipes,
  secret,
  shake,
} from "./support.ts";

const FAILED = "HANDSHAKE_FAILED";

function pair(make: typeof noise = noise): Parameters<typeof shake>[0] {
  return { dialer: make(), listener: make() };
}

describe.each([
  ["noise", noise],
  ["noise-chacha", noiseChacha],
] as const)("%s", (name, make) => {
  test("names itself, proves keys, and says where to be found", () => {
    const transform = make();
    expect(transform.name).toBe(name);
    expect(transform.authenticates).toBe(true);
    const { id } = IDENTITIES.listener;
    expect(transform.section(IDENTITIES.listener).text).toBe(`${name}:${id.text}`);
  });

  test("both ends prove their keys and open each other's boxes", async () => {
    const over = pipes();
    const changes = { dialer: { section: listenerSection(name) } };
    const { dialer, listener } = both(await shake(pair(make), over, changes));
    expect(dialer).toBeInstanceOf(NoiseSession);
    expect(dialer.remoteKey).toEqual(IDENTITIES.listener.publicKey);
    expect(listener.remoteKey).toEqual(IDENTITIES.dialer.publicKey);
    expect(listener.open(concat(...dialer.seal([toUtf8("hello")])))).toEqual([toUtf8("hello")]);
    expect(dialer.open(concat(...listener.seal([toUtf8("world")])))).toEqual([toUtf8("world")]);
    expect(dialer.exportKey("a")).toEqual(listener.exportKey("a"));
    expect(dialer.boxBytes).toBe(65_519);
    expect(over.written.dialer.map((message) => message.length)).toEqual([2 + 32, 2 + 160]);
    expect(over.written.listener.map((message) => message.length)).toEqual([2 + 192]);
  });

  test("a dialer that names no key learns it", async () => {
    const { dialer } = both(
      await shake(pair(make), pipes(), { dialer: { section: section(name) } }),
    );
    expect(PeerId.from(dialer.remoteKey).equals(IDENTITIES.listener.id)).toBe(true);
  });
});

describe("offer", () => {
  test("reaches the other side, both ways, up to 1 KiB", async () => {
    const offer = toUtf8("noise-pq");
    const full = new Uint8Array(1_024).fill(7);
    const transforms = { dialer: noise({ offer }), listener: noise({ offer: full }) };
    offer.fill(0);
    const { dialer, listener } = both(await shake(transforms, pipes()));
    expect(listener.offer).toEqual(toUtf8("noise-pq"));
    expect(dialer.offer).toEqual(full);
  });

  test("is empty by default, and refused over 1 KiB", async () => {
    const { dialer, listener } = both(await shake(pair(), pipes()));
    expect(dialer.offer.length + listener.offer.length).toBe(0);
    expect(() => noise({ offer: new Uint8Array(1_025) })).toThrow(RangeError);
    expect(() => noiseChacha({ offer: new Uint8Array(1_025) })).toThrow(/offer/);
  });
});

describe("refusals", () => {
  test("another key than the dialled one: before message 3", async () => {
    const over = pipes();
    const named = section("noise", PeerId.from(secret("nobody")).text);
    const outcome = await shake(pair(), over, { dialer: { section: named } });
    expect(codeOf(outcome.dialer)).toBe("PEER_UNEXPECTED");
    expect(codeOf(outcome.listener)).toBe("TRUNCATED");
    expect(over.written.dialer.length).toBe(1);
    expect(outcome.dialer).toMatchObject({
      reason: { address: named.text, peer: IDENTITIES.listener.id.text },
    });
  });

  test.each([
    ["network id", { networkId: secret("another network") }],
    ["chain", { chain: "gzip~noise" }],
    ["chain that is a prefix", { chain: "nois" }],
  ])("another %s", async (_what, changes) => {
    const over = pipes();
    const outcome = await shake(pair(), over, { dialer: changes });
    expect(codeOf(outcome.dialer)).toBe(FAILED);
    expect(codeOf(outcome.listener)).toBe("TRUNCATED");
    expect(over.written.dialer.length).toBe(1);
  });

  test("the other cipher", async () => {
    const outcome = await shake({ dialer: noise(), listener: noiseChacha() }, pipes());
    expect(codeOf(outcome.dialer)).toBe(FAILED);
    expect(codeOf(outcome.listener)).toBe("TRUNCATED");
  });

  test("two dialers, two listeners, and a dialer that hears itself", async () => {
    const dialers = await shake(pair(), pipes(), { listener: { side: "dialer" } });
    expect([codeOf(dialers.dialer), codeOf(dialers.listener)]).toEqual([FAILED, FAILED]);
    const over = pipes();
    over.dialer.write(concat(Uint8Array.of(32, 0), new Uint8Array(32).fill(9)));
    const echo = new Wire({ ...over.dialer, write: (...pieces) => over.listener.write(...pieces) });
    await expect(noise().handshake(echo, options("dialer"))).rejects.toMatchObject({
      code: FAILED,
    });
  });

  test("a key that cannot be read, before any byte", async () => {
    const over = pipes();
    const run = noise().handshake(
      new Wire(over.dialer),
      options("dialer", { section: section("noise", "short") }),
    );
    await expect(run).rejects.toMatchObject({ code: "ADDRESS_MALFORMED" });
    expect(over.written.dialer.length).toBe(0);
  });

  test("a network id that is not 32 bytes", async () => {
    const { dialer } = pipes();
    const wrong = options("dialer", { networkId: new Uint8Array(31) });
    await expect(noise().handshake(new Wire(dialer), wrong)).rejects.toThrow(TypeError);
  });

  test.each([
    ["listener", 0],
    ["listener", 31],
    ["listener", 33],
    ["listener", 0xffff],
    ["dialer", 191],
    ["dialer", 1_217],
    ["dialer", 0xffff],
  ] as const)("on the %s, a message of %d bytes, without waiting for it", async (side, length) => {
    const over = pipes();
    const header = new Uint8Array(2);
    writeU16(header, 0, length);
    over[side === "dialer" ? "listener" : "dialer"].write(header);
    const run = noise().handshake(new Wire(over[side]), options(side));
    await expect(run).rejects.toMatchObject({ code: FAILED });
  });

  test("a hang-up anywhere", async () => {
    const recorded = pipes();
    both(await shake(pair(), recorded));
    for (const from of ["dialer", "listener"] as const) {
      const all = concat(...recorded.written[from]);
      const victim = from === "dialer" ? "listener" : "dialer";
      for (const length of [0, 1, 2, 20, 33, all.length - 1]) {
        const over = pipes();
        over[from].write(all.subarray(0, length));
        await over[from].end();
        const run = noise().handshake(new Wire(over[victim]), options(victim));
        await expect(run).rejects.toMatchObject({ code: "TRUNCATED" });
      }
    }
  });
});

describe("tampering", () => {
  /** Alters one bit of one message; nothing follows it, so that a longer length cannot wait for ever. */
  async function flip(from: "dialer" | "listener", index: number, bit: number): Promise<string[]> {
    const over: Pipes = pipes((side, at, written) => {
      if (side !== from || at !== index) return written;
      const altered = written.slice();
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
      queueMicrotask(() => over[from].abort(new Error("cut")));
      return altered;
    });
    const { dialer, listener } = await shake(transforms, over);
    return [codeOf(dialer), codeOf(listener)];
  }
  const transforms = pair();

  test.each([
    ["dialer", 0, 34],
    ["listener", 0, 194],
    ["dialer", 1, 162],
  ] as const)(
    "every bit of the %s's message %d: no session on the side that read it",
    { timeout: 60_000 },
    async (from, index, length) => {
      for (let bit = 0; bit < length * 8; bit++) {
        const [dialer, listener] = await flip(from, index, bit);
        expect([FAILED, "TRUNCATED"], `bit ${bit}`).toContain(listener);
        // Having sent message 3 the dialer is done; it reads no answer to it.
        if (index === 0) expect([FAILED, "TRUNCATED"], `bit ${bit}`).toContain(dialer);
        if (bit >= 16) expect([dialer, listener]).toContain(FAILED);
      }
    },
  );

  test("a replayed handshake is refused by the same and by another listener", async () => {
    const recorded = pipes();
    const original = both(await shake(transforms, recorded));
    const data = concat(...original.dialer.seal([toUtf8("pay")]));
    for (const listener of [transforms.listener, noise()]) {
      const over = pipes();
      over.dialer.write(...recorded.written.dialer, data);
      const run = listener.handshake(new Wire(over.listener), options("listener"));
      await expect(run).rejects.toMatchObject({ code: FAILED });
    }
    const over = pipes();
    over.listener.write(...recorded.written.listener);
    const run = transforms.dialer.handshake(new Wire(over.dialer), options("dialer"));
    await expect(run).rejects.toMatchObject({ code: FAILED });
  });

  test("the messages of another handshake do not fit in", async () => {
    const recorded = pipes();
    both(await shake(transforms, recorded));
    for (const [from, index] of [
      ["listener", 0],
      ["dialer", 1],
    ] as const) {
      const over = pipes((side, at, written) =>
        side === from && at === index ? recorded.written[from][index] : written,
      );
      const outcome = await shake(transforms, over);
      expect(codeOf(from === "dialer" ? outcome.listener : outcome.dialer)).toBe(FAILED);
    }
  });
});

/** An attacker who speaks Noise well and lies only inside the payload. */
describe("proof", () => {
  type Lie = (hash: Uint8Array, staticKey: Uint8Array) => Uint8Array;
  const protocol = parseProtocol("Noise_XX_25519_AESGCM_SHA256");
  const prologue = concat(toUtf8("testudo/1"), secret("network"), toUtf8("noise"));
  const mallory = IDENTITIES.dialer;
  const victim = IDENTITIES.listener;
  const none = provider.hash("SHA256");

  function statement(role: number, hash: Uint8Array, key: Uint8Array): Uint8Array {
    return concat(toUtf8("testudo/noise/1"), Uint8Array.of(role), hash, key, none);
  }

  /** The code that a dialer or listener ends with when the other side's payload is `lie`. */
  async function against(side: "dialer" | "listener", lie: Lie): Promise<string> {
    const over = pipes();
    const staticKey = provider.keyAgreement(secret("mallory"));
    const attacker = side === "dialer" ? "listener" : "dialer";
    const machine = new Handshake({ protocol, side: attacker, prologue, staticKey });
    const wire = new Wire(over[attacker]);
    const send = (message: Uint8Array): void => {
      const header = new Uint8Array(2);
      writeU16(header, 0, message.length);
      wire.write(header, message);
    };
    const read = async (): Promise<void> => {
      machine.read(await wire.read(readU16(await wire.read(2), 0)));
    };
    const proof = (hash: Uint8Array): Uint8Array => lie(hash, staticKey.publicKey);
    const run = noise().handshake(new Wire(over[side]), options(side));
    const attack = async (): Promise<void> => {
      if (attacker === "listener") {
        await read();
        send(machine.write(proof));
      } else {
        send(machine.write());
        await read();
        send(machine.write(proof));
      }
    };
    const [outcome] = await Promise.allSettled([run, attack()]);
    return codeOf(outcome);
  }

  const honest =
    (role: number): Lie =>
    (hash, key) =>
      concat(mallory.publicKey, mallory.sign(statement(role, hash, key)));

  test("an honest one passes, so that the lies below fail for their own reason", async () => {
    expect(await against("dialer", honest(1))).toBe("none");
    expect(await against("listener", honest(0))).toBe("none");
  });

  test.each<[string, (role: number) => Lie]>([
    ["the other role", (role) => honest(1 - role)],
    [
      "a signature by another key",
      (role) => (hash, key) => concat(victim.publicKey, mallory.sign(statement(role, hash, key))),
    ],
    [
      "a statement of another session",
      (role) => (_hash, key) =>
        concat(victim.publicKey, victim.sign(statement(role, secret("another hash"), key))),
    ],
    [
      "a statement about another static key",
      (role) => (hash) =>
        concat(victim.publicKey, victim.sign(statement(role, hash, secret("another static")))),
    ],
    [
      "an offer that was not signed",
      (role) => (hash, key) => concat(honest(role)(hash, key), toUtf8("more")),
    ],
    ["no signature", () => () => concat(victim.publicKey, new Uint8Array(64))],
    [
      "a key of small order, whose signatures anybody can make",
      () => () => {
        const identityPoint = new Uint8Array(32).fill(1, 0, 1);
        return concat(identityPoint, identityPoint, new Uint8Array(32));
      },
    ],
  ])("%s is refused", async (_what, lie) => {
    expect(await against("dialer", lie(1))).toBe(FAILED);
    expect(await against("listener", lie(0))).toBe(FAILED);
  });

  test("an ephemeral key of low order is refused", async () => {
    const over = pipes();
    over.dialer.write(concat(Uint8Array.of(32, 0), new Uint8Array(32)));
    const run = noise().handshake(new Wire(over.listener), options("listener"));
    await expect(run).rejects.toMatchObject({ code: FAILED });
    expect(over.written.listener.length).toBe(0);
  });
});

describe("keys", () => {
  test("one static pair a transform, one ephemeral pair a handshake, none before the first", async () => {
    let made = 0;
    const keyPair = () => {
      made++;
      return provider.keyAgreement();
    };
    const transforms = { dialer: noise({ keyPair }), listener: noise() };
    expect(made).toBe(0);
    both(await shake(transforms, pipes()));
    expect(made).toBe(2);
    const over = pipes();
    both(await shake(transforms, over));
    expect(made).toBe(3);
    const again = pipes();
    both(await shake(transforms, again));
    expect(again.written.dialer[0]).not.toEqual(over.written.dialer[0]);
  });

  test("every session has keys of its own", async () => {
    const transforms = pair();
    const first = both(await shake(transforms, pipes()));
    const second = both(await shake(transforms, pipes()));
    expect(first.dialer.exportKey("x")).not.toEqual(second.dialer.exportKey("x"));
    const box = concat(...first.dialer.seal([toUtf8("once")]));
    expect(() => second.listener.open(box)).toThrow(/authentication failed/);
  });
});

test("what follows the handshake stays in the wire, cut anywhere", async () => {
  const transforms = {
    dialer: noise({ keyPair: fixed("d") }),
    listener: noise({ keyPair: fixed("l") }),
  };
  const recorded = pipes();
  const { dialer } = both(await shake(transforms, recorded));
  const box = concat(...dialer.seal([toUtf8("first words")]));
  const all = concat(...recorded.written.dialer, box);
  for (let cut = 1; cut < all.length; cut++) {
    const repeat = noise({ keyPair: fixed("l") });
    const over = pipes();
    over.dialer.write(all.subarray(0, cut));
    over.dialer.write(all.subarray(cut));
    const wire = new Wire(over.listener);
    const session = await repeat.handshake(wire, options("listener"));
    const chunks = [wire.rest()];
    if (wire.rest().length < box.length) {
      const { value } = await over.listener[Symbol.asyncIterator]().next();
      chunks.push(value as Uint8Array);
    }
    expect(concat(...chunks.flatMap((chunk) => session.open(chunk)))).toEqual(
      toUtf8("first words"),
    );
  }
});

/** Pairs that repeat: first the static one, then the ephemeral ones. */
function fixed(label: string): () => ReturnType<typeof provider.keyAgreement> {
  let count = 0;
  return () => provider.keyAgreement(secret(`${label} ${count++}`));
}
