import {
  defineMessage,
  Identity,
  type MessageContext,
  OPCODES,
  type Peer,
  text,
} from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Nodes, type TestNode } from "../../../../test/support/nodes.ts";
import { type KeepaliveOptions, keepalive } from "../../src/keepalive/index.ts";

const ONE_WAY_MS = 20;
const A_WHILE_MS = 600_000;
const Say = defineMessage({ name: "say in keepalive's tests", opcode: 1_301, codec: text });

/** What one node saw. */
class Seen {
  readonly deleted: string[] = [];
  readonly opcodes: number[] = [];
  added = 0;

  constructor(node: TestNode) {
    void node.network.registerPlugin({
      nodeAdded: () => {
        this.added++;
      },
      newMessage: ({ message }: MessageContext) => {
        this.opcodes.push(message.opcode);
      },
      nodeDeleted: ({ reason }) => {
        this.deleted.push(`${reason?.code}: ${reason?.message}`);
      },
    });
  }
}

describe("keepalive", () => {
  let nodes: Nodes;
  let alice: TestNode;
  let bob: TestNode;
  let atAlice: Seen;
  let atBob: Seen;
  beforeEach(async () => {
    nodes = new Nodes({ line: { latencyMs: ONE_WAY_MS } });
    alice = await nodes.start("alice");
    bob = await nodes.start("bob");
    atAlice = new Seen(alice);
    atBob = new Seen(bob);
  });
  afterEach(() => nodes.close());

  /** Alice dials Bob; she has the plugin, he has it unless told otherwise. */
  async function connected(options: KeepaliveOptions = {}, atBobToo = true): Promise<Peer> {
    await alice.network.registerPlugin(keepalive(options));
    if (atBobToo) await bob.network.registerPlugin(keepalive(options));
    const [peer] = await nodes.connect(alice, bob);
    return peer;
  }

  it("keeps two quiet nodes together, with carrier's opcodes", async () => {
    const peer = await connected();
    await nodes.runtime.advance(A_WHILE_MS);
    expect(peer.connected).toBe(true);
    expect(new Set([...atAlice.opcodes, ...atBob.opcodes])).toEqual(new Set([OPCODES.keepalive]));
    expect([OPCODES.keepalive, OPCODES.keepaliveResponse]).toEqual([2, 3]);
  });

  it("carries the round trip", async () => {
    const peer = await connected();
    expect(peer.roundTripMs).toBeUndefined();
    await nodes.runtime.advance(4_000);
    expect(peer.roundTripMs).toBe(2 * ONE_WAY_MS);
    expect(alice.network.networkState().peers[0]?.roundTripMs).toBe(2 * ONE_WAY_MS);
  });

  it("says nothing while there is traffic", async () => {
    await connected();
    for (let i = 0; i < 100; i++) {
      alice.network.broadcast(Say.of("still here"));
      bob.network.broadcast(Say.of("so am I"));
      await nodes.runtime.advance(2_000);
    }
    expect(new Set([...atAlice.opcodes, ...atBob.opcodes])).toEqual(new Set([Say.opcode]));
  });

  it("closes a peer that fell silent, and says so", async () => {
    await connected({ redial: false });
    bob.line.loseAll();
    const noticed = await nodes.runtime.until(() => atAlice.deleted.length > 0, 21_000);
    expect(noticed).toBe(true);
    expect(atAlice.deleted).toEqual([
      expect.stringMatching(/^STREAM_IDLE: .*not a byte for 15000/),
    ]);
    expect(nodes.runtime.now()).toBeGreaterThan(15_000);
    expect(alice.network.peers.size).toBe(0);
  });

  it("takes a node without the plugin that says nothing for dead, and tells it why", async () => {
    await connected({ redial: false }, false);
    await nodes.runtime.advance(30_000);
    for (const { deleted } of [atAlice, atBob]) {
      expect(deleted).toEqual([expect.stringMatching(/^STREAM_IDLE: .*not a byte for 15000/)]);
    }
  });

  it("lets a node without the plugin be as long as it says anything at all", async () => {
    const peer = await connected({}, false);
    for (let i = 0; i < 60; i++) {
      await nodes.runtime.advance(14_000);
      bob.network.broadcast(Say.of("still here"));
    }
    expect(peer.connected).toBe(true);
    expect(alice.network.networkState().plugins).toMatchObject([{}, { faults: 0 }]);
  });

  it("lets a peer be whose messages our own slow plugin keeps waiting", async () => {
    const carol = await nodes.start("carol", { limits: { maxInFlight: 2 } });
    await carol.network.registerPlugin(keepalive({ intervalMs: 1_000, timeoutMs: 5_000 }));
    const slow = { newMessage: () => new Promise<void>(() => {}) };
    await carol.network.registerPlugin(slow);
    const [peer] = await nodes.connect(carol, bob);
    for (let i = 0; i < 3; i++) bob.network.broadcast(Say.of("wait for me"));
    await nodes.runtime.advance(29_000);
    expect(peer.paused).toBe(true);
    expect(peer.connected).toBe(true);
  });

  it("lets a peer be that takes long for what we sent it", async () => {
    const narrow = new Nodes({ line: { bandwidth: 50_000 } });
    const [from, to] = [await narrow.start("from"), await narrow.start("to")];
    for (const { network } of [from, to]) await network.registerPlugin(keepalive());
    const [peer] = await narrow.connect(from, to);
    for (let i = 0; i < 20; i++) from.network.broadcast(Say.of("x".repeat(100_000)));
    await narrow.runtime.advance(20_000);
    expect(peer.queuedBytes).toBeGreaterThan(0);
    await narrow.runtime.advance(60_000);
    expect(peer.connected).toBe(true);
    expect(peer.queuedBytes).toBe(0);
    await narrow.close();
  });

  it("brings a peer back that was added, as soon as it listens again", async () => {
    const identity = Identity.generate();
    const first = await nodes.start("carol", { identity });
    await alice.network.registerPlugin(keepalive());
    await nodes.connect(alice, first);
    await nodes.runtime.during(first.network.close());
    expect(atAlice.deleted).toEqual([expect.stringMatching(/^NETWORK_CLOSED/)]);
    await nodes.runtime.advance(100_000);
    const second = await nodes.start("carol", { identity });
    await nodes.runtime.advance(17_000);
    expect([...alice.network.peers.keys()]).toEqual([second.network.id.text]);
    expect(alice.network.wanted.get(second.address)).toBe(second.network.id.text);
    expect(atAlice.added).toBe(2);
  });

  it("need not bring back a peer that comes by itself", async () => {
    await connected({ redial: { minDelayMs: 60_000, maxDelayMs: 60_000 } });
    await nodes.runtime.advance(1_000);
    const timers = nodes.runtime.pending;
    const { identity } = bob.network;
    await nodes.runtime.during(bob.network.close());
    bob = await nodes.start("bob", { identity });
    await bob.network.registerPlugin(keepalive());
    await nodes.connect(bob, alice);
    await nodes.runtime.advance(1_000);
    expect(nodes.runtime.pending).toBe(timers);
    const connections = alice.line.connections.length;
    await nodes.runtime.advance(A_WHILE_MS);
    expect(alice.line.connections).toHaveLength(connections);
  });

  it("brings a peer back that fell silent and wakes up", async () => {
    await connected();
    // The line of this one connection only: the next dial goes through.
    for (const connection of bob.line.connections) connection.lost = true;
    await nodes.runtime.advance(60_000);
    expect(atAlice.deleted).toHaveLength(1);
    expect([...alice.network.peers.keys()]).toEqual([bob.network.id.text]);
  });

  it.each([
    ["its address", () => bob.address],
    ["its id", () => bob.network.id],
    ["the peer that left", (peer: Peer) => peer],
  ])("stops for good when it is deleted by %s while it is away", async (_what, nameOf) => {
    const peer = await connected();
    await nodes.runtime.during(bob.network.close());
    await nodes.runtime.advance(10_000);
    await alice.network.delete(nameOf(peer));
    const before = alice.line.connections.length;
    expect(alice.network.wanted.size).toBe(0);
    bob = await nodes.start("bob");
    await nodes.runtime.advance(A_WHILE_MS);
    expect(alice.network.peers.size).toBe(0);
    expect(alice.line.connections).toHaveLength(before);
  });

  it("does not bring back a peer that was deleted while it was there", async () => {
    const peer = await connected();
    await nodes.runtime.during(alice.network.delete(peer));
    await nodes.runtime.advance(A_WHILE_MS);
    expect(atAlice).toMatchObject({ added: 1 });
    expect(atAlice.deleted).toHaveLength(1);
  });

  it("gives up on a node that refuses us, or that is somebody else by now", async () => {
    await connected();
    await nodes.runtime.during(bob.network.close());
    const other = await nodes.start("bob");
    await nodes.runtime.advance(20_000);
    const dials = alice.line.connections.length;
    expect(other.network.peers.size).toBe(0);
    await nodes.runtime.advance(A_WHILE_MS);
    expect(alice.line.connections).toHaveLength(dials);

    const identity = Identity.generate();
    const willing = await nodes.start("dave", { identity });
    await nodes.connect(alice, willing);
    await nodes.runtime.during(willing.network.close());
    const authorize = (): boolean => {
      throw new Error("not you");
    };
    await nodes.start("dave", { identity, authorize });
    await nodes.runtime.advance(20_000);
    const dialsOfDave = alice.line.connections.length;
    await nodes.runtime.advance(A_WHILE_MS);
    expect(alice.line.connections).toHaveLength(dialsOfDave);
  });

  it("leaves addresses alone with redial: false", async () => {
    await connected({ redial: false });
    await nodes.runtime.during(bob.network.close());
    const dials = alice.line.connections.length;
    bob = await nodes.start("bob");
    await nodes.runtime.advance(A_WHILE_MS);
    expect(alice.line.connections).toHaveLength(dials);
  });

  it("takes other waits", async () => {
    await connected({ redial: { minDelayMs: 1, maxDelayMs: 1 } });
    const identity = bob.network.identity;
    await nodes.runtime.during(bob.network.close());
    await nodes.runtime.advance(1_000);
    await nodes.start("bob", { identity });
    await nodes.runtime.advance(200);
    expect(alice.network.peers.size).toBe(1);
  });

  it("serves one network at a time, one after the other", async () => {
    const plugin = keepalive();
    await alice.network.registerPlugin(plugin);
    await expect(bob.network.registerPlugin(plugin)).rejects.toMatchObject({
      code: "PLUGIN_FAILED",
    });
    await alice.network.unregisterPlugin(plugin);
    await bob.network.registerPlugin(plugin);
    expect(bob.network.networkState().plugins[1]).toMatchObject({ name: "keepalive", faults: 0 });
  });

  it("stops at once when it is unregistered in the middle of a dial", async () => {
    const plugin = await alice.network.registerPlugin(keepalive());
    await nodes.connect(alice, bob);
    await nodes.runtime.during(bob.network.close());
    const again = await nodes.start("bob", { identity: bob.network.identity });
    // A dial takes three one-way trips here: catch it between two of them.
    const dials = alice.line.connections.length;
    await nodes.runtime.until(() => alice.line.connections.length > dials, 20_000);
    await alice.network.unregisterPlugin(plugin);
    await nodes.runtime.advance(A_WHILE_MS);
    expect(again.network.peers.size).toBe(0);
    expect(alice.network.peers.size).toBe(0);
  });

  it("refuses options that make no sense", () => {
    expect(() => keepalive({ intervalMs: 0 })).toThrow(/^intervalMs must be/);
    expect(() => keepalive({ timeoutMs: Number.NaN })).toThrow(/^timeoutMs must be/);
    expect(() => keepalive({ redial: { minDelayMs: 0 } })).toThrow(/^redial.minDelayMs must be/);
    expect(() => keepalive({ redial: { minDelayMs: 2, maxDelayMs: 1 } })).toThrow(RangeError);
    expect(() => keepalive({ redial: { maxDelayMs: 1e10 } })).toThrow(RangeError);
    expect(() => keepalive({ redial: { stableMs: -1 } })).toThrow(/^redial.stableMs must be/);
    expect(() => keepalive({ intervalMs: "3s" as unknown as number })).toThrow(TypeError);
  });
});
