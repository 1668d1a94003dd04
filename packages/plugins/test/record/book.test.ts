import { Identity, PeerId, toUtf8 } from "@testudo/core";
import fc from "fast-check";
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

let invented = 0;

/** As one that was read, without the price of a signature. */
function made(number: number, seq: number, expiresAt: number): ContactRecord {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setInt32(0, number);
  const bytes = toUtf8(`${number} ${seq} ${expiresAt}`);
  return { id: PeerId.from(key), seq, addresses: [], puzzle: undefined, expiresAt, bytes };
}

/** Whose records are there, of the identities above; -1 for others. */
function held(book: RecordBook): number[] {
  return [...book.values()]
    .map(({ id }) => identities.findIndex((identity) => identity.id.text === id.text))
    .toSorted((a, b) => (a === -1 ? 1 : b === -1 ? -1 : a - b));
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

  it("is bounded: who is past makes room, or else who was longest not brought", () => {
    const book = new RecordBook({ maxRecords: 3 });
    for (const [who, left] of [300, 100, 200].entries()) book.put(record(who, 1, left), NOW);
    expect(book.put(record(0, 1, 300), NOW)).toBe("same");
    expect(book.put(record(3, 1, 50), NOW)).toBe("new");
    expect([book.size, book.marks]).toEqual([3, 1]);
    expect(held(book)).toEqual([0, 2, 3]);
    expect(book.put(record(4, 1, 100_000), NOW + CLOCK_SKEW_MS + 60_000)).toBe("new");
    expect([held(book), book.marks]).toEqual([[4], 0]);
    // A newer record of one that is there needs no room.
    const full = new RecordBook({ maxRecords: 1 });
    full.put(record(0, 1), NOW);
    expect(full.put(record(0, 2), NOW)).toBe("newer");
    expect(full.marks).toBe(0);
  });

  it("takes none that is older than one that had to go, until that one is past", () => {
    const book = new RecordBook({ maxRecords: 1 });
    const [old, current] = [record(0, 1, 2_000), record(0, 2, 1_000)];
    book.put(current, NOW);
    book.put(record(1, 1), NOW);
    expect(held(book)).toEqual([1]);
    expect(book.put(old, NOW)).toBe("older");
    expect(held(book)).toEqual([1]);
    const past = NOW + 1_000 + CLOCK_SKEW_MS;
    expect(book.put(old, past - 1)).toBe("older");
    expect(book.put(old, past)).toBe("new");
  });

  it("takes the one that had to go, and newer ones, again", () => {
    for (const seq of [2, 3]) {
      const book = new RecordBook({ maxRecords: 1 });
      book.put(record(0, 2), NOW);
      book.put(record(1, 1), NOW);
      expect(book.put(record(0, seq), NOW)).toBe(seq === 2 ? "new" : "newer");
      expect([held(book), book.marks]).toEqual([[0], 1]);
      expect(book.put(record(0, 1), NOW)).toBe("older");
    }
    const book = new RecordBook();
    book.put(record(0, 2), NOW);
    book.delete(record(0, 2).id.text);
    book.delete(record(0, 2).id.text);
    expect([book.size, book.marks, book.put(record(0, 1), NOW)]).toEqual([0, 1, "older"]);
  });

  it("knows bytes again, and no others", () => {
    const book = new RecordBook();
    const there = record(0, 1);
    book.put(there, NOW);
    expect(book.known(new Uint8Array(there.bytes))).toBe(there);
    const forged = new Uint8Array(there.bytes);
    forged[60] = (forged[60] as number) ^ 1;
    for (const bytes of [forged, there.bytes.subarray(0, 31), record(1, 1).bytes]) {
      expect(book.known(bytes)).toBeUndefined();
    }
  });
});

describe("a record book under pressure", () => {
  const stranger = "4:203.0.113";
  const friend = "4:192.0.2";
  const [victim] = identities as [Identity];
  const [old, current] = [1, 2].map((seq) => record(0, seq)) as [ContactRecord, ContactRecord];

  /** So many nodes that nobody ever saw, as late as a record may be. */
  function flood(book: RecordBook, count: number, source = stranger): void {
    const expiresAt = NOW + RECORD_LIFE_MS + CLOCK_SKEW_MS;
    for (let i = 0; i < count; i++) book.put(made(++invented, 1, expiresAt), NOW, source);
  }

  it("of a stranger takes no older record of whom it dialled, and still knows the newest", () => {
    const book = new RecordBook();
    book.put(current, NOW, stranger);
    book.reached(victim.id.text, friend);
    flood(book, 4_097);
    expect(book.put(old, NOW, stranger)).toBe("older");
    expect(book.get(victim.id.text)).toBe(current);
    expect(book.size).toBe(4_096);
  });

  it("lets him who brings most push out his own, for as long as he likes", () => {
    const book = new RecordBook();
    book.put(current, NOW, friend);
    flood(book, 80_000);
    expect(book.get(victim.id.text)).toBe(current);
    expect([book.size, book.marks]).toEqual([4_096, 65_536]);
  });

  it("remembers the number of what others brought, when their records had to go", () => {
    const book = new RecordBook({ maxRecords: 10, maxMarks: 100 });
    flood(book, 4, friend);
    book.put(current, NOW, friend);
    flood(book, 5, friend);
    flood(book, 1_000);
    book.delete(victim.id.text);
    flood(book, 1_000);
    expect(book.put(old, NOW, stranger)).toBe("older");
  });

  it("counts what two brought for the smaller", () => {
    const alone = new RecordBook({ maxRecords: 10, maxMarks: 100 });
    const both = new RecordBook({ maxRecords: 10, maxMarks: 100 });
    for (const book of [alone, both]) {
      book.put(current, NOW, stranger);
      if (book === both) book.put(current, NOW, friend);
      // It brought it last; what it told us before all others it can make us forget.
      book.known(current.bytes, stranger);
      flood(book, 200);
    }
    expect(both.get(victim.id.text)).toBe(current);
    expect(alone.put(old, NOW)).toBe("new");
    // What a stranger made newer was not his before.
    const book = new RecordBook({ maxRecords: 10, maxMarks: 100 });
    book.put(old, NOW, friend);
    book.put(current, NOW, stranger);
    flood(book, 200);
    expect(book.get(victim.id.text)).toBe(current);
    // Nor is it whose who brought even more.
    const crowd = new RecordBook({ maxRecords: 10 });
    crowd.put(current, NOW, friend);
    crowd.put(current, NOW, stranger);
    flood(crowd, 5, stranger);
    flood(crowd, 4, friend);
    flood(crowd, 1, "4:198.51.100");
    expect(crowd.marks).toBe(1);
    expect(crowd.get(victim.id.text)).toBeUndefined();
  });

  it("does so for numbers, and a record that comes back is whose its number was", () => {
    const book = new RecordBook({ maxRecords: 10, maxMarks: 100 });
    flood(book, 50);
    for (const source of [stranger, friend]) book.put(current, NOW, source);
    book.delete(victim.id.text);
    flood(book, 200);
    expect(book.put(old, NOW, stranger)).toBe("older");
    expect(book.put(current, NOW, stranger)).toBe("new");
    flood(book, 200);
    expect(book.get(victim.id.text)).toBe(current);
  });

  it("keeps the half of all records for whom it reached, and the latest of them", () => {
    const book = new RecordBook({ maxRecords: 4, maxMarks: 10 });
    for (const who of [0, 1, 2]) {
      book.put(record(who, 1), NOW, stranger);
      book.reached(identities[who]?.id.text ?? "", who === 0 ? stranger : undefined);
    }
    book.reached(record(4, 1).id.text);
    flood(book, 100);
    expect(held(book).slice(0, 2)).toEqual([1, 2]);
    expect([book.size, book.marks]).toEqual([4, 10]);
    book.reached(identities[1]?.id.text ?? "");
    book.put(record(3, 1), NOW, friend);
    book.reached(identities[3]?.id.text ?? "");
    flood(book, 100);
    expect(held(book).slice(0, 2)).toEqual([1, 3]);
    book.expire(NOW + RECORD_LIFE_MS + 2 * CLOCK_SKEW_MS);
    expect([book.size, book.marks, [...book.values()]]).toEqual([0, 0, []]);
  });
});

interface Step {
  readonly who: number;
  readonly seq: number;
  readonly left: number;
  readonly source: string;
  readonly act: "put" | "reached" | "delete" | "expire";
  readonly pass: number;
}

const MAX_RECORDS = 3;
const step = fc.record<Step>({
  who: fc.integer({ min: 1, max: 8 }),
  seq: fc.integer({ min: 1, max: 5 }),
  left: fc.oneof(fc.integer({ min: -20, max: 60 }), fc.constant(1_000)),
  source: fc.constantFrom("a", "b", "c"),
  act: fc.constantFrom("put", "put", "put", "reached", "delete", "expire"),
  pass: fc.constantFrom(0, 1, 10),
});

/** Does it all, and checks that no node's number goes down before its record is past. `trusts`: those of whom that is to hold. */
function check(steps: readonly Step[], maxMarks: number, trusts: (who: number) => boolean): void {
  const book = new RecordBook({ maxRecords: MAX_RECORDS, maxMarks });
  const latest = new Map<number, { seq: number; endsAt: number }>();
  // Where clocks may be wrong by so much, they look back no further.
  let now = NOW;
  for (const { who, seq, left, source, act, pass } of steps) {
    now += pass;
    const record = made(-who, seq, now + left - CLOCK_SKEW_MS);
    if (act === "reached") book.reached(record.id.text, source);
    else if (act === "delete") book.delete(record.id.text);
    else if (act === "expire") book.expire(now);
    else {
      const known = latest.get(who);
      const binds = known !== undefined && known.endsAt > now && trusts(who);
      const entered = book.put(record, now, source);
      if (left <= 0) expect(entered).toBe("expired");
      else if (binds && seq < known.seq) expect(entered).toBe("older");
      else if (binds && seq > known.seq) expect(entered).toBe("newer");
      if (entered === "new" || entered === "newer") {
        expect(book.get(record.id.text)).toBe(record);
        latest.set(who, { seq, endsAt: now + left });
      }
    }
    expect(book.size).toBeLessThanOrEqual(MAX_RECORDS);
    expect(book.marks).toBeLessThanOrEqual(maxMarks);
    expect([...book.values()].length).toBe(book.size);
  }
}

describe("in whatever order things come", () => {
  it("no number goes down before its record is past", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) =>
        check(steps, 8, () => true),
      ),
    );
  });

  it("nor does it where there is no room, for what others brought than who brings most", () => {
    const strange = fc.record<Step>({
      who: fc.integer({ min: 100, max: 10_000 }),
      seq: fc.constant(1),
      left: fc.integer({ min: 1, max: 100 }),
      source: fc.constant("stranger"),
      act: fc.constant("put"),
      pass: fc.constant(0),
    });
    // Eight nodes of three sources are at most eight numbers of one: with one more, the stranger has most.
    fc.assert(
      fc.property(
        fc.array(fc.oneof(step, strange, strange, strange), { minLength: 40, maxLength: 120 }),
        (steps) => check(steps, 16, (who) => who < 100),
      ),
    );
  });
});
