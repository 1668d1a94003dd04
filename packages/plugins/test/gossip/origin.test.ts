import { Identity, PeerId, toUtf8 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Author, ID_BYTES, ITEM_HEADER_BYTES, readItem } from "../../src/gossip/origin.ts";

const identity = Identity.fromSecret(new Uint8Array(32).fill(7));
const networkId = new Uint8Array(32).fill(1);
const author = (epoch: number = 1_000): Author =>
  new Author({ identity, networkId, epoch, now: 50 });
const say = (text: string): { opcode: number; body: Uint8Array } => ({
  opcode: 1_000,
  body: toUtf8(text),
});

describe("an item", () => {
  it("says who, when, which, and what", () => {
    const item = author().next(say("hello"), 75);
    expect(item).toMatchObject({ epoch: 1_000, seq: 1, time: 1_025, opcode: 1_000 });
    expect(item.origin.equals(identity.id)).toBe(true);
    expect(item.body).toEqual(toUtf8("hello"));
    expect(item.bytes.length).toBe(ITEM_HEADER_BYTES + 5);
    expect(item.isAuthentic(networkId)).toBe(true);
    expect(item.id).toHaveLength(ID_BYTES);
  });

  it("reads back as it was", () => {
    const item = author().next(say("hello"), 75);
    const again = readItem(new Uint8Array(item.bytes));
    expect(again.id).toBe(item.id);
    expect(again).toMatchObject({ epoch: 1_000, seq: 1, time: 1_025, originKey: item.originKey });
    expect(again.isAuthentic(networkId)).toBe(true);
  });

  it("is of one network", () => {
    expect(author().next(say("x"), 50).isAuthentic(new Uint8Array(32))).toBe(false);
  });

  it("cannot be changed in a single bit", () => {
    const { bytes } = author().next(say("x"), 50);
    for (let bit = 0; bit < bytes.length * 8; bit += 3) {
      const changed = new Uint8Array(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      let authentic = false;
      try {
        authentic = readItem(changed).isAuthentic(networkId);
      } catch {
        // Not even an item.
      }
      expect(authentic, `bit ${bit}`).toBe(false);
    }
  });

  it("is refused when no origin can have made it", () => {
    const { bytes } = author().next(say("x"), 50);
    const changed = (at: number, ...to: number[]): Uint8Array => {
      const copy = new Uint8Array(bytes);
      copy.set(to, at);
      return copy;
    };
    expect(() => readItem(bytes.subarray(0, ITEM_HEADER_BYTES - 1))).toThrow("shorter");
    expect(() => readItem(changed(104, 0, 0, 0, 0))).toThrow("seq is 0");
    expect(() => readItem(changed(114, 1))).toThrow("beyond all clocks");
    expect(() => readItem(changed(115, 255))).toThrow("beyond all clocks");
    expect(() => readItem(changed(108, 0, 0, 0, 0, 0, 0, 0, 0))).toThrow("older than");
  });

  it("survives anything that is read as one", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        let item: ReturnType<typeof readItem>;
        try {
          item = readItem(bytes);
        } catch (error) {
          return error instanceof Error;
        }
        return !item.isAuthentic(networkId) && item.origin instanceof PeerId;
      }),
    );
  });
});

describe("an author", () => {
  it("counts from one, and never runs backwards", () => {
    const made = author();
    const items = [60, 55, 40, 80].map((now) => made.next(say("x"), now));
    expect(items.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    expect(items.every(({ time, epoch }) => time >= epoch)).toBe(true);
    expect(new Set(items.map(({ id }) => id)).size).toBe(4);
  });

  it("begins a new epoch when others know a later one", () => {
    const made = author();
    made.next(say("x"), 60);
    made.raise(900, 70);
    expect(made.epoch).toBe(1_000);
    made.raise(5_000, 70);
    expect(made.next(say("x"), 90)).toMatchObject({ epoch: 5_000, seq: 1, time: 5_020 });
  });
});
