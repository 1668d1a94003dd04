/**
 * The wire by hand: a second implementation of docs/protocol.md, of the frames alone, over a bare socket.
 * It uses nothing of core but its answers.
 */

import { createHash, generateKeyPairSync, sign } from "node:crypto";
import {
  deferred,
  defineMessage,
  type InboundMessage,
  Network,
  parseAddress,
  text,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { frame, Hand, u16, u32 } from "../support/hand.ts";

const Word = defineMessage({ name: "word by hand", opcode: 1_301, codec: text });

describe("frames by hand", () => {
  let network: Network;
  let hand: Hand;

  beforeEach(async () => {
    network = new Network({ stacks: [[net(), noauth()]], networkId: "by hand" });
    const [route] = parseAddress(await network.listen("net:127.0.0.1:0~noauth")).routes;
    hand = new Hand(route);
  });
  afterEach(async () => {
    hand.close();
    await network.close();
  });

  const next = async (): Promise<InboundMessage> => {
    const arrived = deferred<InboundMessage>();
    await network.registerPlugin({ newMessage: ({ message }) => arrived.resolve(message) });
    return arrived.promise;
  };

  const nextFrame = async (): Promise<Buffer> => {
    const length = await hand.read(4);
    return Buffer.concat([length, await hand.read(length.readUInt32LE())]);
  };

  it("is welcomed, confirms, sends, and is answered by nonce", async () => {
    await network.registerPlugin({
      newMessage: ({ message, reply }) => reply(Word.of(`${message.as(Word)}, too`)),
    });
    expect(await nextFrame()).toEqual(frame(32, Buffer.from([0])));
    hand.send(frame(33, Buffer.from([1])), frame(1_301, Buffer.from("hello"), 77));
    expect(await nextFrame()).toEqual(frame(1_301, Buffer.from("hello, too"), 77, 1));
  });

  it("signs, and is believed only when the signature fits", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
    const body = Buffer.from("I wrote this");
    const networkId = createHash("sha256").update("by hand").digest();
    const context = Buffer.from("testudo/message/1");
    const signed = Buffer.concat([context, networkId, u32(1_301), u32(9), body]);
    const payload = Buffer.concat([key, sign(null, signed, privateKey), body]);
    await nextFrame();

    const first = next();
    hand.send(frame(1_301, payload, 9, 2));
    const message = await first;
    expect(message.signer?.text).toBe(key.toString("base64"));
    expect(message.as(Word)).toBe("I wrote this");

    const second = next();
    hand.send(frame(1_301, payload, 10, 2));
    const forged = await second;
    expect(forged.signer).toBeUndefined();
    expect(forged.as(Word)).toBe("I wrote this");
  });

  it("opens a channel, keeps to its credit, and ends it", async () => {
    network.handleChannel("echo", async (channel) => {
      for await (const chunk of channel) channel.write(chunk);
      await channel.end();
    });
    await nextFrame();
    const channel = (kind: number, ...rest: readonly Uint8Array[]): Buffer =>
      frame(1, Buffer.concat([Buffer.from([kind]), u32(0), ...rest]));
    hand.send(channel(0, u32(4), Buffer.from("echo")), channel(2, Buffer.from("abcdef")));
    expect(await nextFrame()).toEqual(channel(1, u32(network.limits.channelWindowBytes)));
    expect(await nextFrame()).toEqual(channel(2, Buffer.from("abcd")));
    hand.send(channel(3, u32(4)), channel(4));
    expect(await nextFrame()).toEqual(channel(2, Buffer.from("ef")));
    expect(await nextFrame()).toEqual(channel(4));
  });

  it.each([
    ["a wrong checksum", Buffer.from([...frame(1_301, Buffer.from("x")).subarray(0, -1), 121]), 7],
    ["opcode 0", frame(0, Buffer.alloc(0)), 6],
    ["an unknown flag", frame(1_301, Buffer.alloc(0), 1, 4), 6],
    ["a length below 13", u32(12), 6],
    ["a length beyond the bound", u32(4 * 2 ** 20 + 96 + 13 + 1), 5],
  ])("is told goodbye for %s", async (_, bytes, code) => {
    await nextFrame();
    hand.send(bytes);
    const goodbye = await nextFrame();
    expect(goodbye.readUInt32LE(4)).toBe(14);
    expect(goodbye.subarray(17, 19)).toEqual(u16(code));
    expect(goodbye).toEqual(frame(14, goodbye.subarray(17)));
    expect(await hand.ended()).toBe(true);
  });

  it("says goodbye, and its words are the reason", async () => {
    const left = deferred<string>();
    await network.registerPlugin({
      nodeDeleted: ({ reason }) => left.resolve(`${reason?.code} ${reason?.message}`),
    });
    await nextFrame();
    hand.send(frame(14, Buffer.concat([u16(1), Buffer.from("gone fishing")])));
    expect(await left.promise).toBe("NETWORK_CLOSED closed by the peer: gone fishing");
    expect(await hand.ended()).toBe(true);
  });
});
