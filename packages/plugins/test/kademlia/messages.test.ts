import type { MessageType } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  FindValue,
  LookupRequest,
  LookupResponse,
  MAX_RECORDS,
  RecordNews,
  StoreRequest,
  StoreResponse,
} from "../../src/kademlia/messages.ts";
import { STORED } from "../../src/kademlia/store.ts";
import { MAX_VALUE_BYTES } from "../../src/kademlia/value.ts";
import { MAX_RECORD_BYTES } from "../../src/record/record.ts";

const target = new Uint8Array(32).fill(7);

describe("what nodes say", () => {
  it("has carrier's numbers for lookups, and its own block for the rest", () => {
    const types = [
      LookupRequest,
      LookupResponse,
      RecordNews,
      FindValue,
      StoreRequest,
      StoreResponse,
    ];
    expect(types.map(({ opcode }) => opcode)).toEqual([12, 13, 160, 161, 162, 163]);
  });

  it("is laid out as the page says", () => {
    expect(LookupRequest.of({ target, count: 16 }).body).toEqual(Uint8Array.of(...target, 16));
    const records = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    expect(LookupResponse.of({ terminal: true, records, value: Uint8Array.of(9) }).body).toEqual(
      Uint8Array.of(3, 2, 2, 0, 1, 2, 1, 0, 3, 1, 0, 9),
    );
    expect(StoreResponse.of(STORED.full).body).toEqual(Uint8Array.of(4));
  });

  it("is read as it was written", () => {
    const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength });
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(bytes(80), { maxLength: MAX_RECORDS }),
        fc.option(bytes(MAX_VALUE_BYTES), { nil: undefined }),
        (terminal, records, value) => {
          const said = { terminal, records, value };
          expect(LookupResponse.decode(LookupResponse.of(said).body)).toEqual(said);
        },
      ),
      { numRuns: 50 },
    );
    for (const outcome of Object.values(STORED)) {
      expect(StoreResponse.decode(StoreResponse.of(outcome).body)).toBe(outcome);
    }
  });
});

describe("what strangers say", () => {
  const refused = (type: MessageType<unknown>, body: Uint8Array): void => {
    expect(() => type.decode(body), `${type.name} ${body.subarray(0, 8)}`).toThrow(/./);
  };

  it("is refused for a length, a count, a flag or an outcome that is none", () => {
    for (const type of [LookupRequest, FindValue]) {
      refused(type, target);
      refused(type, Uint8Array.of(...target, 1, 0));
      refused(type, Uint8Array.of(...target, 0));
      refused(type, Uint8Array.of(...target, MAX_RECORDS + 1));
    }
    refused(LookupResponse, new Uint8Array(0));
    refused(LookupResponse, Uint8Array.of(0));
    refused(LookupResponse, Uint8Array.of(4, 0));
    refused(LookupResponse, Uint8Array.of(0, 1));
    refused(LookupResponse, Uint8Array.of(0, 1, 2, 0, 1));
    refused(LookupResponse, Uint8Array.of(0, 0, 0));
    refused(LookupResponse, Uint8Array.of(2, 0));
    refused(RecordNews, new Uint8Array(MAX_RECORD_BYTES + 1));
    for (const length of [0, 4, MAX_VALUE_BYTES + 5]) refused(StoreRequest, new Uint8Array(length));
    for (const body of [[], [6], [255], [0, 0]]) refused(StoreResponse, Uint8Array.from(body));
  });

  it("is counted before it is read", () => {
    // A megabyte of empty entries: the count alone is looked at.
    const bomb = new Uint8Array(1_048_576);
    bomb[1] = 255;
    expect(() => LookupResponse.decode(bomb)).toThrow("255 records");
    const long = Uint8Array.of(0, 1, 255, 255);
    expect(() => LookupResponse.decode(long)).toThrow("a length is wrong");
  });

  it("never does more than throw, and what passes is written back the same", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (body) => {
        for (const type of [
          LookupRequest,
          LookupResponse,
          FindValue,
          StoreRequest,
          StoreResponse,
        ]) {
          let value: never;
          try {
            value = type.decode(body) as never;
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
            continue;
          }
          expect(type.of(value).body).toEqual(body);
        }
      }),
      { numRuns: 500 },
    );
  });
});
