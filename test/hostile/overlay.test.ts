/**
 * What strangers and files may say to the overlay, under fire: messages, values, snapshots. How to ask for more inputs,
 * for others, or for one alone: fuzz.ts. Records have a file of their own.
 */

import { Identity, InboundMessage, type MessageType } from "@testudo/core";
import { describe, it } from "vitest";
import {
  FindValue,
  LookupRequest,
  LookupResponse,
  RecordNews,
  StoreRequest,
  StoreResponse,
} from "../../packages/plugins/src/kademlia/messages.ts";
import { decodeSnapshot, encodeSnapshot } from "../../packages/plugins/src/kademlia/snapshot.ts";
import { STORED } from "../../packages/plugins/src/kademlia/store.ts";
import { contentValue, readValue, signedValue } from "../../packages/plugins/src/kademlia/value.ts";
import { codeOf, fuzz, must, mustBe, mustEqual, mutate, PATIENCE_MS, type Random } from "./fuzz.ts";

const networkId = new Uint8Array(32).fill(3);
const identity = Identity.fromSecret(new Uint8Array(32).fill(4));
const seldom = (random: Random): Uint8Array => random.bytes(random.length(300));

const asked = (random: Random): LookupRequest => ({
  target: random.bytes(32),
  count: 1 + random.below(32),
});
const answer = (random: Random): LookupResponse => ({
  terminal: random.rarely(2),
  records: Array.from({ length: random.below(5) }, () => random.bytes(random.length(300))),
  value: random.rarely(2) ? random.bytes(1 + random.length(300)) : undefined,
});
const kinds: readonly [MessageType<never>, (random: Random) => Uint8Array][] = [
  [LookupRequest as MessageType<never>, (random) => LookupRequest.of(asked(random)).body],
  [FindValue as MessageType<never>, (random) => FindValue.of(asked(random)).body],
  [LookupResponse as MessageType<never>, (random) => LookupResponse.of(answer(random)).body],
  [RecordNews as MessageType<never>, seldom],
  [StoreRequest as MessageType<never>, seldom],
  [
    StoreResponse as MessageType<never>,
    (random) => StoreResponse.of(random.pick(Object.values(STORED))).body,
  ],
];

describe("messages of the overlay", () => {
  it.each(kinds.map(([type, body]) => [type.name, type, body] as const))(
    "%s: a value that is written back the same, or BODY_MALFORMED",
    async (name, type, body) => {
      await fuzz(`overlay ${name}`, {
        make: (random) => (random.rarely(8) ? seldom(random) : mutate(random, body(random))),
        check(input) {
          const message = new InboundMessage(
            { opcode: type.opcode, nonce: 1, flags: 0, checksum: 0, payload: input },
            identity.id,
            { networkId, malformed: () => {} },
          );
          let value: unknown;
          const code = codeOf(() => {
            value = message.as(type);
          });
          mustBe(code, [undefined, "BODY_MALFORMED"]);
          if (code === undefined) mustEqual(type.of(value as never).body, input, "written back");
        },
      });
    },
    PATIENCE_MS,
  );
});

describe("values", () => {
  const signed = Array.from({ length: 4 }, (_, i) =>
    signedValue(identity, {
      networkId,
      content: new Uint8Array(i * 30),
      salt: new Uint8Array(i * 7),
      seq: i,
      expiresAt: 1_700_000_000_000,
    }),
  );
  it(
    "are what their hash or their owner says, or BODY_MALFORMED",
    async () => {
      await fuzz("values", {
        make: (random) => {
          if (random.rarely(16)) return mutate(random, random.pick(signed).bytes);
          return mutate(random, contentValue(random.bytes(random.length(1_000))).bytes);
        },
        check(input) {
          let read: ReturnType<typeof readValue> | undefined;
          const code = codeOf(() => {
            read = readValue(input, networkId);
          });
          mustBe(code, [undefined, "BODY_MALFORMED"]);
          if (read === undefined) return;
          mustEqual(read.bytes, input, "as it came");
          if (read.kind === "content") mustEqual(contentValue(read.content).key, read.key, "key");
          // Nobody here can sign but its owner: only what he signed passes.
          else
            must(
              signed.some(({ seq }) => seq === (read as { seq: number }).seq),
              "his own",
            );
        },
      });
    },
    PATIENCE_MS,
  );
});

describe("snapshots", () => {
  it(
    "are read whole, or BODY_MALFORMED",
    async () => {
      const some = (random: Random): Uint8Array[] =>
        Array.from({ length: random.below(4) }, () => random.bytes(random.length(100)));
      await fuzz("snapshots", {
        make: (random) => {
          const seq = random.u32();
          return mutate(
            random,
            encodeSnapshot({ seq, records: some(random), anchors: some(random) }),
          );
        },
        check(input) {
          let read: ReturnType<typeof decodeSnapshot> | undefined;
          const code = codeOf(() => {
            read = decodeSnapshot(input);
          });
          mustBe(code, [undefined, "BODY_MALFORMED"]);
          if (read !== undefined) mustEqual(encodeSnapshot(read), input, "written back");
        },
      });
    },
    PATIENCE_MS,
  );
});
