import protobufjs from "protobufjs";
import { describe, expect, it } from "vitest";
import { concat, toUtf8 } from "../src/bytes.ts";
import { decodeFrame, encodeHeader, FLAGS } from "../src/frame.ts";
import { Identity } from "../src/identity.ts";
import {
  bytes,
  type Codec,
  defineMessage,
  InboundMessage,
  isSigned,
  json,
  type MessageOrigin,
  protobuf,
  SIGNATURE_BYTES,
  signedBytes,
  text,
} from "../src/message.ts";

const sender = Identity.generate();
const networkId = new Uint8Array(32).fill(5);

function inbound(
  opcode: number,
  payload: Uint8Array,
  flags: number = 0,
  malformed: (error: Error) => void = () => {},
): InboundMessage {
  const frame = concat(encodeHeader(opcode, 77, flags, [payload]), payload);
  const origin: MessageOrigin = { networkId, malformed };
  return new InboundMessage(decodeFrame(frame, 0, frame.length), sender.id, origin);
}

describe("defineMessage", () => {
  it("makes messages and reads them back", () => {
    const Say = defineMessage({ name: "say", opcode: 1_400, codec: text });
    expect(Say).toMatchObject({ name: "say", opcode: 1_400 });
    const message = Say.of("grüß dich");
    expect(message).toEqual({ opcode: 1_400, body: toUtf8("grüß dich") });
    expect(Say.decode(message.body)).toBe("grüß dich");
    expect(Object.isFrozen(Say)).toBe(true);
  });

  it("marks what wants the whole network", () => {
    const Far = defineMessage({ name: "far", opcode: 1_401, codec: text, reach: "network" });
    expect(Far.of("x")).toMatchObject({ opcode: 1_401, reach: "network" });
  });

  it("gives a number to one type only, but lets the same type be defined again", () => {
    const define = (name: string, codec: Codec<never>): unknown =>
      defineMessage({ name, opcode: 1_402, codec });
    define("first", text as Codec<never>);
    define("first", text as Codec<never>);
    for (const [name, codec] of [
      ["second", text],
      ["first", bytes],
    ] as const) {
      expect(() => define(name, codec as Codec<never>)).toThrow(
        expect.objectContaining({ name: "PluginError", code: "OPCODE_TAKEN" }),
      );
    }
  });

  it("refuses what cannot be a type, at once", () => {
    const good = { name: "x", opcode: 1_403, codec: text };
    for (const bad of [
      { ...good, name: "" },
      { ...good, name: 3 },
      { ...good, codec: {} },
      { ...good, codec: undefined },
    ]) {
      expect(() => defineMessage(bad as typeof good)).toThrow(TypeError);
    }
    for (const opcode of [999, 64, 0, 1, 14, 33, -1, 1.5, 2 ** 32, Number.NaN]) {
      expect(() => defineMessage({ ...good, opcode })).toThrow(RangeError);
    }
    const own = defineMessage({ ...good, opcode: 64, reserved: true });
    expect(own.opcode).toBe(64);
    expect(() => defineMessage({ ...good, opcode: 33, reserved: true })).toThrow(RangeError);
  });

  it("says of a body which type cannot read it", () => {
    const Number8 = defineMessage<number>({
      name: "number8",
      opcode: 1_404,
      codec: {
        encode: (value) => Uint8Array.of(value),
        decode: (body) => {
          if (body.length !== 1) throw new Error("not one byte");
          return body[0] as number;
        },
      },
    });
    expect(Number8.decode(Uint8Array.of(8))).toBe(8);
    expect(() => Number8.decode(new Uint8Array(2))).toThrow(
      expect.objectContaining({
        code: "BODY_MALFORMED",
        message: "a body of number8 cannot be read: not one byte",
      }),
    );
  });
});

describe("codecs", () => {
  it("bytes are themselves", () => {
    const body = Uint8Array.of(1, 2);
    expect(bytes.decode(bytes.encode(body))).toBe(body);
  });

  it("text is strict UTF-8", () => {
    expect(text.decode(text.encode("日本"))).toBe("日本");
    expect(() => text.decode(Uint8Array.of(0xc3))).toThrow();
  });

  it("json is what JSON can say", () => {
    expect(json.decode(json.encode({ a: [1, null] }))).toEqual({ a: [1, null] });
    for (const value of [undefined, () => {}, Symbol("s")]) {
      expect(() => json.encode(value)).toThrow(TypeError);
    }
    for (const body of ["{", "", "\ufeff1"]) {
      expect(() => json.decode(toUtf8(body))).toThrow("not valid JSON");
    }
    expect(() => json.decode(Uint8Array.of(0xff))).toThrow("not valid UTF-8");
  });

  it("protobuf takes a type of protobufjs", () => {
    const { root } = protobufjs.parse(
      'syntax = "proto3"; message Order { string item = 1; uint32 count = 2; }',
    );
    const Order = defineMessage({
      name: "order",
      opcode: 1_405,
      codec: protobuf(root.lookupType("Order")),
    });
    const { body } = Order.of(root.lookupType("Order").create({ item: "tea", count: 3 }));
    expect([...body]).toEqual([0x0a, 3, 0x74, 0x65, 0x61, 0x10, 3]);
    expect(Order.decode(body)).toMatchObject({ item: "tea", count: 3 });
    expect(() => Order.decode(Uint8Array.of(0x0a, 9))).toThrow(
      expect.objectContaining({ code: "BODY_MALFORMED" }),
    );
  });
});

describe("an inbound message", () => {
  const Say = defineMessage({ name: "say it", opcode: 1_406, codec: text });
  const Other = defineMessage({ name: "other", opcode: 1_407, codec: text });

  it("knows what was in its frame", () => {
    const message = inbound(1_406, toUtf8("hi"), FLAGS.reply);
    expect(message).toMatchObject({ opcode: 1_406, nonce: 77, isReply: true, sender: sender.id });
    expect(message.checksum).toBeGreaterThan(0);
    expect(message.as(Say)).toBe("hi");
    expect(message.as(Other)).toBeUndefined();
    expect(message.signer).toBeUndefined();
    expect(inbound(1_406, toUtf8("hi")).isReply).toBe(false);
  });

  it("blames its peer for a body that its type cannot read, and throws", () => {
    const faults: Error[] = [];
    const message = inbound(1_406, Uint8Array.of(0xff), 0, (error) => faults.push(error));
    expect(message.as(Other)).toBeUndefined();
    expect(faults).toEqual([]);
    expect(() => message.as(Say)).toThrow(expect.objectContaining({ code: "BODY_MALFORMED" }));
    expect(faults).toMatchObject([{ code: "BODY_MALFORMED" }]);
  });

  it("shows a signer exactly when the signature verifies", () => {
    const author = Identity.generate();
    const body = toUtf8("signed");
    const signature = author.sign(signedBytes(networkId, 1_406, 77, body));
    const payload = concat(author.publicKey, signature, body);
    const message = inbound(1_406, payload, FLAGS.signed);
    expect(message.as(Say)).toBe("signed");
    expect(message.signer?.equals(author.id)).toBe(true);
    expect(message.signer).toBe(message.signer);
    for (let at = 0; at < payload.length; at++) {
      const changed = payload.slice();
      changed[at] = (changed[at] as number) ^ 1;
      expect(inbound(1_406, changed, FLAGS.signed).signer).toBeUndefined();
    }
    expect(inbound(1_407, payload, FLAGS.signed).signer).toBeUndefined();
  });

  it("is malformed when it is too short for the signature it promises", () => {
    for (const length of [0, SIGNATURE_BYTES - 1]) {
      expect(() => inbound(1_406, new Uint8Array(length), FLAGS.signed)).toThrow(
        expect.objectContaining({ code: "FRAME_MALFORMED" }),
      );
    }
    expect(inbound(1_406, new Uint8Array(SIGNATURE_BYTES), FLAGS.signed).body).toHaveLength(0);
  });

  it("covers context, network, number, nonce and body with its signature", () => {
    const covered = signedBytes(networkId, 0x0102_0304, 5, Uint8Array.of(9));
    const context = toUtf8("testudo/message/1");
    expect(covered).toEqual(concat(context, networkId, Uint8Array.of(4, 3, 2, 1, 5, 0, 0, 0, 9)));
  });

  it("is told from one to be sent by its signature", () => {
    expect(isSigned({ opcode: 1, body: new Uint8Array(0) })).toBe(false);
    const signed = { opcode: 1, body: new Uint8Array(0), signature: new Uint8Array(64) };
    expect(isSigned(signed)).toBe(true);
    expect(isSigned({ ...signed, signature: undefined } as never)).toBe(false);
  });
});
