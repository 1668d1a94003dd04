import { Identity } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { Author, type Item } from "../../src/gossip/origin.ts";
import { Window } from "../../src/gossip/window.ts";

const author = new Author({
  identity: Identity.fromSecret(new Uint8Array(32).fill(3)),
  networkId: new Uint8Array(32),
  epoch: 1_000,
  now: 0,
});
const item = (now: number, size: number = 10): Item =>
  author.next({ opcode: 1_000, body: new Uint8Array(size) }, now);

describe("a window", () => {
  it("keeps what came, and says how old it is", () => {
    const window = new Window();
    const [a, b] = [item(0), item(5)];
    window.add(a, 100);
    window.add(b, 200, 50);
    window.add(a, 300);
    expect(window.size).toBe(2);
    expect(window.bytes).toBe(a.bytes.length + b.bytes.length);
    expect(window.get(a.id)).toBe(a);
    expect([window.ageOf(a.id, 400), window.ageOf(b.id, 400), window.ageOf("?", 400)]).toEqual([
      300, 250, 0,
    ]);
  });

  it("is bounded in items, bytes and age", () => {
    const few = new Window({ maxItems: 3 });
    const items = Array.from({ length: 5 }, (_, i) => item(i));
    for (const each of items) few.add(each, 0);
    expect(items.map(({ id }) => few.has(id))).toEqual([false, false, true, true, true]);
    const small = new Window({ maxBytes: 300 });
    for (const each of items) small.add(each, 0);
    expect(small.bytes).toBeLessThanOrEqual(300);
    const large = item(9, 400);
    small.add(large, 0);
    expect(small.has(large.id)).toBe(false);
    const short = new Window({ keepMs: 640 });
    for (const [i, each] of items.entries()) short.add(each, 100 * i);
    short.expire(800);
    expect(items.map(({ id }) => short.has(id))).toEqual([false, false, true, true, true]);
    expect(short.has(items[2]?.id as string)).toBe(true);
    const stale = item(10);
    short.add(stale, 800, 640);
    expect(short.has(stale.id)).toBe(false);
  });

  it("compares only what has settled", () => {
    const window = new Window({ settledMs: 100 });
    const [a, b, c] = [item(0), item(1), item(2)];
    window.add(a, 0);
    window.add(b, 50);
    window.add(c, 60, 100);
    expect(window.ids.size).toBe(1);
    window.settle(120);
    expect(window.ids.size).toBe(2);
    window.settle(150);
    expect(window.ids.size).toBe(3);
    window.clear();
    expect([window.size, window.bytes, window.ids.size]).toEqual([0, 0, 0]);
  });

  it("forgets what had not settled as well", () => {
    const window = new Window({ maxItems: 1, settledMs: 100 });
    for (let i = 0; i < 5; i++) window.add(item(i), i);
    window.settle(1_000);
    expect([window.size, window.ids.size]).toEqual([1, 1]);
  });
});
