import { Identity, toHex } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareDistance } from "../../src/kademlia/node-id.ts";
import { STORED, Store } from "../../src/kademlia/store.ts";
import { contentValue, signedValue, VALUE_LIFE_MS } from "../../src/kademlia/value.ts";

const networkId = new Uint8Array(32).fill(1);
const self = new Uint8Array(32);
const identity = Identity.fromSecret(new Uint8Array(32).fill(9));
const NOW = 1_700_000_000_000;

const content = (n: number) => contentValue(Uint8Array.of(n, n >> 8));
const signed = (seq: number, more: { content?: number; lifeMs?: number } = {}) =>
  signedValue(identity, {
    networkId,
    salt: new Uint8Array(0),
    seq,
    content: Uint8Array.of(more.content ?? 0),
    expiresAt: NOW + (more.lifeMs ?? 60_000),
  });

describe("what is kept", () => {
  it("is a content value for its life, longer when it comes again", () => {
    const store = new Store({ self });
    const value = content(1);
    expect(store.put(value, NOW)).toBe(STORED.stored);
    expect(store.get(value.key, NOW + VALUE_LIFE_MS - 1)).toBe(value);
    expect(store.get(value.key, NOW + VALUE_LIFE_MS)).toBeUndefined();
    store.put(value, NOW + 1_000);
    expect(store.get(value.key, NOW + VALUE_LIFE_MS)).toBe(value);
    store.expire(NOW + VALUE_LIFE_MS + 1_000);
    expect(store.size).toBe(0);
    expect(store.bytes).toBe(0);
  });

  it("lives no longer for who says that less is left, and never longer than a life", () => {
    const store = new Store({ self });
    const value = content(1);
    store.put(value, NOW, 60_000);
    expect(store.leftMs(value.key, NOW)).toBe(60_000);
    store.put(value, NOW + 10_000, 20_000);
    expect(store.leftMs(value.key, NOW + 10_000)).toBe(50_000);
    store.put(value, NOW + 10_000, 10 * VALUE_LIFE_MS);
    expect(store.leftMs(value.key, NOW + 10_000)).toBe(VALUE_LIFE_MS);
    expect(store.put(content(2), NOW, 0)).toBe(STORED.expired);
    expect(store.leftMs(content(2).key, NOW)).toBe(0);
  });

  it("is a signed value until its owner's date, and never longer than a life", () => {
    const store = new Store({ self });
    const short = signed(1);
    store.put(short, NOW);
    expect(store.get(short.key, NOW + 59_999)).toBe(short);
    expect(store.get(short.key, NOW + 60_000)).toBeUndefined();
    const long = signed(2, { lifeMs: 10 * VALUE_LIFE_MS });
    store.put(long, NOW);
    expect(store.get(long.key, NOW + VALUE_LIFE_MS)).toBeUndefined();
    expect(store.put(signed(3, { lifeMs: 0 }), NOW)).toBe(STORED.expired);
  });

  it("is the highest number of an owner's value, and the first of two with one number", () => {
    const store = new Store({ self });
    const first = signed(5);
    expect(store.put(first, NOW)).toBe(STORED.stored);
    expect(store.put(signed(4), NOW)).toBe(STORED.older);
    expect(store.put(signed(5, { content: 1 }), NOW)).toBe(STORED.older);
    expect(store.put(signed(5), NOW)).toBe(STORED.stored);
    const newer = signed(6);
    expect(store.put(newer, NOW)).toBe(STORED.stored);
    expect(store.get(first.key, NOW)).toBe(newer);
    expect(store.size).toBe(1);
  });
});

describe("a full store", () => {
  it("holds what is nearest, within its bounds, whatever comes in which order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(500), { minLength: 1, maxLength: 80 }),
        fc.integer({ min: 1, max: 20 }),
        (numbers, maxValues) => {
          const store = new Store({ self, maxValues });
          for (const n of numbers) {
            const before = store.size;
            const outcome = store.put(content(n), NOW);
            expect([STORED.stored, STORED.full]).toContain(outcome);
            expect(store.size).toBeGreaterThanOrEqual(before);
            expect(store.size).toBeLessThanOrEqual(maxValues);
          }
          const nearest = [...new Set(numbers)]
            .map(content)
            .sort((a, b) => compareDistance(self, a.key, b.key))
            .slice(0, maxValues);
          expect(nearest.map(({ key }) => toHex(key))).toEqual(
            nearest.filter(({ key }) => store.get(key, NOW)).map(({ key }) => toHex(key)),
          );
          expect(store.bytes).toBe(3 * store.size);
        },
      ),
    );
  });

  /** Of which the first byte of the key is in that range. */
  const at = (least: number, most: number, count: number, from = 0) => {
    const found = [];
    for (let n = from; found.length < count; n++) {
      const value = contentValue(Uint8Array.of(n, n >> 8, n >> 16));
      const place = value.key[0] ?? 0;
      if (place >= least && place <= most) found.push(value);
    }
    return found;
  };

  it("makes room among what the source brought that has most of it, however near to us", () => {
    const store = new Store({ self, maxValues: 32 });
    const honest = at(100, 255, 4);
    const near = at(0, 50, 200);
    for (const value of honest) store.put(value, NOW, VALUE_LIFE_MS, "honest");
    for (const value of near) store.put(value, NOW, VALUE_LIFE_MS, "sybil");
    for (const { key } of honest) expect(store.get(key, NOW)).toBeDefined();
    const nearest = near.toSorted((a, b) => compareDistance(self, a.key, b.key));
    for (const { key } of nearest.slice(0, 28)) expect(store.get(key, NOW)).toBeDefined();
    // And others find room until they have as much as he.
    const more = at(100, 255, 8, 50_000);
    for (const value of more)
      expect(store.put(value, NOW, VALUE_LIFE_MS, "other")).toBe(STORED.stored);
    for (const { key } of honest) expect(store.get(key, NOW)).toBeDefined();
    expect(store.size).toBe(32);
  });

  it("counts bytes as it counts values", () => {
    const store = new Store({ self, maxBytes: 4_000 });
    const honest = at(100, 255, 20);
    for (const value of honest) store.put(value, NOW, VALUE_LIFE_MS, "honest");
    for (let n = 0; n < 200; n++) {
      store.put(contentValue(new Uint8Array(1_000).fill(n)), NOW, VALUE_LIFE_MS, "sybil");
      expect(store.bytes).toBeLessThanOrEqual(4_000);
    }
    for (const { key } of honest) expect(store.get(key, NOW)).toBeDefined();
  });

  it("counts what two brought for the one that takes less, so that nobody makes it his to drop it", () => {
    const honest = at(100, 255, 8);
    const near = at(0, 50, 100);
    for (const order of [
      ["honest", "sybil", "another"],
      ["another", "sybil", "honest"],
    ]) {
      const store = new Store({ self, maxValues: 32 });
      for (const source of order) {
        for (const value of honest) store.put(value, NOW, VALUE_LIFE_MS, source);
        if (source === "honest") continue;
        for (const value of near) store.put(value, NOW, VALUE_LIFE_MS, source);
      }
      for (const { key } of honest) expect(store.get(key, NOW), order[0]).toBeDefined();
    }
  });

  it("keeps its books, whatever comes from whom", () => {
    const one = fc.record({
      n: fc.nat(40),
      size: fc.integer({ min: 1, max: 60 }),
      source: fc.constantFrom("a", "b", "c", undefined),
      lifeMs: fc.constantFrom(5, 1_000),
      later: fc.nat(4),
    });
    const last = at(0, 255, 12);
    fc.assert(
      fc.property(fc.array(one, { maxLength: 120 }), (puts) => {
        const store = new Store({ self, maxValues: 12, maxBytes: 300 });
        let now = NOW;
        for (const { n, size, source, lifeMs, later } of puts) {
          now += later;
          const value = contentValue(new Uint8Array(size).fill(n));
          const { size: before } = store;
          const outcome = store.put(value, now, lifeMs, source);
          if (outcome === STORED.stored) expect(store.get(value.key, now)).toBe(value);
          else expect(store.size).toBeLessThanOrEqual(before);
          expect(store.size).toBeLessThanOrEqual(12);
          expect(store.bytes).toBeLessThanOrEqual(300);
        }
        store.expire(now + 2_000);
        expect([store.size, store.bytes]).toEqual([0, 0]);
        // Nobody is charged any more for what is gone.
        for (const value of last) store.put(value, now, VALUE_LIFE_MS, "a");
        store.put(content(400), now, VALUE_LIFE_MS, "b");
        expect(store.get(content(400).key, now)).toBeDefined();
      }),
    );
  });

  it("drops nothing for a value that does not fit all the same", () => {
    const store = new Store({ self, maxBytes: 10 });
    for (const n of [1, 2, 3]) store.put(content(n), NOW);
    expect(store.put(contentValue(new Uint8Array(100)), NOW)).toBe(STORED.full);
    expect(store.size).toBe(3);
  });

  it("drops what is past first", () => {
    const store = new Store({ self, maxValues: 1 });
    store.put(signed(1), NOW);
    expect(store.put(content(1), NOW + 60_000)).toBe(STORED.stored);
  });
});

it("says what nobody put again for a while", () => {
  const store = new Store({ self });
  const [a, b] = [content(1), content(2)];
  store.put(a, NOW);
  store.put(b, NOW + 10);
  expect(store.due(NOW + 5)).toEqual([a]);
  store.renewed(a, NOW + 20);
  expect(store.due(NOW + 5)).toEqual([]);
  expect(store.due(NOW + 10)).toEqual([b]);
});
