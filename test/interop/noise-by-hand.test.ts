/**
 * Noise by hand: a dialer of transform `noise` as docs/protocol.md describes it, of Node's own crypto. It
 * shares no line with the transform, the engine or the provider.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { deferred, defineMessage, Network, parseAddress, text } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { frame, Hand, u16 } from "../support/hand.ts";

const Word = defineMessage({ name: "word by hand", opcode: 1_301, codec: text });
const EMPTY = Buffer.alloc(0);
const TAG = 16;
const SPKI = {
  x25519: Buffer.from("302a300506032b656e032100", "hex"),
  ed25519: Buffer.from("302a300506032b6570032100", "hex"),
};

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash("sha256").update(Buffer.concat(parts)).digest();
const rawKey = (key: KeyObject): Buffer =>
  Buffer.from(key.export({ format: "der", type: "spki" }).subarray(-32));
const keyOf = (kind: keyof typeof SPKI, raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI[kind], raw]), format: "der", type: "spki" });

/** 4 zero bytes and the count, big endian. */
function nonceOf(count: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(count), 4);
  return nonce;
}

class Aes {
  readonly #key: Buffer;
  #count = 0;

  constructor(key: Buffer) {
    this.#key = key;
  }

  seal(associated: Buffer, plain: Uint8Array): Buffer {
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonceOf(this.#count++));
    cipher.setAAD(associated);
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  open(associated: Buffer, sealed: Buffer): Buffer {
    const cipher = createDecipheriv("aes-256-gcm", this.#key, nonceOf(this.#count++));
    cipher.setAAD(associated).setAuthTag(sealed.subarray(-TAG));
    return Buffer.concat([cipher.update(sealed.subarray(0, -TAG)), cipher.final()]);
  }
}

/** What §5.2 of the Noise specification calls the symmetric state. */
class Symmetric {
  h: Buffer = Buffer.concat([Buffer.from("Noise_XX_25519_AESGCM_SHA256"), Buffer.alloc(4)]);
  #chainingKey: Buffer = this.h;
  #cipher: Aes | undefined;

  mixHash(bytes: Uint8Array): void {
    this.h = sha256(this.h, bytes);
  }

  mixKey(own: KeyObject, theirs: Uint8Array): void {
    const secret = diffieHellman({ privateKey: own, publicKey: keyOf("x25519", theirs) });
    const [next, key] = this.#derive(secret);
    this.#chainingKey = next;
    this.#cipher = new Aes(key);
  }

  seal(plain: Uint8Array): Buffer {
    const sealed = this.#cipher?.seal(this.h, plain) ?? Buffer.from(plain);
    this.mixHash(sealed);
    return sealed;
  }

  open(sealed: Buffer): Buffer {
    const plain = this.#cipher?.open(this.h, sealed) ?? sealed;
    this.mixHash(sealed);
    return plain;
  }

  split(): [dialer: Aes, listener: Aes] {
    const [dialer, listener] = this.#derive(EMPTY);
    return [new Aes(dialer), new Aes(listener)];
  }

  #derive(material: Buffer): [Buffer, Buffer] {
    const hmac = (key: Buffer, ...parts: readonly Buffer[]): Buffer =>
      createHmac("sha256", key).update(Buffer.concat(parts)).digest();
    const secret = hmac(this.#chainingKey, material);
    const first = hmac(secret, Buffer.from([1]));
    return [first, hmac(secret, first, Buffer.from([2]))];
  }
}

/** What a payload's signature covers. */
const statement = (role: number, h: Buffer, s: Uint8Array, offer: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from("testudo/noise/1"), Buffer.from([role]), h, s, sha256(offer)]);

describe("noise by hand", () => {
  let network: Network;
  let hand: Hand;
  const identity = generateKeyPairSync("ed25519");
  const offer = Buffer.from("an offer");

  beforeEach(async () => {
    network = new Network({ stacks: [[net(), noise()]], networkId: "by hand" });
    hand = new Hand(parseAddress(await network.listen("net:127.0.0.1:0~noise")).routes[0]);
  });
  afterEach(async () => {
    hand.close();
    await network.close();
  });

  const readMessage = async (): Promise<Buffer> => hand.read((await hand.read(2)).readUInt16LE());
  const sendMessage = (message: Buffer): void => hand.send(u16(message.length), message);

  /** Both ciphers of the session, after the three messages. */
  async function shake(): Promise<[seal: Aes, open: Aes]> {
    const state = new Symmetric();
    const chain = Buffer.from("noise");
    state.mixHash(Buffer.concat([Buffer.from("testudo/1"), sha256(Buffer.from("by hand")), chain]));

    const ephemeral = generateKeyPairSync("x25519");
    const e = rawKey(ephemeral.publicKey);
    state.mixHash(e);
    sendMessage(Buffer.concat([e, state.seal(EMPTY)]));

    const second = await readMessage();
    expect(second).toHaveLength(192);
    const re = second.subarray(0, 32);
    state.mixHash(re);
    state.mixKey(ephemeral.privateKey, re);
    const rs = state.open(second.subarray(32, 80));
    state.mixKey(ephemeral.privateKey, rs);
    const bound = state.h;
    const payload = state.open(second.subarray(80));
    const listener = payload.subarray(0, 32);
    expect(listener.toString("base64")).toBe(network.id.text);
    const said = statement(1, bound, rs, payload.subarray(96));
    expect(verify(null, said, keyOf("ed25519", listener), payload.subarray(32, 96))).toBe(true);

    const longTerm = generateKeyPairSync("x25519");
    const s = rawKey(longTerm.publicKey);
    const sealedKey = state.seal(s);
    state.mixKey(longTerm.privateKey, re);
    const signature = sign(null, statement(0, state.h, s, offer), identity.privateKey);
    const proof = Buffer.concat([rawKey(identity.publicKey), signature, offer]);
    const third = Buffer.concat([sealedKey, state.seal(proof)]);
    expect(third).toHaveLength(160 + offer.length);
    sendMessage(third);
    return state.split();
  }

  it("is let in under the key it proved, and both directions carry frames in boxes", async () => {
    const added = deferred<string>();
    const heard = deferred<string | undefined>();
    await network.registerPlugin({
      nodeAdded: ({ peer }) => added.resolve(peer.id.text),
      newMessage({ message, reply }) {
        heard.resolve(message.as(Word));
        return reply(Word.of("loud and clear"));
      },
    });
    const [seal, open] = await shake();
    const box = (plain: Uint8Array): Buffer => {
      const sealed = seal.seal(EMPTY, plain);
      return Buffer.concat([u16(sealed.length), sealed]);
    };
    expect(open.open(EMPTY, await readMessage())).toEqual(frame(32, Buffer.from([0])));
    hand.send(box(frame(33, Buffer.from([1]))), box(frame(1_301, Buffer.from("over"), 5)));
    expect(await added.promise).toBe(rawKey(identity.publicKey).toString("base64"));
    expect(await heard.promise).toBe("over");
    const answer = open.open(EMPTY, await readMessage());
    expect(answer).toEqual(frame(1_301, Buffer.from("loud and clear"), 5, 1));
    // The goodbye of the transform alone, without one of the stream.
    const left = deferred<string | undefined>();
    await network.registerPlugin({ nodeDeleted: ({ reason }) => left.resolve(reason?.code) });
    hand.send(box(EMPTY));
    expect(await left.promise).toBe("STREAM_CLOSED");
  });
});
