import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Nodes, type TestNode } from "../../../test/support/nodes.ts";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { defineMessage, text } from "../src/message.ts";

const OPCODE = 1_401;
const Never = defineMessage({ name: "never", opcode: OPCODE + 1, codec: text });

function everyObject(value: unknown): object[] {
  if (typeof value !== "object" || value === null) return [];
  return [value, ...Object.values(value).flatMap(everyObject)];
}

describe("a network's state", () => {
  let nodes: Nodes;
  let alice: TestNode;
  let bob: TestNode;
  beforeEach(async () => {
    nodes = new Nodes();
    alice = await nodes.start("alice");
    bob = await nodes.start("bob");
  });
  afterEach(() => nodes.close());

  it("of a fresh node is its id, its addresses, and noughts", () => {
    expect(alice.network.networkState()).toEqual({
      id: alice.network.id.text,
      addresses: [alice.address],
      peers: [],
      counters: { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, added: 0, deleted: 0 },
      plugins: [],
    });
  });

  it("shows each peer from this side", async () => {
    await nodes.connect(alice, bob);
    const [atAlice] = alice.network.networkState().peers;
    const [atBob] = bob.network.networkState().peers;
    expect(atAlice).toMatchObject({
      id: bob.network.id.text,
      address: bob.address,
      side: "dialer",
      state: "connected",
      authenticated: true,
      writable: true,
      roundTripMs: null,
      queuedBytes: 0,
      pendingRequests: 0,
      channels: 0,
      since: nodes.runtime.wallClock(),
      lastError: null,
    });
    expect(atBob).toMatchObject({ id: alice.network.id.text, side: "listener" });
  });

  it("counts messages and bytes, both ways alike", async () => {
    const [peer] = await nodes.connect(alice, bob);
    const [before, beforeAtBob] = [alice.network.networkState(), bob.network.networkState()];
    for (let i = 0; i < 5; i++) await peer.send({ opcode: OPCODE, body: new Uint8Array(100) });
    await settled();
    const [after, afterAtBob] = [alice.network.networkState(), bob.network.networkState()];
    expect(after.counters.messagesOut - before.counters.messagesOut).toBe(5);
    expect(afterAtBob.counters.messagesIn - beforeAtBob.counters.messagesIn).toBe(5);
    const out = after.counters.bytesOut - before.counters.bytesOut;
    expect(out).toBeGreaterThanOrEqual(500);
    expect(afterAtBob.counters.bytesIn - beforeAtBob.counters.bytesIn).toBeGreaterThanOrEqual(out);
    expect(after.peers[0]?.messagesOut).toBe(after.counters.messagesOut);
    expect(afterAtBob.peers[0]?.bytesIn).toBe(afterAtBob.counters.bytesIn);
  });

  it("keeps counting peers that left", async () => {
    const [peer] = await nodes.connect(alice, bob);
    await peer.send({ opcode: OPCODE, body: text.encode("so that it counts") });
    const { counters } = alice.network.networkState();
    await nodes.runtime.during(alice.network.delete(peer));
    const after = alice.network.networkState();
    expect(after.peers).toEqual([]);
    expect(after.counters).toMatchObject({ added: 1, deleted: 1, bytesIn: counters.bytesIn });
    expect([counters.messagesOut, after.counters.messagesOut]).toEqual([1, 1]);
    await nodes.connect(alice, bob);
    expect(alice.network.networkState().counters).toMatchObject({ added: 2, deleted: 1 });
    // Greetings and goodbyes are no messages.
    expect(alice.network.networkState().counters.messagesOut).toBe(1);
  });

  it("shows what waits for a peer, and who waits for it", async () => {
    const narrow = new Nodes({ line: { bandwidth: 10_000 } });
    const [from, to] = [await narrow.start("from"), await narrow.start("to")];
    const [peer] = await narrow.connect(from, to);
    for (let i = 0; i < 10; i++) {
      from.network.broadcast({ opcode: OPCODE, body: new Uint8Array(60_000) });
    }
    const question = peer.request({ opcode: OPCODE, body: text.encode("?") }, Never);
    question.catch(() => {});
    await settled();
    const [state] = from.network.networkState().peers;
    expect(state).toMatchObject({ state: "congested", pendingRequests: 1 });
    expect(state?.queuedBytes).toBe(peer.queuedBytes);
    expect(state?.queuedBytes).toBeGreaterThan(0);
    await narrow.close();
  });

  it("shows what last went wrong with a peer", async () => {
    const [peer] = await nodes.connect(alice, bob);
    const lastError = (): unknown => alice.network.networkState().peers[0]?.lastError;
    const message = { opcode: OPCODE, body: text.encode("anybody?") };
    const question = peer.request(message, Never, { timeoutMs: 1_000 });
    await expect(nodes.runtime.during(question)).rejects.toThrow();
    expect(lastError()).toEqual({ code: "REQUEST_TIMEOUT", message: "no never within 1000 ms" });
    const body = new Uint8Array(alice.network.limits.maxMessageBytes);
    peer.send({ opcode: OPCODE, body }).catch(() => {});
    for (let i = 0; i < 2; i++) alice.network.broadcast({ opcode: OPCODE, body });
    expect(lastError()).toMatchObject({ code: "SEND_BUFFER_FULL" });
  });

  it("shows each plugin's health", async () => {
    const fail = (): void => {
      throw new Error("no");
    };
    await alice.network.registerPlugin({ name: "well", nodeAdded: () => {} });
    await alice.network.registerPlugin({ name: "ill", nodeAdded: fail });
    await nodes.connect(alice, bob);
    expect(alice.network.networkState().plugins).toEqual([
      { name: "well", status: "active", faults: 0, inFlight: 0, lastFault: null },
      { name: "ill", status: "active", faults: 1, inFlight: 0, lastFault: "nodeAdded: no" },
    ]);
  });

  it("is plain, frozen through and through, and unmoved by what comes after", async () => {
    await alice.network.registerPlugin({ name: "here", close: () => {} });
    await nodes.connect(alice, bob);
    const state = alice.network.networkState();
    for (const part of everyObject(state)) expect(Object.isFrozen(part)).toBe(true);
    const copy = JSON.parse(JSON.stringify(state));
    expect(copy).toEqual(state);
    await nodes.runtime.during(bob.network.close());
    expect(state).toEqual(copy);
    expect(alice.network.networkState()).not.toEqual(copy);
  });
});
