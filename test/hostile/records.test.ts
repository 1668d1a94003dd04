/**
 * Contact records under fire: whatever bytes come, a record that says what its owner signed, or one documented error.
 * How to ask for more inputs, for others, or for one alone: fuzz.ts.
 */

import { concat, Identity, parseAddress, toUtf8 } from "@testudo/core";
import {
  type ContactRecord,
  MAX_ADDRESSES,
  MAX_RECORD_BYTES,
  RECORD_LIFE_MS,
  RecordBook,
  readRecord,
  signRecord,
} from "@testudo/plugins/record";
import { describe, expect, it } from "vitest";
import { codeOf, fuzz, must, mustBe, mustEqual, mutate, PATIENCE_MS, type Random } from "./fuzz.ts";

const NOW = 1_700_000_000_000;
const networkId = new Uint8Array(32).fill(3);
const identities = [1, 2, 3].map((fill) => Identity.fromSecret(new Uint8Array(32).fill(fill)));
const [owner] = identities as [Identity];
const SEPARATORS = ["~", ";", ":", "!", "", "net:", `noise:${owner.id.text}`, "\u0000", "é"];

function text(random: Random): string {
  const parts: string[] = [];
  for (let left = random.below(6); left > 0; left--) parts.push(random.pick(SEPARATORS));
  return random.rarely(2)
    ? `net:${random.below(256)}.0.0.1:${random.below(70_000)}~noise:${owner.id.text}`
    : parts.join("");
}

/** Valid ones, made once: signing costs more than all the rest. */
const samples = Array.from({ length: 50 }, (_, i) =>
  signRecord(owner, {
    networkId,
    seq: i,
    addresses: Array.from({ length: i % 9 }, (_, port) => `net:10.0.0.1:${port}~noise:${owner.id}`),
    puzzle: i % 2 === 0 ? new Uint8Array(8).fill(i) : undefined,
    expiresAt: NOW + RECORD_LIFE_MS,
  }),
);

/** What its owner could sign, and no honest node would. */
function perverse(random: Random): Uint8Array {
  const head = mutate(random, random.pick(samples).bytes.subarray(32, 49));
  const texts = Array.from({ length: random.below(12) }, () => toUtf8(text(random)));
  const count = random.rarely(4) ? random.below(256) : texts.length;
  const lengths = texts.flatMap((each) => [Uint8Array.of(each.length, each.length >>> 8), each]);
  const body = concat(owner.publicKey, head, Uint8Array.of(count), ...lengths);
  return concat(body, owner.sign(concat(toUtf8("testudo/record/1"), networkId, body)));
}

function make(random: Random): Uint8Array {
  const kind = random.below(16);
  if (kind === 0) return perverse(random);
  if (kind === 1) return random.bytes(random.length(2_200));
  const { bytes } = random.pick(samples);
  return kind < 4 ? bytes : mutate(random, bytes);
}

describe("readRecord", () => {
  it(
    "any bytes: a bounded record of its owner's own routes, or BODY_MALFORMED",
    async () => {
      const seen = new Map<string | undefined, number>();
      const book = new RecordBook({ maxRecords: 2 });
      await fuzz("records", {
        make,
        check(input) {
          let record: ContactRecord | undefined;
          const code = codeOf(() => {
            record = readRecord(input, { networkId, now: NOW });
          });
          mustBe(code, [undefined, "BODY_MALFORMED"]);
          seen.set(code, (seen.get(code) ?? 0) + 1);
          if (record === undefined) return;
          mustEqual(record.bytes, input, "other bytes");
          must(input.length <= MAX_RECORD_BYTES, "too large");
          must(record.id.equals(owner.id), "somebody signed with a key he has not");
          must(record.addresses.length <= MAX_ADDRESSES, "too many addresses");
          for (const address of record.addresses) {
            must(parseAddress(address).routes.length === 1, "not one route");
            must(address.includes(owner.id.text), "a route without the key");
          }
          book.put(record, NOW);
          must(book.size <= 1, "one node twice");
        },
      });
      if (seen.size > 1) {
        const total = [...seen.values()].reduce((sum, count) => sum + count, 0);
        expect(seen.get(undefined)).toBeGreaterThan(total / 20);
        expect(seen.get("BODY_MALFORMED")).toBeGreaterThan(total / 2);
      }
    },
    PATIENCE_MS,
  );
});
