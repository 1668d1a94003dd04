/**
 * The messages of `testudo bench`: load, a question how much of it has come, and an echo.
 */

import { bytes, type Codec, defineMessage, type MessageType } from "@testudo/core";

const count: Codec<number> = {
  encode(value) {
    const body = new Uint8Array(8);
    new DataView(body.buffer).setFloat64(0, value, true);
    return body;
  },
  decode(body) {
    if (body.length !== 8) throw new Error("not a count");
    return new DataView(body.buffer, body.byteOffset).getFloat64(0, true);
  },
};

export const Load: MessageType<Uint8Array> = defineMessage({
  name: "load",
  opcode: 1_010,
  codec: bytes,
});
/** Asks how many loads have come since the last such question; everything sent before it counts. */
export const HowMany: MessageType<Uint8Array> = defineMessage({
  name: "how many",
  opcode: 1_011,
  codec: bytes,
});
export const SoMany: MessageType<number> = defineMessage({
  name: "so many",
  opcode: 1_012,
  codec: count,
});
export const Echo: MessageType<Uint8Array> = defineMessage({
  name: "echo",
  opcode: 1_013,
  codec: bytes,
});
export const EchoReply: MessageType<Uint8Array> = defineMessage({
  name: "echo reply",
  opcode: 1_014,
  codec: bytes,
});
