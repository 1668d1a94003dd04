import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { concat, equal, ProtocolError, toHex } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BoxStream } from "../../src/shs/box-stream.ts";
import { hex, mainCase, type StreamVector, vectors } from "./vectors.ts";

const REMOTE = new Uint8Array(32).fill(3);
const malformed = expect.objectContaining({ name: "ProtocolError", code: "FRAME_MALFORMED" });
const unused = { key: new Uint8Array(32).fill(0xee), nonce: new Uint8Array(24).fill(0xee) };

interface Direction {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
}

function stream(seal: Direction, open: Direction): BoxStream {
  const secrets = {
    shared: new Uint8Array(32).fill(5),
    sealKey: seal.key,
    sealNonce: seal.nonce,
    openKey: open.key,
    openNonce: open.nonce,
  };
  return new BoxStream(secrets, REMOTE);
}

const sealer = (direction: Direction): BoxStream => stream(direction, unused);
const opener = (direction: Direction): BoxStream => stream(unused, direction);

function pair(): { from: BoxStream; to: BoxStream } {
  const direction = { key: random(32), nonce: random(24) };
  return { from: sealer(direction), to: opener(direction) };
}

function sealed(by: BoxStream, ...plain: Uint8Array[]): Uint8Array {
  return concat(...by.seal(plain));
}

function opened(by: BoxStream, ...chunks: Uint8Array[]): Uint8Array {
  return concat(...chunks.flatMap((chunk) => by.open(chunk)));
}

/** Frames made by hand, of any length, as another implementation may send them. */
function frameOf(direction: Direction, plain: Uint8Array, length: number = plain.length) {
  const nonce = direction.nonce.slice();
  nonce[23] = (nonce[23] as number) + 1;
  const body = xsalsa20poly1305(direction.key, nonce).encrypt(plain);
  const header = concat(Uint8Array.of(length >>> 8, length), body.subarray(0, 16));
  return concat(
    xsalsa20poly1305(direction.key, direction.nonce).encrypt(header),
    body.subarray(16),
  );
}

function random(length: number): Uint8Array {
  return new Uint8Array(provider.randomBytes(length));
}

function named(session: Record<string, string>, way: string): Direction {
  return { key: hex(session[`${way}Key`] ?? ""), nonce: hex(session[`${way}Nonce`] ?? "") };
}

describe("the published vectors", () => {
  const { session, boxStream } = mainCase();
  const streams: [string, Direction, StreamVector | undefined][] = [
    ["client to server", named(session, "clientToServer"), boxStream?.clientToServer],
    ["server to client", named(session, "serverToClient"), boxStream?.serverToClient],
    ...[...vectors.boxStreamNonce, { name: "empty", ...vectors.boxStreamEmpty }].map(
      (of): [string, Direction, StreamVector] => [
        of.name,
        { key: hex(of.key), nonce: hex(of.nonce) },
        of,
      ],
    ),
  ];

  test("are there", () => expect(streams).toHaveLength(6));

  test.each(streams)("%s: sealed and opened to the byte", (_name, direction, vector) => {
    if (vector === undefined) throw new Error("the main case has no box stream");
    const [ours, theirs] = [sealer(direction), opener(direction)];
    const wire: Uint8Array[] = [];
    for (const { plain, frames } of vector.messages) {
      const expected = frames.map((frame) => hex(frame.header + frame.body));
      const got = sealed(ours, hex(plain));
      expect(toHex(got)).toBe(toHex(concat(...expected)));
      const pieces = theirs.open(got);
      const lengths = frames.map((frame) => frame.plainLength);
      expect(concat(...pieces)).toHaveLength(lengths.reduce((sum, length) => sum + length, 0));
      expect(toHex(concat(...pieces))).toBe(plain);
      wire.push(got);
    }
    const goodbye = ours.end();
    expect(toHex(goodbye)).toBe(vector.goodbye);
    expect(theirs.ended).toBe(false);
    expect(theirs.open(goodbye)).toEqual([]);
    expect(theirs.ended).toBe(true);
    const all = concat(...wire, goodbye);
    expect(all).toHaveLength(vector.wireLength);
    expect(toHex(provider.hash("SHA256", all))).toBe(vector.wireSha256);
  });

  test("an empty run is no frame", () => {
    const of = vectors.boxStreamEmptyBufferIsDropped;
    const ours = sealer({ key: hex(of.key), nonce: hex(of.nonce) });
    const wire = of.inputs.map((input) => sealed(ours, hex(input)));
    expect(wire[0]).toHaveLength(0);
    expect(toHex(concat(...wire, ours.end()))).toBe(of.chunks.join(""));
  });
});

describe("sealing", () => {
  test("gives one buffer a run, in frames of at most 4,096 bytes", () => {
    for (const [length, frames] of [
      [1, 1],
      [4_096, 1],
      [4_097, 2],
      [8_192, 2],
      [70_000, 18],
    ] as const) {
      const { from, to } = pair();
      const plain = random(length);
      const [only, ...more] = from.seal([plain]);
      expect(more).toEqual([]);
      expect(only).toHaveLength(length + 34 * frames);
      const pieces = to.open(only as Uint8Array);
      expect(pieces).toHaveLength(1);
      expect(equal(concat(...pieces), plain)).toBe(true);
    }
  });

  test("takes a run in any pieces, empty ones too", () => {
    const lengths = fc.array(fc.nat(6_000), { maxLength: 8 });
    fc.assert(
      fc.property(lengths, (sizes) => {
        const direction = { key: random(32), nonce: random(24) };
        const pieces = sizes.map(random);
        const whole = concat(...pieces);
        expect(equal(sealed(sealer(direction), ...pieces), sealed(sealer(direction), whole))).toBe(
          true,
        );
      }),
      { numRuns: 60 },
    );
    expect(pair().from.seal([])).toEqual([]);
    expect(pair().from.seal([new Uint8Array(0), new Uint8Array(0)])).toEqual([]);
  });

  test("changes nothing it was given and keeps none of it", () => {
    const { from, to } = pair();
    const plain = random(5_000);
    const before = plain.slice();
    const first = sealed(from, plain);
    expect(equal(plain, before)).toBe(true);
    const kept = first.slice();
    plain.fill(0);
    sealed(from, random(9_000));
    expect(equal(first, kept)).toBe(true);
    expect(equal(opened(to, first), before)).toBe(true);
  });

  test("stops at the goodbye", () => {
    const { from } = pair();
    expect(from.end()).toHaveLength(34);
    expect(from.end()).toHaveLength(0);
    expect(() => from.seal([random(1)])).toThrow(TypeError);
    expect(() => from.seal([])).toThrow(TypeError);
  });

  test("never lets the header's scratch of one session reach the goodbye of another", () => {
    const [one, two] = [pair(), pair()];
    sealed(one.from, random(100));
    expect(two.to.open(two.from.end())).toEqual([]);
    expect(two.to.ended).toBe(true);
  });
});

describe("opening", () => {
  const plain = random(9_000);

  function wire(): { to: BoxStream; bytes: Uint8Array } {
    const { from, to } = pair();
    return { to, bytes: concat(sealed(from, plain), sealed(from, random(1)), from.end()) };
  }

  test("works in any split: byte by byte, and at random", () => {
    const whole = wire();
    const slowly = [...whole.bytes].map((_, i) => whole.bytes.subarray(i, i + 1));
    expect(equal(opened(whole.to, ...slowly).subarray(0, 9_000), plain)).toBe(true);
    expect(whole.to.ended).toBe(true);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9_136 }), { maxLength: 12 }), (cuts) => {
        const { to, bytes } = wire();
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const parts = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        const got = opened(to, ...parts);
        expect(got).toHaveLength(9_001);
        expect(equal(got.subarray(0, 9_000), plain)).toBe(true);
        expect(to.ended).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test("keeps no reference to a chunk, whole or partial", () => {
    const { to, bytes } = wire();
    const got: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += 1_000) {
      // A Buffer, as sockets give it: its slices are views.
      const chunk = Buffer.from(bytes.subarray(at, at + 1_000));
      got.push(...to.open(chunk));
      chunk.fill(0xaa);
    }
    expect(equal(concat(...got).subarray(0, 9_000), plain)).toBe(true);
  });

  test("holds what was opened apart from what comes later", () => {
    const { from, to } = pair();
    const first = opened(to, sealed(from, plain));
    to.open(sealed(from, random(9_000)));
    expect(equal(first, plain)).toBe(true);
  });

  test("takes bodies up to 65,535 bytes, as others may send, and empty ones", () => {
    for (const length of [4_097, 65_535]) {
      const direction = { key: random(32), nonce: new Uint8Array(24) };
      const body = random(length);
      expect(equal(opened(opener(direction), frameOf(direction, body)), body)).toBe(true);
    }
    const direction = { key: random(32), nonce: new Uint8Array(24) };
    const to = opener(direction);
    expect(to.open(frameOf(direction, new Uint8Array(0)))).toEqual([]);
    expect(to.ended).toBe(false);
    const behind = {
      key: direction.key,
      nonce: Uint8Array.from({ length: 24 }, (_, i) => (i === 23 ? 2 : 0)),
    };
    expect(opened(to, frameOf(behind, Uint8Array.of(7)))).toEqual(Uint8Array.of(7));
  });

  test("checks the MAC of an empty body", () => {
    const direction = { key: random(32), nonce: new Uint8Array(24) };
    const header = Uint8Array.of(0, 0, ...random(16));
    const to = opener(direction);
    const forged = xsalsa20poly1305(direction.key, direction.nonce).encrypt(header);
    expect(() => to.open(forged)).toThrow(malformed);
  });

  test("ignores what follows the goodbye, in the same chunk and later", () => {
    const { from, to } = pair();
    const bytes = concat(sealed(from, plain), from.end(), random(500));
    expect(opened(to, bytes)).toHaveLength(9_000);
    expect(to.ended).toBe(true);
    expect(to.open(random(70_000))).toEqual([]);
    expect(to.ended).toBe(true);
  });

  test("does not take a cut for an end", () => {
    const { to, bytes } = wire();
    to.open(bytes.subarray(0, -1));
    expect(to.ended).toBe(false);
    to.open(bytes.subarray(-1));
    expect(to.ended).toBe(true);
  });
});

describe("what breaks a session", () => {
  test("any bit changed, in header, body or goodbye", () => {
    const direction = { key: random(32), nonce: random(24) };
    const from = sealer(direction);
    const bytes = concat(sealed(from, random(20)), from.end());
    expect(bytes).toHaveLength(34 + 20 + 34);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      const to = opener(direction);
      expect(() => to.open(flipped), `bit ${bit}`).toThrow(malformed);
      expect(to.ended).toBe(false);
    }
  });

  test("a frame replayed, left out or out of order", () => {
    for (const order of [[0, 0], [1], [1, 0], [0, 2], [2, 1, 0]]) {
      const { from, to } = pair();
      const frames = [sealed(from, random(10)), sealed(from, random(10)), sealed(from, random(10))];
      expect(() => opened(to, ...order.map((i) => frames[i] as Uint8Array)), `${order}`).toThrow(
        malformed,
      );
    }
  });

  test("a goodbye from the past or our own frames sent back", () => {
    const [up, down] = [
      { key: random(32), nonce: random(24) },
      { key: random(32), nonce: random(24) },
    ];
    const ours = stream(up, down);
    const own = sealed(ours, random(10));
    expect(() => ours.open(own)).toThrow(malformed);
    const early = sealer(down).end();
    const late = stream(up, down);
    late.open(sealed(sealer(down), random(1)));
    expect(() => late.open(early)).toThrow(malformed);
  });

  test("and it stays broken, with an error that tells no secret", () => {
    const { from, to } = pair();
    const good = sealed(from, random(10));
    expect(() => to.open(random(34))).toThrow(ProtocolError);
    expect(() => to.open(good)).toThrow(malformed);
    expect(() => to.open(new Uint8Array(0))).toThrow(malformed);
    expect(to.ended).toBe(false);
  });

  test("random bytes, always and only with a ProtocolError", () => {
    const { to } = pair();
    expect(to.open(random(33))).toEqual([]);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 34, maxLength: 300 }), (bytes) => {
        expect(() => pair().to.open(bytes)).toThrow(malformed);
      }),
      { numRuns: 300 },
    );
  });

  test("a header whose length is not its body's", () => {
    const direction = { key: random(32), nonce: new Uint8Array(24) };
    for (const length of [9, 11]) {
      const frame = frameOf(direction, random(10), length);
      expect(() => opener(direction).open(concat(frame, random(34)))).toThrow(malformed);
    }
  });
});

describe("exported keys", () => {
  test("depend on the session and the label", () => {
    const key = pair().from.exportKey("datagrams");
    expect(key).toHaveLength(32);
    expect(equal(pair().to.exportKey("datagrams"), key)).toBe(true);
    expect(equal(pair().to.exportKey("datagram"), key)).toBe(false);
    const secrets = {
      sealKey: REMOTE,
      sealNonce: unused.nonce,
      openKey: REMOTE,
      openNonce: unused.nonce,
    };
    const other = new BoxStream({ ...secrets, shared: REMOTE }, REMOTE);
    expect(equal(other.exportKey("datagrams"), key)).toBe(false);
  });
});
