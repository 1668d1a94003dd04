/**
 * Messages: what applications send and receive, their types, and their codecs.
 *
 * A message on its way out is plain data, `{ opcode, body }`. One that arrived knows its sender, its
 * nonce and its checksum, and reads itself as a type: `message.as(Say)`.
 */

import { concat, fromUtf8, toUtf8, writeU32 } from "./bytes.ts";
import { asError, networkError } from "./errors.ts";
import { FLAGS, type Frame } from "./frame.ts";
import { PeerId, verify } from "./identity.ts";
import type { Limits } from "./limits.ts";
import { APPLICATION_START, checkOpcode } from "./opcode.ts";

/** What `send` and `broadcast` take. */
export interface Message {
  readonly opcode: number;
  readonly body: Uint8Array;
  /** `network`: a plugin that disseminates is asked to carry it beyond the neighbours. Default: neighbours only. */
  readonly reach?: "network";
}

/** A message with its author's signature, made by `network.sign`. Its nonce is fixed, since it is signed. */
export interface SignedMessage extends Message {
  readonly nonce: number;
  readonly signer: PeerId;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** Turns values into bodies and back. `decode` throws whatever it likes for a body it cannot read. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(body: Uint8Array): T;
}

export interface MessageType<T> {
  readonly name: string;
  readonly opcode: number;
  /** A message ready to send. */
  of(value: T): Message;
  /** Throws `BODY_MALFORMED`. */
  decode(body: Uint8Array): T;
}

/** Bodies as they are. A decoded body is a view: copy it to keep it. */
export const bytes: Codec<Uint8Array> = { encode: (value) => value, decode: (body) => body };

/** Strict UTF-8. */
export const text: Codec<string> = {
  encode: toUtf8,
  decode(body) {
    const value = fromUtf8(body);
    if (value === undefined) throw new Error("not valid UTF-8");
    return value;
  },
};

/** JSON in UTF-8. The type is the caller's claim: check what matters. */
export const json: {
  encode(value: unknown): Uint8Array;
  decode<T = unknown>(body: Uint8Array): T;
} = {
  encode(value) {
    const encoded = JSON.stringify(value);
    if (encoded === undefined) throw new TypeError("value has no JSON form");
    return toUtf8(encoded);
  },
  decode<T>(body: Uint8Array): T {
    const value = text.decode(body);
    try {
      return JSON.parse(value) as T;
    } catch {
      // The engine's own words quote the body, and reasons are logged.
      throw new Error("not valid JSON");
    }
  },
};

/** A message type of protobufjs, reflected or generated: `protobuf(root.lookupType("Order"))`. */
export function protobuf<T extends object>(type: {
  encode(value: T): { finish(): Uint8Array };
  decode(body: Uint8Array): T;
}): Codec<T> {
  return { encode: (value) => type.encode(value).finish(), decode: (body) => type.decode(body) };
}

const defined = new Map<number, { name: string; codec: unknown }>();

/**
 * Defines a message type: a name for people, a number for the wire, a codec for the body. Throws
 * `RangeError` for a number below 1000 (unless `reserved`, for Testudo's own plugins), `OPCODE_TAKEN`
 * when another type has the number. `reach: "network"` asks for dissemination beyond the neighbours.
 */
export function defineMessage<T>(options: {
  name: string;
  opcode: number;
  codec: Codec<T>;
  reach?: "network";
  reserved?: boolean;
}): MessageType<T> {
  const { name, opcode, codec, reach } = options;
  if (typeof name !== "string" || name === "")
    throw new TypeError("name must be a non-empty string");
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
    throw new TypeError(`codec of ${name} must have encode and decode`);
  }
  checkOpcode(opcode, "opcode");
  if (opcode < APPLICATION_START && options.reserved !== true) {
    throw new RangeError(
      `opcode ${opcode} is reserved; applications start at ${APPLICATION_START}`,
    );
  }
  const taken = defined.get(opcode);
  if (taken !== undefined && (taken.name !== name || taken.codec !== codec)) {
    throw networkError(
      "OPCODE_TAKEN",
      `opcode ${opcode} of ${name} already belongs to ${taken.name}; pick another`,
    );
  }
  defined.set(opcode, { name, codec });
  return Object.freeze({
    name,
    opcode,
    of: (value: T): Message => ({
      opcode,
      body: codec.encode(value),
      ...(reach === undefined ? {} : { reach }),
    }),
    decode(body: Uint8Array): T {
      try {
        return codec.decode(body);
      } catch (error) {
        throw networkError(
          "BODY_MALFORMED",
          `a body of ${name} cannot be read: ${asError(error).message}`,
          {
            cause: error,
          },
        );
      }
    },
  });
}

/** Bytes in front of a signed body: the author's key and signature. */
export const SIGNATURE_BYTES = 96;
const SIGNING_CONTEXT: Uint8Array = /* @__PURE__ */ toUtf8("testudo/message/1");

/** What an author signs: context, network id, opcode, nonce, body (docs/protocol.md). */
export function signedBytes(
  networkId: Uint8Array,
  opcode: number,
  nonce: number,
  body: Uint8Array,
): Uint8Array {
  const numbers = new Uint8Array(8);
  writeU32(numbers, 0, opcode);
  writeU32(numbers, 4, nonce);
  return concat(SIGNING_CONTEXT, networkId, numbers, body);
}

export function isSigned(message: Message): message is SignedMessage {
  return "signature" in message && message.signature !== undefined;
}

/** A message that arrived. `body` is a view of the decrypted frame: read it, copy it to keep it, do not write to it. */
export class InboundMessage implements Message {
  readonly opcode: number;
  readonly body: Uint8Array;
  /** Whoever sent it to us; for a disseminated message, its origin. */
  readonly sender: PeerId;
  readonly nonce: number;
  readonly checksum: number;
  /** Whether it came as a reply (to a request that nobody waits for any more, if a plugin sees it). */
  readonly isReply: boolean;
  readonly #origin: MessageOrigin;
  readonly #claim: Uint8Array | undefined;
  #signer: PeerId | undefined | null = null;

  constructor(frame: Frame, sender: PeerId, origin: MessageOrigin) {
    this.opcode = frame.opcode;
    this.nonce = frame.nonce;
    this.checksum = frame.checksum;
    this.isReply = (frame.flags & FLAGS.reply) !== 0;
    this.sender = sender;
    this.#origin = origin;
    if ((frame.flags & FLAGS.signed) === 0) {
      this.#claim = undefined;
      this.body = frame.payload;
    } else {
      if (frame.payload.length < SIGNATURE_BYTES) {
        throw networkError("FRAME_MALFORMED", "a signed frame is too short for its signature");
      }
      this.#claim = frame.payload.subarray(0, SIGNATURE_BYTES);
      this.body = frame.payload.subarray(SIGNATURE_BYTES);
    }
  }

  /** The author, when the message carries a signature and it verifies; checked on first use. */
  get signer(): PeerId | undefined {
    if (this.#signer === null) this.#signer = this.#verified();
    return this.#signer;
  }

  /**
   * The value, when this is a message of that type, else `undefined`. A body that cannot be read throws
   * `BODY_MALFORMED` and closes the peer it came from.
   */
  as<T>(type: MessageType<T>): T | undefined {
    if (type.opcode !== this.opcode) return undefined;
    try {
      return type.decode(this.body);
    } catch (error) {
      this.#origin.malformed(asError(error));
      throw error;
    }
  }

  #verified(): PeerId | undefined {
    const claim = this.#claim;
    if (claim === undefined) return undefined;
    const key = claim.subarray(0, 32);
    const signed = signedBytes(this.#origin.networkId, this.opcode, this.nonce, this.body);
    return verify(key, signed, claim.subarray(32)) ? PeerId.from(key) : undefined;
  }
}

/** What an inbound message needs to know of where it came from. */
export interface MessageOrigin {
  readonly networkId: Uint8Array;
  /** The body broke its type: the peer is at fault. */
  malformed(error: Error): void;
}

/** Throws `TypeError` or `RangeError` unless this is something `send` can take. */
export function checkMessage(message: Message, limits: Readonly<Limits>): void {
  if (typeof message !== "object" || message === null || !(message.body instanceof Uint8Array)) {
    throw new TypeError("message must be { opcode: number, body: Uint8Array }");
  }
  checkOpcode(message.opcode, "message.opcode");
  if (message.body.length > limits.maxMessageBytes) {
    throw new RangeError(
      `message.body has ${message.body.length} bytes; limits.maxMessageBytes is ${limits.maxMessageBytes}. Use a channel for more`,
    );
  }
}

/** What follows the header on the wire: the signature, if any, then the body. */
export function payloadOf(message: Message): readonly Uint8Array[] {
  if (!isSigned(message)) return [message.body];
  return [message.signer.bytes, message.signature, message.body];
}

export function flagsOf(message: Message): number {
  return isSigned(message) ? FLAGS.signed : 0;
}
