import { Identity, networkError, toHex, toUtf8, verify, writeU64 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addressesFor,
  CLOCK_SKEW_MS,
  type ContactRecord,
  isExpired,
  MAX_ADDRESSES,
  MAX_RECORD_BYTES,
  PUZZLE_BYTES,
  RECORD_LIFE_MS,
  readRecord,
  signRecord,
} from "../../src/record/record.ts";

const NOW = 1_700_000_000_000;
const networkId = new Uint8Array(32).fill(7);
const alice = Identity.fromSecret(new Uint8Array(32).fill(1));
const mallory = Identity.fromSecret(new Uint8Array(32).fill(2));
const KEY = alice.id.text;
const ROUTE = `net:example.org:9000~noise:${KEY}`;

function sign(
  addresses: readonly string[] = [ROUTE],
  {
    seq = NOW,
    expiresAt = NOW + RECORD_LIFE_MS,
    puzzle = undefined as Uint8Array | undefined,
  } = {},
): ContactRecord {
  return signRecord(alice, { networkId, seq, addresses, puzzle, expiresAt });
}

const read = (bytes: Uint8Array, now: number = NOW): ContactRecord =>
  readRecord(bytes, { networkId, now });

/** A record with these texts in it, whatever they are, and a signature that is right. */
function forged(texts: readonly Uint8Array[], count: number = texts.length): Uint8Array {
  const body = new Uint8Array([
    ...sign([]).bytes.subarray(0, 49),
    count,
    ...texts.flatMap((each) => [each.length & 0xff, each.length >>> 8, ...each]),
  ]);
  return resigned(body);
}

function resigned(body: Uint8Array): Uint8Array {
  const said = new Uint8Array([...toUtf8("testudo/record/1"), ...networkId, ...body]);
  return new Uint8Array([...body, ...alice.sign(said)]);
}

describe("a contact record", () => {
  it("is read as it was signed", () => {
    const puzzle = new Uint8Array(PUZZLE_BYTES).fill(3);
    for (const record of [
      sign(),
      sign([]),
      sign([ROUTE, `ws://example.org:80~noise:${KEY}`], { puzzle }),
    ]) {
      const got = read(record.bytes);
      expect(got).toEqual(record);
      expect(got.bytes).not.toBe(record.bytes);
    }
  });

  it("has the layout of docs/protocol.md", () => {
    const { bytes } = sign([ROUTE], { puzzle: new Uint8Array(PUZZLE_BYTES).fill(9) });
    const route = toUtf8(ROUTE);
    const numbers = new Uint8Array(16);
    writeU64(numbers, 0, NOW);
    writeU64(numbers, 8, NOW + RECORD_LIFE_MS);
    const body = new Uint8Array([
      ...alice.publicKey,
      ...numbers,
      ...[PUZZLE_BYTES, ...new Uint8Array(PUZZLE_BYTES).fill(9)],
      ...[1, route.length, 0, ...route],
    ]);
    expect(toHex(bytes.subarray(0, -64))).toBe(toHex(body));
    const said = new Uint8Array([...toUtf8("testudo/record/1"), ...networkId, ...body]);
    expect(verify(alice.id, said, bytes.subarray(-64))).toBe(true);
  });

  it("is these bytes", () => {
    // Fixed for ever: what one version signs the next must read.
    expect(toHex(sign([`net:192.0.2.1:1~noise:${KEY}`]).bytes)).toMatchInlineSnapshot(
      `"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0068e5cf8b01000000c40bd58b010000000142006e65743a3139322e302e322e313a317e6e6f6973653a696f6a6a3358514a385a583955747374504c70646373706e436238646c42496238335349416251506231773d408a38bc581dd0bbb5c44da53b15d25cb68708c79622f5f15a282f972847af87d86b43964668ac018de16e84796e0efd916368866ea116cf0f04d1b75b66080c"`,
    );
    expect(
      toHex(sign([], { puzzle: new Uint8Array(PUZZLE_BYTES).fill(1) }).bytes),
    ).toMatchInlineSnapshot(
      `"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0068e5cf8b01000000c40bd58b01000008010101010101010100809b6444d0ab6598b6012cf07bbddf7c8e4c29c89f67d54f4ad6c761754aee4887c3bb93e088fe732a6bffe3f7479baf494daaecbf30dcfdd1e6658f6f8b380e"`,
    );
  });

  it("cannot be changed in a single bit, nor read in another network", () => {
    const { bytes } = sign();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = new Uint8Array(bytes);
      changed[bit >>> 3] = (changed[bit >>> 3] as number) ^ (1 << (bit & 7));
      expect(() => read(changed)).toThrow(/contact record/);
    }
    const another = { networkId: new Uint8Array(32).fill(8), now: NOW };
    expect(() => readRecord(bytes, another)).toThrow(/signature does not verify/);
  });

  it("cannot be cut, lengthened, or larger than 2 KiB", () => {
    const { bytes } = sign();
    for (let length = 0; length < bytes.length; length++) {
      expect(() => read(bytes.subarray(0, length))).toThrow(/contact record/);
    }
    expect(() => read(new Uint8Array([...bytes, 0]))).toThrow(/contact record/);
    expect(() => read(new Uint8Array(MAX_RECORD_BYTES + 1))).toThrow(/exceeds/);
  });

  it("has at most eight addresses and two kibibytes, as signed", () => {
    const many = Array.from(
      { length: 20 },
      (_, port) => `net:example.org:${port + 1}~noise:${KEY}`,
    );
    expect(sign(many).addresses).toEqual(many.slice(0, MAX_ADDRESSES));
    const long = `net:${"a".repeat(1_900)}.org:1~noise:${KEY}`;
    const kept = sign([ROUTE, long, many[0] as string]);
    expect(kept.addresses).toEqual([ROUTE, many[0]]);
    expect(sign([long.replace("aaaaaaaaaa", "")]).bytes.length).toBeLessThanOrEqual(
      MAX_RECORD_BYTES,
    );
  });

  it("has at most eight alternatives as read, however they are packed", () => {
    const routes = Array.from({ length: 12 }, (_, port) => `net:a:${port + 1}~noise:${KEY}`);
    expect(read(forged([toUtf8(routes.join(";"))])).addresses).toEqual(routes.slice(0, 8));
    const texts = routes.slice(0, 9).map(toUtf8);
    expect(() => read(forged(texts))).toThrow(/has 9 addresses/);
    expect(() => read(forged(texts.slice(0, 2), 3))).toThrow(/cut off/);
    expect(() => read(forged(texts.slice(0, 2), 1))).toThrow(/left over/);
    expect(() => read(forged([Uint8Array.of(0xff, 0xfe)]))).toThrow(/no text/);
  });

  it("says nothing about ways that do not name its key: they are left out, signed or read", () => {
    const others = [
      "net:example.org:1~noise",
      "net:example.org:1~noauth",
      "net:example.org:1",
      `net:example.org:1~noise:${mallory.id.text}`,
      `net:example.org:1~noise:${KEY}~shs:${mallory.id.text}`,
      "net:example.org:1~noise:not-a-key",
    ];
    expect(sign([...others, ROUTE]).addresses).toEqual([ROUTE]);
    const texts = [...others, "::::", "", ROUTE].map(toUtf8);
    expect(read(forged(texts.slice(1))).addresses).toEqual([ROUTE]);
    const packed = `net:example.org:2~noise:${KEY}~gzip`;
    expect(sign([packed]).addresses).toEqual([packed]);
  });

  it("takes the key in any of its spellings", () => {
    const urlSafe = KEY.replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
    for (const key of [urlSafe, `@${KEY}.ed25519`]) {
      const address = `net:example.org:1~shs:${key}`;
      expect(read(sign([address]).bytes).addresses).toEqual([address]);
    }
  });

  it("lives a day, and a day longer for whose clock is wrong", () => {
    const { bytes, expiresAt } = sign();
    expect(read(bytes, expiresAt + CLOCK_SKEW_MS - 1).seq).toBe(NOW);
    expect(() => read(bytes, expiresAt + CLOCK_SKEW_MS)).toThrow(/past its date/);
    expect(read(bytes, NOW - CLOCK_SKEW_MS).seq).toBe(NOW);
    expect(() => read(bytes, NOW - CLOCK_SKEW_MS - 1)).toThrow(/lasts too long/);
    expect([isExpired(0, CLOCK_SKEW_MS - 1), isExpired(0, CLOCK_SKEW_MS)]).toEqual([false, true]);
  });

  it("is refused with one code, whatever is wrong with it", () => {
    const code = networkError("BODY_MALFORMED", "").code;
    for (const bytes of [new Uint8Array(0), new Uint8Array(300), sign().bytes.subarray(1)]) {
      expect(() => read(bytes)).toThrow(expect.objectContaining({ code }));
    }
    const odd = new Uint8Array(sign().bytes);
    odd[48] = 7;
    expect(() => read(odd)).toThrow(/puzzle/);
    odd.set(new Uint8Array(8).fill(0xff), 32);
    odd[48] = 0;
    expect(() => read(odd)).toThrow(/2\^53/);
  });

  it("cannot be signed with numbers or puzzles that make no sense", () => {
    for (const seq of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => sign([], { seq })).toThrow(RangeError);
      expect(() => sign([], { expiresAt: seq })).toThrow(RangeError);
    }
    expect(() => sign([], { puzzle: new Uint8Array(7) })).toThrow(RangeError);
    expect(() => sign(["not an address:"])).toThrow(/cannot be read/);
  });

  it("holds for any addresses", () => {
    const hosts = fc.array(fc.domain(), { maxLength: 12 });
    fc.assert(
      fc.property(hosts, fc.maxSafeNat(), (names, seq) => {
        const addresses = names.map((name, port) => `net:${name}:${port}~noise:${KEY}`);
        const record = sign(addresses, { seq });
        expect(read(record.bytes)).toEqual(record);
        expect(record.addresses.every((each) => addresses.includes(each))).toBe(true);
        expect(record.bytes.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
      }),
      { numRuns: 50 },
    );
  });
});

describe("the addresses of a record for somebody", () => {
  const far = ROUTE;
  const near = `net:192.168.1.2:9000~noise:${KEY}`;
  const here = `net:127.0.0.1:9000~noise:${KEY}`;
  const record = sign([far, near, here]);

  it("are those that he can reach from where he is", () => {
    expect(addressesFor(record, "device")).toEqual([far, near, here]);
    expect(addressesFor(record, "local")).toEqual([far, near]);
    expect(addressesFor(record, "private")).toEqual([far, near]);
    expect(addressesFor(record, "public")).toEqual([far]);
  });
});
