import { Identity } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { RecordBook } from "../../src/record/book.ts";
import {
  CLOCK_SKEW_MS,
  type ContactRecord,
  RECORD_LIFE_MS,
  signRecord,
} from "../../src/record/record.ts";

const NOW = 1_700_000_000_000;
const networkId = new Uint8Array(32);
const identities = Array.from({ length: 5 }, (_, i) =>
  Identity.fromSecret(new Uint8Array(32).fill(i + 1)),
);

function record(who: number, seq: number, left: number = RECORD_LIFE_MS): ContactRecord {
  const identity = identities[who] as Identity;
  return signRecord(identity, { networkId, seq, addresses: [], expiresAt: NOW + left });
}

describe("a record book", () => {
  it("keeps the newest of each node; of two with one number the first", () => {
    const book = new RecordBook();
    const [first, second, third] = [record(0, 5), record(0, 6), record(0, 6, 1_000)];
    expect(book.put(first, NOW)).toBe("new");
    expect(book.put(first, NOW)).toBe("same");
    expect(book.put(second, NOW)).toBe("newer");
    expect(book.put(first, NOW)).toBe("older");
    expect(book.put(third, NOW)).toBe("older");
    expect(book.get(second.id.text)).toBe(second);
    expect(book.put(record(1, 1), NOW)).toBe("new");
    expect(book.size).toBe(2);
    expect([...book.values()].map(({ seq }) => seq)).toEqual([6, 1]);
    book.delete(second.id.text);
    expect([book.size, book.get(second.id.text)]).toEqual([1, undefined]);
  });

  it("takes none that is past, and drops those that are", () => {
    const book = new RecordBook();
    const past = NOW + CLOCK_SKEW_MS;
    expect(book.put(record(0, 1, 0), past)).toBe("expired");
    expect(book.put(record(0, 1, 1), past)).toBe("new");
    expect(book.put(record(1, 1, 2), past)).toBe("new");
    book.expire(past + 1);
    expect([...book.values()].map(({ id }) => id.text)).toEqual([identities[1]?.id.text]);
  });

  it("is bounded: who is past makes room, or else who is so first", () => {
    const book = new RecordBook({ maxRecords: 3 });
    for (const [who, left] of [300, 100, 200].entries()) book.put(record(who, 1, left), NOW);
    expect(book.put(record(3, 1, 50), NOW)).toBe("new");
    expect(book.size).toBe(3);
    expect(book.get(identities[1]?.id.text ?? "")).toBeUndefined();
    expect(book.put(record(4, 1, 500), NOW + CLOCK_SKEW_MS + 250)).toBe("new");
    expect([...book.values()].map(({ id }) => id.text)).toEqual(
      [0, 4].map((who) => identities[who]?.id.text),
    );
    // A newer record of one that is there needs no room.
    const full = new RecordBook({ maxRecords: 1 });
    full.put(record(0, 1), NOW);
    expect(full.put(record(0, 2), NOW)).toBe("newer");
  });
});
