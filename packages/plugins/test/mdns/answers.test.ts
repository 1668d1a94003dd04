import { PeerId, toUtf8 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answersOf,
  MAX_ANSWER_BYTES,
  MAX_TEXTS,
  neighboursIn,
  serviceName,
} from "../../src/mdns/answers.ts";

const own = PeerId.from(new Uint8Array(32).fill(1));
const other = PeerId.from(new Uint8Array(32).fill(2));
const at = (host: string, id: PeerId = other, port: number = 9_000): string =>
  `net:${host}:${port}~noise:${id.text}`;

describe("the place where nodes meet", () => {
  it("is one for each network, and fits into a name", () => {
    const one = serviceName(new Uint8Array(32).fill(1));
    expect(one).toMatch(/^[0-9a-f]{20}\._testudo\._udp\.local$/);
    expect(serviceName(new Uint8Array(32).fill(1))).toBe(one);
    expect(serviceName(new Uint8Array(32).fill(2))).not.toBe(one);
  });
});

describe("what a node tells its neighbours", () => {
  const said = [
    `${at("192.168.1.2", own)};${at("example.org", own)};${at("127.0.0.1", own)}`,
    at("10.0.0.1", own),
    at("10.0.0.1", other),
    "net:10.0.0.1:9000~noise",
  ];

  it("is where it can be reached from this link, one route each", () => {
    expect(answersOf(said, own, { device: false })).toEqual([
      at("192.168.1.2", own),
      at("10.0.0.1", own),
    ]);
    expect(answersOf(said, own, { device: true })).toEqual([
      at("192.168.1.2", own),
      at("127.0.0.1", own),
      at("10.0.0.1", own),
    ]);
  });

  it("fits into one packet", () => {
    const many = Array.from({ length: 30 }, (_, i) => at(`192.168.1.${i}`, own));
    expect(answersOf(many, own, { device: false })).toEqual(many.slice(0, MAX_TEXTS));
    const label = "a".repeat(60);
    const long = Array.from({ length: 9 }, (_, i) => at(`${label}.${label}.${i}.local`, own));
    const told = answersOf(long, own, { device: false });
    expect(told.length).toBeGreaterThan(3);
    expect(told.join("").length).toBeLessThanOrEqual(MAX_ANSWER_BYTES);
    const tooLong = at(`${label}.${label}.${label}.${label}.local`, own);
    expect(answersOf([tooLong, at("10.0.0.1", own)], own, { device: false })).toEqual([
      at("10.0.0.1", own),
    ]);
  });
});

describe("what a node takes from its neighbours", () => {
  const take = (texts: readonly string[], from: string = "192.168.1.9"): string[] =>
    neighboursIn(texts.map(toUtf8), from, own).map(({ address }) => address);

  it("is ways on this link to others that name their key", () => {
    const good = [at("192.168.1.3"), at("fe80::1"), at("printer.local")];
    const bad = [
      at("example.org"),
      at("127.0.0.1"),
      at("127.1"),
      at("192.168.1.3", own),
      "net:192.168.1.3:1~noise",
      "net:192.168.1.3:1~noise:not-a-key",
      `${at("192.168.1.3")}~shs:${own.text}`,
      `${at("192.168.1.3")};${at("192.168.1.4")}`,
      "",
      "::::",
      `net:192.168.1.3:1~noise:${other.text}\u0000`,
    ];
    for (const text of bad) expect([text, take([text])]).toEqual([text, []]);
    expect(take(good)).toEqual(good);
    expect(neighboursIn([toUtf8(good[0] as string)], "192.168.1.9", own)).toEqual([
      { id: other, address: good[0] },
    ]);
  });

  it("comes from this link, and is of this machine only if it comes from there", () => {
    const both = [at("127.0.0.1"), at("10.0.0.1")];
    expect(take(both, "127.0.0.1")).toEqual(both);
    expect(take(both, "10.0.0.7")).toEqual([at("10.0.0.1")]);
    expect(take(both, "8.8.8.8")).toEqual([]);
    expect(take(both, "2001:db8::1")).toEqual([]);
  });

  it("is bounded, and never an error", () => {
    const many = Array.from({ length: 50 }, (_, i) => at("10.0.0.1", other, i));
    expect(take(many)).toEqual(many.slice(0, MAX_TEXTS));
    expect(neighboursIn([new Uint8Array([0xff, 0xfe])], "10.0.0.1", own)).toEqual([]);
    expect(neighboursIn([new Uint8Array(256).fill(97)], "10.0.0.1", own)).toEqual([]);
    const part = fc.constantFrom(
      "net:",
      "~",
      ":",
      "!",
      ";",
      "10.0.0.1",
      `noise:${other.text}`,
      "é",
    );
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(part, { maxLength: 8 }).map((parts) => toUtf8(parts.join(""))),
    );
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 12 }), fc.ipV4(), (texts, from) => {
        expect(neighboursIn(texts, from, own).length).toBeLessThanOrEqual(MAX_TEXTS);
      }),
      { numRuns: 1_000 },
    );
  });
});
