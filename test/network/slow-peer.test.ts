import { defineMessage, type NetworkError, type Peer, bytes as raw } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { LANES } from "../../packages/core/src/lane.ts";
import type { LivePeer } from "../../packages/core/src/peer.ts";
import { Cluster, Line, type Node } from "../support/cluster.ts";
import { sortedIdentities } from "../support/identities.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { Nodes } from "../support/nodes.ts";
import { Raw } from "../support/raw.ts";

const Block = defineMessage({ name: "block", opcode: 1_270, codec: raw });
const KIB = 1_024;
const MIB = KIB * KIB;

describe("a peer that stops reading", () => {
  expectNoLeaks();

  it("holds up nobody else, costs a bounded queue, and is closed when its time is over", async () => {
    await using cluster = new Cluster("net~noauth");
    const limits = { maxSendBufferBytes: MIB, stallTimeoutMs: 300, maxMessageBytes: MIB };
    const hub = await cluster.one({ limits });
    const brisk = await cluster.one();
    await brisk.network.add(hub.address);
    const slow = await Raw.dial(hub.address);
    await hub.saw(() => hub.count("added") === 2);
    slow.socket.pause();
    for (const peer of hub.network.peers.values()) peer.writable = true;
    const [briskPeer, slowPeer] = [...hub.network.peers.values()] as [Peer, Peer];

    const block = Block.of(new Uint8Array(64 * KIB));
    const outcomes: (string | undefined)[] = [];
    const before = process.memoryUsage().arrayBuffers;
    let rounds = 0;
    let most = 0;
    for (; !outcomes.includes("SEND_BUFFER_FULL"); rounds++) {
      const { failed } = await Promise.race([
        hub.network.broadcast(block).report(),
        briskPeer.send(Line.of(String(rounds))).then(() => ({ failed: [] })),
      ]);
      for (const { error } of failed) outcomes.push(error.code);
      void slowPeer.send(block).catch((error: NetworkError) => outcomes.push(error.code));
      most = Math.max(most, slowPeer.queuedBytes);
      if (rounds > 2_000) throw new Error("the kernel takes everything");
    }
    // What the slow one does not take is bounded; the brisk one got all of it.
    expect(most).toBeLessThanOrEqual(MIB + 256 * KIB);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * MIB);
    expect(hub.network.networkState().peers.map(({ state }) => state)).toContain("congested");
    await brisk.saw(() => brisk.texts.includes(String(rounds - 1)));
    expect(brisk.texts).toEqual(Array.from({ length: rounds }, (_, i) => String(i)));

    await hub.saw(() => hub.reasons.length === 1);
    expect(hub.reasons[0]).toMatchObject({ name: "StreamError", code: "STREAM_IDLE" });
    expect([briskPeer.connected, slowPeer.connected]).toEqual([true, false]);
    slow.socket.resume();
    await slow.closed;
  }, 20_000);

  it("rejects every send that waits for it when it is closed", async () => {
    await using cluster = new Cluster("net~noauth");
    const hub = await cluster.one({ limits: { stallTimeoutMs: 200 } });
    const slow = await Raw.dial(hub.address);
    await hub.saw(() => hub.count("added") === 1);
    slow.socket.pause();
    const [peer] = [...hub.network.peers.values()] as [Peer];
    const big = Block.of(new Uint8Array(4 * MIB));
    const sends: Promise<void>[] = [];
    // Enough for the kernel's buffers on both sides, and then some.
    for (let i = 0; i < 8; i++) sends.push(peer.send(big));
    const outcomes = await Promise.allSettled(sends);
    const codes = outcomes.map((outcome) =>
      outcome.status === "rejected" ? (outcome.reason as NetworkError).code : "sent",
    );
    expect(codes).toContain("SEND_BUFFER_FULL");
    expect(codes.filter((code) => code === "STREAM_IDLE").length).toBeGreaterThan(0);
    await hub.saw(() => hub.reasons.length === 1);
    await expect(peer.send(Line.of("x"))).rejects.toMatchObject({ code: "STREAM_IDLE" });
    slow.socket.resume();
    await slow.closed;
  }, 20_000);

  it("is not closed while it takes what it can", async () => {
    // A line of 100 kB a second: each drain comes within the stall time, all of them do not.
    const nodes = new Nodes({
      line: { latencyMs: 5, bandwidth: 100 * KIB },
      limits: { stallTimeoutMs: 4_000 },
    });
    const [one, other] = [await nodes.start("one"), await nodes.start("other")];
    const [peer] = await nodes.connect(one, other);
    let received = 0;
    await other.network.registerPlugin({
      newMessage: () => {
        received++;
      },
    });
    const sends = Array.from({ length: 40 }, () => peer.send(Block.of(new Uint8Array(32 * KIB))));
    await nodes.runtime.during(Promise.all(sends), 30_000);
    await nodes.runtime.until(() => received === 40, 10_000);
    expect(received).toBe(40);
    expect(peer.connected).toBe(true);
    await nodes.close();
  });
});

describe("leaving a peer on a slow line", () => {
  it("takes the time that what was sent before needs", async () => {
    const nodes = new Nodes({
      line: { latencyMs: 20, bandwidth: 250 * KIB },
      limits: { closeTimeoutMs: 2_000 },
    });
    const [one, other] = [await nodes.start("one"), await nodes.start("other")];
    const [peer] = await nodes.connect(one, other);
    let received = 0;
    let reason: string | undefined;
    await other.network.registerPlugin({
      newMessage: () => {
        received++;
      },
      nodeDeleted: (context) => {
        reason = context.reason?.message;
      },
    });
    const sends = Array.from({ length: 60 }, () => peer.send(Block.of(new Uint8Array(32 * KIB))));
    const before = nodes.runtime.now();
    await nodes.runtime.during(one.network.delete(peer), 30_000);
    expect(nodes.runtime.now() - before).toBeGreaterThan(6_000);
    await Promise.all(sends);
    expect([received, reason]).toEqual([60, "closed by the peer: deleted"]);
    await nodes.close();
  });

  it("ends when the other side takes nothing for too long", async () => {
    const nodes = new Nodes({ line: { latencyMs: 5 }, limits: { closeTimeoutMs: 500 } });
    const [one, other] = [await nodes.start("one"), await nodes.start("other")];
    const [peer] = await nodes.connect(one, other);
    one.line.loseAll();
    const before = nodes.runtime.now();
    await nodes.runtime.during(one.network.delete(peer), 30_000);
    expect(nodes.runtime.now() - before).toBe(500);
    await nodes.runtime.during(other.network.delete(one.network.id), 30_000);
    await nodes.close();
  });
});

describe("what a stream carries", () => {
  expectNoLeaks();

  for (const stack of ["net~noise", "net~shs", "net~noauth"]) {
    it(`one message as large as it may be, over ${stack}`, async () => {
      await using cluster = new Cluster(stack);
      const [one, other] = (await cluster.start(2)) as [Node, Node];
      await cluster.connect(one, other);
      const [peer] = [...one.network.peers.values()] as [Peer];
      const body = new Uint8Array(4 * MIB);
      for (let i = 0; i < body.length; i += 997) body[i] = i;
      await Promise.all([peer.send(Line.of("before")), peer.send(Block.of(body))]);
      await peer.send(Line.of("after"));
      await other.saw(() => other.messages.length === 3);
      expect(other.texts).toEqual(["before", "after"]);
      expect(Buffer.compare(other.messages[1]?.body ?? Buffer.alloc(0), body)).toBe(0);
    });
  }

  it("a hundred thousand small messages, in order, awaited or not", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    await cluster.connect(one, other);
    const peer = one.peer(other);
    const COUNT = 100_000;
    const body = new Uint8Array(4);
    const view = new DataView(body.buffer);
    let next = 0;
    let received = 0;
    let done: () => void = () => {};
    const finished = new Promise<void>((resolve) => {
      done = resolve;
    });
    await other.network.registerPlugin({
      newMessage: ({ message }) => {
        const { buffer, byteOffset } = message.body;
        if (new DataView(buffer, byteOffset).getUint32(0) !== received++) received = -COUNT;
        if (received === COUNT) done();
      },
    });
    while (next < COUNT) {
      let last: Promise<void> | undefined;
      for (let i = 0; i < 1_000; i++) {
        view.setUint32(0, next++);
        last = peer.send({ opcode: 1_271, body });
      }
      await last;
    }
    await finished;
    expect(received).toBe(COUNT);
    const [state] = other.network.networkState().peers;
    expect(state?.messagesIn).toBe(COUNT);
  }, 20_000);

  it("control before replies, replies before messages, messages before bulk", async () => {
    const [small, large] = sortedIdentities(2);
    const nodes = new Nodes({ line: { latencyMs: 1, bandwidth: MIB } });
    const one = await nodes.start("one", { identity: small as NonNullable<typeof small> });
    const other = await nodes.start("other", { identity: large as NonNullable<typeof large> });
    const [peer] = (await nodes.connect(one, other)) as [LivePeer, Peer];
    const seen: number[] = [];
    await other.network.registerPlugin({
      newMessage: ({ message }) => {
        seen.push(message.opcode);
      },
    });
    // Fill the line, so that what follows has to wait in its lane.
    const filler = new Uint8Array(60 * KIB);
    for (let i = 0; i < 40; i++) void peer.send({ opcode: 2_000, body: filler });
    await nodes.runtime.until(() => peer.queuedBytes > 0, 1_000);
    for (const lane of [LANES.bulk, LANES.normal, LANES.reply, LANES.control]) {
      for (let i = 0; i < 3; i++) peer.stream.send(lane, 3_000 + lane, 0, 0, [Uint8Array.of(i)]);
    }
    await nodes.runtime.until(() => seen.length === 52, 20_000);
    expect(seen.filter((opcode) => opcode >= 3_000)).toEqual([
      3_000, 3_000, 3_000, 3_001, 3_001, 3_001, 3_002, 3_002, 3_002, 3_003, 3_003, 3_003,
    ]);
    // The urgent ones overtook what was waiting; the normal ones kept their place.
    expect(seen.indexOf(3_001)).toBeLessThan(40);
    expect(seen.indexOf(3_002)).toBeGreaterThan(39);
    await nodes.close();
  });
});
