/**
 * Codecs under fire: frames and the messages in them. How to ask for more inputs, for
 * others, or for one alone: fuzz.ts.
 */

import {
  concat,
  defineMessage,
  equal,
  Identity,
  InboundMessage,
  json,
  type MessageType,
  PeerId,
  protobuf,
  text,
  toUtf8,
  writeU32,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import protobufjs from "protobufjs";
import { describe, expect, it } from "vitest";
import {
  decodeFrame,
  encodeHeader,
  type Frame,
  FrameDecoder,
  HEADER_BYTES,
} from "../../packages/core/src/frame.ts";
import { bytes, SIGNATURE_BYTES, signedBytes } from "../../packages/core/src/message.ts";
import {
  codeOf,
  EDGES,
  fuzz,
  must,
  mustBe,
  mustEqual,
  mutate,
  PATIENCE_MS,
  pieces,
  type Random,
} from "./fuzz.ts";

const MAX_PAYLOAD = 2_000;

function frame(opcode: number, nonce: number, flags: number, payload: Uint8Array): Uint8Array {
  return concat(encodeHeader(opcode, nonce, flags, [payload]), payload);
}

/** The checksum made right again, so that what lies behind it is reached. */
function mended(bytes: Uint8Array): Uint8Array {
  if (bytes.length < HEADER_BYTES) return bytes;
  const sum = provider.crc32(bytes.subarray(HEADER_BYTES));
  writeU32(bytes, 13, provider.crc32(bytes.subarray(0, 13), sum));
  return bytes;
}

/** A run of frames: valid, mutated with or without its checksum mended, or noise. */
function run(random: Random): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let left = 1 + random.below(4); left > 0; left--) {
    const opcode = random.rarely(2) ? random.pick(EDGES) : random.u32();
    const flags = random.rarely(4) ? random.below(256) : random.below(4);
    const payload = random.bytes(random.length(300));
    const valid = frame(opcode, random.u32(), flags, payload);
    const kind = random.below(8);
    if (kind === 0) parts.push(random.bytes(random.length(80)));
    else if (kind === 1) parts.push(mutate(random, valid));
    else if (kind === 2) parts.push(mended(mutate(random, valid)));
    else parts.push(valid);
  }
  return concat(...parts);
}

interface Outcome {
  readonly frames: Uint8Array[];
  readonly code: string | undefined;
  readonly partial: boolean;
}

/** As a stream does it: every frame decoded where it lies, the first fault the end. `stop` pauses behind a frame. */
function decodeAll(chunks: readonly Uint8Array[], stop: () => boolean): Outcome {
  const decoder = new FrameDecoder(MAX_PAYLOAD);
  const frames: Uint8Array[] = [];
  let bytes = 0;
  let pushes = 0;
  const code = codeOf(() => {
    for (const chunk of chunks) {
      bytes += chunk.length;
      for (let at = 0; at < chunk.length; ) {
        pushes++;
        const next = decoder.push(chunk, at, (buffer, start, end) => {
          const decoded = decodeFrame(buffer, start, end);
          const again = reencoded(decoded);
          mustEqual(again, buffer.subarray(start, end), "encoded again");
          frames.push(again);
          return !stop();
        });
        must(next > at, "a push took nothing");
        at = next;
      }
    }
  });
  // Each push takes a chunk to its end, or a frame.
  must(pushes <= chunks.length + frames.length, "more pushes than chunks and frames");
  must(frames.length <= bytes / HEADER_BYTES, "more frames than bytes allow");
  return { frames, code, partial: code === undefined && decoder.partial };
}

function reencoded(decoded: Frame): Uint8Array {
  return frame(decoded.opcode, decoded.nonce, decoded.flags, decoded.payload);
}

const FRAME_CODES = [undefined, "FRAME_TOO_LARGE", "FRAME_MALFORMED", "CHECKSUM_MISMATCH"];

describe("frames", () => {
  it(
    "any bytes: frames that encode to themselves, then one documented error",
    async () => {
      const seen = new Map<string | undefined, number>();
      await fuzz("frames", {
        make: run,
        check(input, random) {
          const whole = decodeAll([input], () => false);
          mustBe(whole.code, FRAME_CODES);
          seen.set(whole.code, (seen.get(whole.code) ?? 0) + 1);
          const cut = decodeAll(pieces(random, input), () => random.rarely(2));
          mustBe(cut.code, [whole.code]);
          must(cut.partial === whole.partial, "another rest, cut otherwise");
          mustEqual(concat(...cut.frames), concat(...whole.frames), "other frames, cut otherwise");
        },
      });
      if (seen.size > 1) expect(new Set(seen.keys())).toEqual(new Set(FRAME_CODES));
    },
    PATIENCE_MS,
  );
});

const networkId = new Uint8Array(32).fill(5);
const author = Identity.fromSecret(new Uint8Array(32).fill(1));
const sender = PeerId.from(Identity.fromSecret(new Uint8Array(32).fill(2)).publicKey);

const Order = protobufjs
  .parse(`syntax = "proto3";
  message Line { string name = 1; uint32 count = 2; repeated Line more = 3; }
  message Order { string id = 1; repeated Line lines = 2; map<string, bytes> notes = 3; double price = 4; sint64 at = 5; }
`)
  .root.lookupType("Order");

type OrderLine = { name?: string; count?: number; more?: OrderLine[] };
type OrderBody = { id?: string; lines?: OrderLine[]; price?: number };

const types = {
  bytes: defineMessage({ name: "hostile-bytes", opcode: 61_000, codec: bytes }),
  text: defineMessage({ name: "hostile-text", opcode: 61_001, codec: text }),
  json: defineMessage({ name: "hostile-json", opcode: 61_002, codec: json }),
  protobuf: defineMessage({
    name: "hostile-protobuf",
    opcode: 61_003,
    codec: protobuf<OrderBody>({
      encode: (value) => Order.encode(Order.fromObject(value)),
      decode: (body) => Order.toObject(Order.decode(body)) as OrderBody,
    }),
  }),
};

function line(random: Random, depth: number): OrderLine {
  const more =
    depth === 0 ? [] : Array.from({ length: random.below(3) }, () => line(random, depth - 1));
  return { name: `n${random.below(100)}`, count: random.u32(), more };
}

const bodies: Readonly<Record<keyof typeof types, (random: Random) => Uint8Array>> = {
  bytes: (random) => random.bytes(random.length(200)),
  text: (random) =>
    toUtf8(random.pick(["", "ascii", "grüße", "汉字", "🐢🐢", "\u0000\ufeffx", "\ufeff"])),
  json: (random) =>
    toUtf8(
      random.pick([
        "null",
        "[]",
        '{"a":[1,2,{"b":"\\u0000"}]}',
        '"x"',
        "1e999",
        '{"__proto__":{"x":1}}',
        "-0",
      ]),
    ),
  protobuf: (random) =>
    types.protobuf.of({
      id: "order",
      lines: Array.from({ length: random.below(4) }, () => line(random, 2)),
      price: random.u32() / 7,
    }).body,
};

describe("messages", () => {
  for (const [name, body] of Object.entries(bodies)) {
    const type = types[name as keyof typeof types] as MessageType<unknown>;
    it(
      `${name}: a value, or BODY_MALFORMED told once`,
      async () => {
        await fuzz(`${name} messages`, {
          make: (random) =>
            random.rarely(8) ? random.bytes(random.length(100)) : mutate(random, body(random)),
          check(input) {
            const faults: Error[] = [];
            const message = new InboundMessage(
              { opcode: type.opcode, nonce: 1, flags: 0, checksum: 0, payload: input },
              sender,
              { networkId, malformed: (error) => faults.push(error) },
            );
            let value: unknown;
            const code = codeOf(() => {
              value = message.as(type);
            });
            mustBe(code, [undefined, "BODY_MALFORMED"]);
            must(
              faults.length === (code === undefined ? 0 : 1),
              "told once, and only when malformed",
            );
            if (code !== undefined) return;
            const again = type.of(value).body;
            mustEqual(type.of(type.decode(again)).body, again, "encoded again");
          },
        });
      },
      PATIENCE_MS,
    );
  }

  it(
    "signed: a signer only where the signature is right",
    async () => {
      const opcode = 61_000;
      const body = toUtf8("signed and sent");
      const signature = author.sign(signedBytes(networkId, opcode, 7, body));
      const honest = concat(author.publicKey, signature, body);
      await fuzz("signed messages", {
        make: (random) =>
          random.rarely(4)
            ? honest.subarray(0, random.below(SIGNATURE_BYTES + 4))
            : mutate(random, honest),
        check(input, random) {
          let message: InboundMessage | undefined;
          const code = codeOf(() => {
            message = new InboundMessage(
              { opcode, nonce: 7, flags: 2, checksum: 0, payload: input },
              sender,
              { networkId, malformed: () => {} },
            );
          });
          mustBe(code, [input.length < SIGNATURE_BYTES ? "FRAME_MALFORMED" : undefined]);
          // A verification costs a hundred times what all the rest does.
          if (message === undefined || !random.rarely(20)) return;
          mustBe(message.signer?.text, [equal(input, honest) ? author.id.text : undefined]);
        },
      });
    },
    PATIENCE_MS,
  );

  it("a body nested 100,000 deep is a value or BODY_MALFORMED, never a crash", () => {
    const deep = 100_000;
    const nested: Uint8Array[] = [
      toUtf8("[".repeat(deep)),
      toUtf8("[".repeat(deep) + "]".repeat(deep)),
      toUtf8(`${'{"a":'.repeat(deep)}1${"}".repeat(deep)}`),
      new Uint8Array(deep).fill(0x0b),
      new Uint8Array(deep).fill(0x1a),
    ];
    for (const body of nested) {
      for (const type of [types.json, types.protobuf] as MessageType<unknown>[]) {
        expect([undefined, "BODY_MALFORMED"]).toContain(codeOf(() => void type.decode(body)));
      }
    }
  });
});
