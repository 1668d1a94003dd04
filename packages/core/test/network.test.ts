import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sortedIdentities } from "../../../test/support/identities.ts";
import { Nodes } from "../../../test/support/nodes.ts";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { toHex, toUtf8 } from "../src/bytes.ts";
import { provider } from "../src/crypto/index.ts";
import { Identity } from "../src/identity.ts";
import { defaultLimits } from "../src/limits.ts";
import { defineMessage, type Message, text } from "../src/message.ts";
import { Network } from "../src/network.ts";

const Word = defineMessage({ name: "word", opcode: 1_450, codec: text });

let nodes: Nodes;

beforeEach(() => {
  nodes = new Nodes({ line: { latencyMs: 5 } });
});

afterEach(async () => {
  await nodes.close();
});

function bare(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

describe("a new network", () => {
  it("has what it was given, and defaults for the rest", () => {
    const identity = Identity.generate();
    const network = new Network({ identity, limits: { maxPeers: 7 } });
    expect(network.id).toBe(identity.id);
    expect(network.limits).toEqual({ ...defaultLimits, maxPeers: 7 });
    expect([network.peers.size, network.addresses, network.wanted.size]).toEqual([0, [], 0]);
    expect(new Network().id.equals(new Network().id)).toBe(false);
  });

  it("draws its own identity from its runtime, so that a seed repeats it", () => {
    const idOf = (seed: number) => new Network({ runtime: new VirtualRuntime(seed) }).id.text;
    expect(idOf(7)).toBe(idOf(7));
    expect(idOf(7)).not.toBe(idOf(8));
  });

  it("belongs to a network that 32 bytes name, or a text's hash", () => {
    const hash = provider.hash("SHA256", toUtf8("testudo"));
    expect(new Network().networkId).toEqual(hash);
    expect(new Network({ networkId: "testudo" }).networkId).toEqual(hash);
    const given = new Uint8Array(32).fill(4);
    const network = new Network({ networkId: given });
    given.fill(0);
    expect(toHex(network.networkId)).toBe("04".repeat(32));
    for (const networkId of [new Uint8Array(31), 7 as unknown as string]) {
      expect(() => new Network({ networkId })).toThrow(TypeError);
    }
  });

  it("refuses limits that make no sense", () => {
    expect(() => new Network({ limits: { maxPeers: 0 } })).toThrow(RangeError);
    expect(() => new Network({ limits: { maxPeerz: 1 } as object })).toThrow(TypeError);
  });
});

describe("an address without a key", () => {
  it("leads to the same peer though its node dialled us, for delete and broadcast", async () => {
    const [small, large] = sortedIdentities(2) as [Identity, Identity];
    const one = await nodes.start("one", { identity: large });
    const other = await nodes.start("other", { identity: small });
    const address = bare(other.address);
    const adding = Promise.all([
      one.network.add(address),
      other.network.add(bare(one.address)),
    ] as const);
    const [peer] = await nodes.runtime.during(adding);
    // The smaller key's dial won, so this node was dialled.
    expect(peer.side).toBe("listener");
    expect(await nodes.runtime.during(one.network.add(address))).toBe(peer);
    const delivery = one.network.broadcast(Word.of("hello"), address);
    expect(delivery.queued).toBe(1);
    await nodes.runtime.during(one.network.delete(address));
    expect([one.network.peers.size, one.network.wanted.size]).toEqual([0, 0]);
    await nodes.runtime.until(() => other.network.peers.size === 0, 1_000);
    expect([...other.network.wanted.values()]).toEqual([large.id.text]);
  });
});

describe("wanted", () => {
  it("is what was added and reached, until it is deleted, by whatever name", async () => {
    const [one, other, third] = [
      await nodes.start("one"),
      await nodes.start("other"),
      await nodes.start("third"),
    ];
    const { network } = one;
    const [peer] = await nodes.connect(one, other);
    await nodes.runtime.during(network.add(bare(other.address)));
    await nodes.connect(one, third);
    expect([...network.wanted]).toEqual([
      [other.address, other.network.id.text],
      [bare(other.address), other.network.id.text],
      [third.address, third.network.id.text],
    ]);
    await expect(nodes.runtime.during(network.add("memory:nobody~vouch"))).rejects.toMatchObject({
      code: "DIAL_REFUSED",
    });
    expect(network.wanted.size).toBe(3);
    // A peer that leaves by itself stays wanted: somebody may dial it again.
    await nodes.runtime.during(third.network.close());
    expect(network.wanted.size).toBe(3);
    await nodes.runtime.during(network.delete(peer));
    expect([...network.wanted.keys()]).toEqual([third.address]);
    await network.delete(third.network.id);
    expect(network.wanted.size).toBe(0);
  });

  it("does not keep an address whose peer was deleted in the same turn", async () => {
    const [one, other] = [await nodes.start("one"), await nodes.start("other")];
    await one.network.registerPlugin({
      nodeAdded: ({ network, peer }) => void network.delete(peer),
    });
    const peer = await nodes.runtime.during(one.network.add(other.address));
    expect(peer.connected).toBe(false);
    expect(one.network.wanted.size).toBe(0);
  });
});

describe("channels by name", () => {
  it("have one handler each, which can be taken back once", async () => {
    const network = new Network();
    const handler = (): void => {};
    expect(() => network.handleChannel("files", undefined as never)).toThrow(TypeError);
    const stop = network.handleChannel("files", handler);
    expect(() => network.handleChannel("files", handler)).toThrow(/already has a handler/);
    stop();
    const again = network.handleChannel("files", () => {});
    stop();
    expect(() => network.handleChannel("files", handler)).toThrow(TypeError);
    again();
  });

  it("are opened by peers, and refused where nobody takes them", async () => {
    const [one, other] = [await nodes.start("one"), await nodes.start("other")];
    const [peer] = await nodes.connect(one, other);
    const got: string[] = [];
    other.network.handleChannel("files", async (channel, from) => {
      for await (const chunk of channel) got.push(new TextDecoder().decode(chunk));
      got.push(from.id.short);
    });
    const channel = await nodes.runtime.during(peer.openChannel("files"));
    channel.write(toUtf8("content"));
    await nodes.runtime.during(channel.end());
    await nodes.runtime.until(() => got.length === 2, 1_000);
    expect(got).toEqual(["content", one.network.id.short]);
    await expect(nodes.runtime.during(peer.openChannel("nothing"))).rejects.toMatchObject({
      code: "CHANNEL_RESET",
    });
    expect(peer.connected).toBe(true);
  });
});

describe("nonces", () => {
  it("count messages of one network, whoever gets them, and are given to signatures too", async () => {
    const [one, other] = [await nodes.start("one"), await nodes.start("other")];
    const [peer] = await nodes.connect(one, other);
    const seen: number[] = [];
    await other.network.registerPlugin({
      newMessage: ({ message }) => void seen.push(message.nonce),
    });
    one.network.broadcast(Word.of("a"));
    void peer.send(Word.of("b"));
    const signed = one.network.sign(Word.of("c"));
    one.network.broadcastRandomly(Word.of("d"), 1);
    one.network.broadcast(signed);
    one.network.broadcast(signed);
    await nodes.runtime.until(() => seen.length === 5, 1_000);
    expect(seen).toEqual([1, 2, 4, 3, 3]);
    expect(() => one.network.sign({ opcode: 3 } as Message)).toThrow(TypeError);
  });
});

describe("an answer to a disseminated message", () => {
  it("goes to its author where he is a peer, else to who carried it", async () => {
    const [author, carrier, reader] = [
      await nodes.start("author"),
      await nodes.start("carrier"),
      await nodes.start("reader"),
    ];
    await nodes.connect(carrier, reader);
    const stranger = Identity.generate().id;
    const heard: string[] = [];
    for (const node of [author, carrier]) {
      await node.network.registerPlugin({
        newMessage: ({ message, network }) => {
          heard.push(`${network === author.network ? "author" : "carrier"} ${message.as(Word)}`);
        },
      });
    }
    await reader.network.registerPlugin({
      newMessage: async ({ message, reply }) => {
        if (message.as(Word) === "carried") await reply(Word.of("thanks"));
      },
    });
    // It passes on what the carrier brings as if it came from somebody else.
    let origin = stranger;
    await reader.network.registerPlugin({
      newMessage: ({ message, deliver, peer }) => {
        if (message.as(Word) === "pass it on") deliver(Word.of("carried"), origin, peer);
      },
      disseminate: () => undefined,
    });
    carrier.network.broadcast(Word.of("pass it on"));
    await nodes.runtime.until(() => heard.length === 1, 1_000);
    await nodes.connect(author, reader);
    origin = author.network.id;
    carrier.network.broadcast(Word.of("pass it on"));
    await nodes.runtime.until(() => heard.length === 2, 1_000);
    expect(heard).toEqual(["carrier thanks", "author thanks"]);
  });
});
