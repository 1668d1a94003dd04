/** Bodies of gossip: what is written is read, and nothing that is read can do harm. */

import { type MessageType, toBase64 } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LAST } from "../../src/gossip/ids.ts";
import type { MembershipMessage } from "../../src/gossip/membership-message.ts";
import {
  AnnounceMessage,
  CensusMessage,
  CensusReply,
  decodeRanges,
  encodeRanges,
  GraftMessage,
  HelloMessage,
  ItemsMessage,
  isGossip,
  MAX_ANNOUNCED,
  MembershipType,
  PruneMessage,
  PushMessage,
  ReconcileMessage,
  ReconcileReply,
  WantMessage,
} from "../../src/gossip/messages.ts";
import type { Range } from "../../src/gossip/reconcile.ts";

const ID = "0123456789abcdef";
const key = (fill: number): string => toBase64(new Uint8Array(32).fill(fill));

function roundTrip<T>(type: MessageType<T>, value: T): void {
  expect(type.decode(type.of(value).body)).toEqual(value);
}

describe("bodies", () => {
  it("are read as they were written", () => {
    roundTrip(HelloMessage, { epoch: 1_700_000_000_123, record: new Uint8Array(300).fill(4) });
    roundTrip(HelloMessage, { epoch: 0, record: new Uint8Array(0) });
    roundTrip(PushMessage, { hops: 3, item: new Uint8Array(130).fill(9) });
    roundTrip(AnnounceMessage, [
      { id: ID, hops: 1 },
      { id: ID.toUpperCase(), hops: 255 },
    ]);
    roundTrip(GraftMessage, { hops: 4, id: ID });
    roundTrip(GraftMessage, { hops: 4, id: undefined });
    roundTrip(CensusMessage, { id: ID, leftMs: 1_500 });
    roundTrip(CensusReply, { id: ID, nodes: 70_000, complete: true });
    roundTrip(WantMessage, [ID, ID]);
    roundTrip(WantMessage, []);
    roundTrip(ItemsMessage, [
      { ageMs: 0, item: new Uint8Array(140).fill(1) },
      { ageMs: 4_000_000, item: new Uint8Array(200).fill(2) },
    ]);
  });

  it.each<MembershipMessage>([
    { kind: "join" },
    { kind: "forward-join", peer: key(1), ttl: 6 },
    { kind: "neighbor", priority: "high" },
    { kind: "neighbor", priority: "low" },
    { kind: "neighbor-reply", accepted: false },
    { kind: "disconnect", leaving: true },
    { kind: "shuffle", origin: key(1), ttl: 3, peers: [key(2), key(3)] },
    { kind: "shuffle-reply", origin: key(1), peers: [] },
  ])("of membership: $kind", (message) => {
    roundTrip(MembershipType, { message, records: [new Uint8Array(5).fill(1), new Uint8Array(0)] });
  });

  it("leave out who has no key", () => {
    const message = { kind: "shuffle", origin: key(1), ttl: 3, peers: ["unproved:x"] } as const;
    const { body } = MembershipType.of({ message, records: [] });
    expect(MembershipType.decode(body).message).toEqual({ ...message, peers: [] });
  });

  it("of ranges, whatever their bounds", () => {
    const text = fc.string({
      unit: fc.constantFrom("\u0000", "a", "\u00ff"),
      minLength: 16,
      maxLength: 16,
    });
    const content = fc.oneof(
      fc.constant<Range["content"]>("same"),
      fc.constant<Range["content"]>("list"),
      text.map((fingerprint) => ({ fingerprint })),
      fc.array(text, { maxLength: 5 }).map((ids) => ({ ids })),
    );
    const bound = fc.record({ step: fc.nat(2 ** 40), id: text, length: fc.nat(16) });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(bound, content), { maxLength: 8 }),
        fc.boolean(),
        (parts, whole) => {
          let time = 0;
          const ranges: Range[] = parts.map(([{ step, id, length }, each]) => {
            time += step;
            return { to: { time, id: id.slice(0, length) }, content: each };
          });
          if (whole) ranges.push({ to: LAST, content: "same" });
          expect(decodeRanges(encodeRanges(ranges))).toEqual(ranges);
        },
      ),
    );
  });

  it("have opcodes of gossip's own block", () => {
    for (const { opcode } of ALL) expect(isGossip(opcode)).toBe(true);
    expect(new Set(ALL.map(({ opcode }) => opcode)).size).toBe(ALL.length);
    expect([63, 96].map(isGossip)).toEqual([false, false]);
  });
});

const ALL: readonly MessageType<unknown>[] = [
  HelloMessage,
  MembershipType,
  PushMessage,
  AnnounceMessage,
  PruneMessage,
  GraftMessage,
  CensusMessage,
  CensusReply,
  ReconcileMessage,
  ReconcileReply,
  WantMessage,
  ItemsMessage,
].map((type) => type as unknown as MessageType<unknown>);

describe("hostile bodies", () => {
  it("are read or refused, whatever they are", () => {
    fc.assert(
      fc.property(fc.constantFrom(...ALL), fc.uint8Array({ maxLength: 400 }), (type, body) => {
        try {
          type.decode(body);
        } catch (error) {
          expect(error).toMatchObject({ code: "BODY_MALFORMED" });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("that were changed or cut are read or refused", () => {
    const honest = [
      AnnounceMessage.of([{ id: ID, hops: 1 }]).body,
      MembershipType.of({
        message: { kind: "shuffle", origin: key(1), ttl: 3, peers: [key(2)] },
        records: [new Uint8Array(40)],
      }).body,
      encodeRanges([{ to: LAST, content: { ids: [ID, ID] } }]),
      ItemsMessage.of([{ ageMs: 1, item: new Uint8Array(130) }]).body,
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...honest),
        fc.constantFrom(...ALL),
        fc.nat(),
        fc.nat(255),
        fc.nat(),
        (body, type, at, value, cut) => {
          const changed = new Uint8Array(body.subarray(0, cut % (body.length + 1)));
          if (changed.length > 0) changed[at % changed.length] = value;
          try {
            type.decode(changed);
          } catch (error) {
            expect(error).toMatchObject({ code: "BODY_MALFORMED" });
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("that claim a million elements are refused before one is read", () => {
    const bombs: [MessageType<never>, number[]][] = [
      [AnnounceMessage as never, [255, 255]],
      [WantMessage as never, [255, 255]],
      [ItemsMessage as never, [255, 255]],
      [ReconcileMessage as never, [255, 255]],
      [ReconcileMessage as never, [1, 0, 0, 3, 255, 255]],
      [MembershipType as never, [5, 0, 255]],
      [MembershipType as never, [0, 0, 0, 255]],
    ];
    const body = new Uint8Array(1_048_576);
    for (const [type, head] of bombs) {
      body.fill(0);
      body.set(head);
      expect(() => type.decode(body)).toThrow("cannot be read");
    }
    const tooMany = Array.from({ length: MAX_ANNOUNCED + 1 }, () => ({ id: ID, hops: 1 }));
    expect(() => AnnounceMessage.decode(AnnounceMessage.of(tooMany).body)).toThrow("more than");
  });
});
