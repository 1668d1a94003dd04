import { type MessageContext, OPCODES } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Nodes, type TestNode } from "../../../../test/support/nodes.ts";
import { type Latency, latency } from "../../src/latency/index.ts";

const ONE_WAY_MS = 20;

describe("latency", () => {
  let nodes: Nodes;
  let alice: TestNode;
  let bob: TestNode;
  let audit: Latency;
  beforeEach(async () => {
    nodes = new Nodes({ line: { latencyMs: ONE_WAY_MS } });
    alice = await nodes.start("alice");
    bob = await nodes.start("bob");
  });
  afterEach(() => nodes.close());

  /** Both have the plugin; `audit` is Alice's. */
  async function connected(...options: Parameters<typeof latency>): ReturnType<Nodes["connect"]> {
    audit = await alice.network.registerPlugin(latency(...options));
    await bob.network.registerPlugin(latency({ intervalMs: 0 }));
    return nodes.connect(alice, bob);
  }

  it("measures one round trip, and says so at the peer", async () => {
    const [peer] = await connected({ intervalMs: 0 });
    expect(await nodes.runtime.during(audit.ping(peer))).toBe(2 * ONE_WAY_MS);
    expect(peer.roundTripMs).toBe(2 * ONE_WAY_MS);
    expect(alice.network.networkState().peers[0]?.roundTripMs).toBe(2 * ONE_WAY_MS);
  });

  it("speaks carrier's opcodes, with empty bodies", async () => {
    const seen: string[] = [];
    const note = ({ message }: MessageContext): void => {
      seen.push(`${message.opcode} ${message.body.length}`);
    };
    await bob.network.registerPlugin({ newMessage: note });
    const [peer] = await connected({ intervalMs: 0 });
    await nodes.runtime.during(audit.ping(peer));
    expect(seen).toEqual([`${OPCODES.ping} 0`]);
    expect([OPCODES.ping, OPCODES.pong]).toEqual([10, 11]);
  });

  it("pings every peer at each interval, and nobody when it is 0", async () => {
    const [peer] = await connected({ intervalMs: 1_000 });
    await nodes.runtime.advance(10_500);
    expect(audit.percentiles(peer)).toEqual({
      count: 10,
      lost: 0,
      min: 40,
      p50: 40,
      p90: 40,
      p99: 40,
      max: 40,
    });
    await alice.network.unregisterPlugin(audit);
    const quiet = await alice.network.registerPlugin(latency({ intervalMs: 0 }));
    await nodes.runtime.advance(60_000);
    expect(quiet.percentiles(peer)).toBeUndefined();
  });

  it("pings every ten seconds unless told otherwise, and keeps 128 round trips", async () => {
    const [peer] = await connected();
    await nodes.runtime.advance(50_500);
    expect(audit.percentiles(peer)?.count).toBe(5);
    await nodes.runtime.advance(2_000_000);
    expect(audit.percentiles(peer)?.count).toBe(128);
  });

  it("reports every peer that has answered, and forgets who left", async () => {
    await connected({ intervalMs: 0 });
    const carol = await nodes.start("carol");
    const [toCarol] = await nodes.connect(alice, carol);
    expect(audit.report()).toEqual([]);
    for (const peer of alice.network.peers.values()) {
      if (peer !== toCarol) await nodes.runtime.during(audit.ping(peer));
    }
    expect(audit.report()).toMatchObject([{ id: bob.network.id.text, count: 1, p99: 40 }]);
    await nodes.runtime.during(bob.network.close());
    expect(audit.report()).toEqual([]);
  });

  it("counts what got no answer, and keeps it out of the figures", async () => {
    const [peer] = await connected({ intervalMs: 0, timeoutMs: 2_000 });
    await nodes.runtime.during(audit.ping(peer));
    await bob.network.registerPlugin({ newMessage: () => {} });
    const [first] = bob.network.networkState().plugins;
    expect(first?.name).toBe("latency");
    bob.line.loseAll();
    const from = nodes.runtime.now();
    await expect(nodes.runtime.during(audit.ping(peer))).rejects.toMatchObject({
      code: "REQUEST_TIMEOUT",
    });
    expect(nodes.runtime.now() - from).toBe(2_000);
    expect(audit.percentiles(peer)).toMatchObject({ count: 1, lost: 1, max: 40 });
  });

  it("rejects a ping with the signal's reason, or with why the peer left", async () => {
    const [peer] = await connected({ intervalMs: 0 });
    const controller = new AbortController();
    const stopped = audit.ping(peer, { signal: controller.signal });
    controller.abort(new Error("no longer interested"));
    await expect(stopped).rejects.toThrow("no longer interested");
    const cut = audit.ping(peer);
    bob.network.close();
    await expect(nodes.runtime.during(cut)).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
    await expect(audit.ping(peer)).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
  });

  it("measures a peer that came before it was registered", async () => {
    const [, seenByBob] = await nodes.connect(alice, bob);
    await alice.network.registerPlugin(latency({ intervalMs: 0 }));
    const late = await bob.network.registerPlugin(latency({ intervalMs: 0 }));
    await nodes.runtime.during(late.ping(seenByBob));
    expect(late.percentiles(seenByBob)?.count).toBe(1);
  });

  it("serves one network at a time", async () => {
    audit = latency();
    await alice.network.registerPlugin(audit);
    await expect(bob.network.registerPlugin(audit)).rejects.toMatchObject({
      code: "PLUGIN_FAILED",
    });
    await alice.network.unregisterPlugin(audit);
    const [peer] = await nodes.connect(alice, bob);
    await expect(audit.ping(peer)).rejects.toThrow(TypeError);
    await bob.network.registerPlugin(audit);
    expect(bob.network.networkState().plugins).toMatchObject([{ name: "latency", faults: 0 }]);
  });

  it("pings nobody once it is closed, and leaves no timer but of pings under way", async () => {
    const [peer] = await connected({ intervalMs: 1_000, timeoutMs: 2_000 });
    bob.line.loseAll();
    await nodes.runtime.advance(5_500);
    await alice.network.unregisterPlugin(audit);
    expect(alice.network.networkState().peers[0]?.pendingRequests).toBe(2);
    await nodes.runtime.advance(2_000);
    expect(alice.network.networkState().peers[0]?.pendingRequests).toBe(0);
    expect(peer.connected).toBe(true);
    expect(nodes.runtime.pending).toBe(0);
  });

  it("refuses options that make no sense", () => {
    for (const intervalMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => latency({ intervalMs })).toThrow(/^intervalMs must be from 0 /);
    }
    expect(() => latency({ timeoutMs: 0 })).toThrow(RangeError);
    expect(() => latency({ samples: 0 })).toThrow(RangeError);
    expect(() => latency({ samples: "many" as unknown as number })).toThrow(TypeError);
  });
});
