import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Nodes, type TestNode } from "../../../test/support/nodes.ts";
import { FLAGS } from "../src/frame.ts";
import { Identity } from "../src/identity.ts";
import { LANES } from "../src/lane.ts";
import { defaultLimits } from "../src/limits.ts";
import {
  checkMessage,
  defineMessage,
  flagsOf,
  type Message,
  payloadOf,
  type SignedMessage,
  text,
} from "../src/message.ts";
import { OPCODES } from "../src/opcode.ts";
import type { LivePeer, Peer } from "../src/peer.ts";

const Word = defineMessage({ name: "peer word", opcode: 1_460, codec: text });

describe("a message to be sent", () => {
  it("is an opcode that is free to use and a body within the bound", () => {
    const check = (message: unknown): void => checkMessage(message as Message, defaultLimits);
    const body = new Uint8Array(3);
    check({ opcode: 1_000, body });
    check({ opcode: OPCODES.keepalive, body });
    check({ opcode: 0xffff_ffff, body: new Uint8Array(defaultLimits.maxMessageBytes) });
    for (const bad of [
      undefined,
      null,
      7,
      "text",
      {},
      { opcode: 1_000 },
      { opcode: 1, body: [] },
    ]) {
      expect(() => check(bad)).toThrow(TypeError);
    }
    for (const opcode of [0, 1, 14, 32, 33, 63, -1, 0.5, 2 ** 32, "1000", undefined]) {
      expect(() => check({ opcode, body })).toThrow(RangeError);
    }
    const large = { opcode: 1_000, body: new Uint8Array(defaultLimits.maxMessageBytes + 1) };
    expect(() => check(large)).toThrow(/maxMessageBytes is 4194304/);
  });

  it("travels as its body, or behind its author's key and signature", () => {
    const plain = Word.of("x");
    expect([payloadOf(plain), flagsOf(plain)]).toEqual([[plain.body], 0]);
    const { id } = Identity.generate();
    const signature = new Uint8Array(64).fill(1);
    const signed: SignedMessage = { ...plain, nonce: 1, signer: id, signature };
    expect(payloadOf(signed)).toEqual([id.bytes, signature, plain.body]);
    expect(flagsOf(signed)).toBe(FLAGS.signed);
  });
});

describe("a peer", () => {
  let nodes: Nodes;
  let one: TestNode;
  let other: TestNode;
  let peer: LivePeer;
  let there: LivePeer;

  beforeEach(async () => {
    nodes = new Nodes({ line: { latencyMs: 5 }, limits: { maxInFlight: 2 } });
    [one, other] = [await nodes.start("one"), await nodes.start("other")];
    [peer, there] = (await nodes.connect(one, other)) as [LivePeer, LivePeer];
  });

  afterEach(async () => {
    await nodes.close();
  });

  it("shows who it is, how it is reached, and what moves", async () => {
    expect(peer).toMatchObject({
      address: other.address,
      side: "dialer",
      authenticated: true,
      auth: undefined,
      connected: true,
      roundTripMs: undefined,
      queuedBytes: 0,
      paused: false,
      channels: 0,
      pendingRequests: 0,
    });
    expect(there).toMatchObject({ side: "listener", connected: true });
    expect(there.address).toMatch(/^memory:other@\d+~vouch$/);
    expect(peer.id.equals(other.network.id)).toBe(true);
    expect(peer.since).toBeGreaterThan(1_000_000_000_000);
    const before = there.bytesIn;
    const sent = peer.send(Word.of("hello"));
    expect(peer.queuedBytes).toBe(22);
    await nodes.runtime.during(sent);
    await nodes.runtime.until(() => there.bytesIn > before, 100);
  });

  it("is paused while our own plugins have their hands full, and resumes", async () => {
    const seen: string[] = [];
    const releases: (() => void)[] = [];
    await other.network.registerPlugin({
      newMessage: ({ message }) => {
        seen.push(message.as(Word) ?? "");
        return new Promise((resolve) => releases.push(resolve));
      },
    });
    for (const word of ["a", "b", "c"]) void peer.send(Word.of(word));
    await nodes.runtime.until(() => there.paused, 100);
    await nodes.runtime.advance(100);
    expect([seen, there.paused]).toEqual([["a", "b"], true]);
    releases[0]?.();
    await nodes.runtime.until(() => seen.length === 3, 100);
    for (const release of releases) release();
    await nodes.runtime.advance(0);
    expect(there.paused).toBe(false);
  });

  it("that left takes nothing and gives the reason it left with", async () => {
    const channel = await openedChannel();
    peer.close({ code: "STREAM_IDLE", text: "you sleep" });
    const reason = { code: "STREAM_IDLE" };
    expect(peer.connected).toBe(false);
    await expect(peer.send(Word.of("x"))).rejects.toMatchObject(reason);
    await expect(peer.request(Word.of("x"), Word)).rejects.toMatchObject(reason);
    await expect(peer.openChannel("x")).rejects.toBeInstanceOf(Error);
    expect(await channel.closed).toBeInstanceOf(Error);
    expect(peer.lastError).toMatchObject({
      code: "STREAM_IDLE",
      peer: other.network.id.text,
      address: other.address,
    });
    peer.close({ code: "STREAM_CLOSED", text: "again" });
    await nodes.runtime.until(() => !there.connected, 100);
    expect(there.lastError?.message).toBe("closed by the peer: you sleep");
  });

  async function openedChannel(): Promise<Awaited<ReturnType<Peer["openChannel"]>>> {
    other.network.handleChannel("hold", async (channel) => {
      for await (const _ of channel) void _;
    });
    const channel = await nodes.runtime.during(peer.openChannel("hold"));
    expect(peer.channels).toBe(1);
    return channel;
  }

  it("that lies about its channels is closed", async () => {
    await openedChannel();
    peer.stream.send(LANES.bulk, OPCODES.bytes, 0, 0, [Uint8Array.of(255, 255)]);
    await nodes.runtime.until(() => !there.connected, 100);
    expect(there.lastError).toMatchObject({ name: "ProtocolError" });
  });

  it("that speaks core's own numbers out of turn is closed", async () => {
    peer.stream.send(LANES.control, OPCODES.confirm, 0, 0, [Uint8Array.of(1)]);
    await nodes.runtime.until(() => !there.connected, 100);
    expect(there.lastError).toMatchObject({ code: "FRAME_MALFORMED" });
  });

  it("gives each request a nonce of its own, though they come round", async () => {
    const nonces: number[] = [];
    await other.network.registerPlugin({
      newMessage: ({ message }) => void nonces.push(message.nonce),
    });
    const asked = ["a", "b"].map((word) => peer.request(Word.of(word), Word));
    for (const each of asked) each.catch(() => {});
    await nodes.runtime.until(() => nonces.length === 2, 100);
    expect(new Set(nonces).size).toBe(2);
    expect(peer.pendingRequests).toBe(2);
  });

  it("takes a stay that changes nothing, and none that is not empty", async () => {
    there.stream.send(LANES.control, OPCODES.stay, 0, 0, []);
    await nodes.runtime.advance(20);
    expect([peer.connected, peer.writable, peer.passing]).toEqual([true, true, false]);
    there.stream.send(LANES.control, OPCODES.stay, 0, 0, [Uint8Array.of(1)]);
    await nodes.runtime.advance(20);
    expect(peer.lastError?.code).toBe("FRAME_MALFORMED");
    expect(peer.connected).toBe(false);
  });
});
