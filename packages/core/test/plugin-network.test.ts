import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Nodes, type TestNode } from "../../../test/support/nodes.ts";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { Identity } from "../src/identity.ts";
import { defineMessage, text } from "../src/message.ts";
import { type Deferred, deferred } from "../src/queue.ts";

const Say = defineMessage({ name: "say of plugins in a network", opcode: 1_503, codec: text });

describe("in a network", () => {
  let nodes: Nodes;
  let alice: TestNode;
  let bob: TestNode;
  let carol: TestNode;
  beforeEach(async () => {
    nodes = new Nodes();
    alice = await nodes.start("alice", { limits: { maxInFlight: 4 } });
    bob = await nodes.start("bob");
    carol = await nodes.start("carol");
  });
  afterEach(() => nodes.close());

  it("a slow plugin pauses one peer only, and loses nothing", async () => {
    const hooks: Deferred<void>[] = [];
    const heard: string[] = [];
    await alice.network.registerPlugin({
      newMessage: ({ message, peer }) => {
        heard.push(String(message.as(Say)));
        if (peer.id.text !== bob.network.id.text) return undefined;
        const hook = deferred<void>();
        hooks.push(hook);
        return hook.promise;
      },
    });
    const [, bobAtAlice] = await nodes.connect(bob, alice);
    await nodes.connect(carol, alice);
    for (let i = 0; i < 100; i++) bob.network.broadcast(Say.of(`bob ${i}`));
    await settled();
    expect(heard).toEqual(["bob 0", "bob 1", "bob 2", "bob 3"]);
    expect(bobAtAlice.paused).toBe(true);
    for (let i = 0; i < 100; i++) carol.network.broadcast(Say.of(`carol ${i}`));
    await settled();
    expect(heard).toHaveLength(104);
    for (let i = 0; i < 100; i++) {
      hooks[i]?.resolve();
      await settled();
    }
    expect(bobAtAlice.paused).toBe(false);
    expect(heard.filter((line) => line.startsWith("bob"))).toEqual(
      Array.from({ length: 100 }, (_, i) => `bob ${i}`),
    );
  });

  it("a hanging plugin pauses its peer for 30 seconds a turn, and is suspended in the end", async () => {
    await alice.network.registerPlugin({ newMessage: () => new Promise(() => {}) });
    await nodes.connect(bob, alice);
    for (let i = 0; i < 100; i++) bob.network.broadcast(Say.of(String(i)));
    await nodes.runtime.advance(90_000);
    const state = alice.network.networkState();
    expect(state.plugins).toMatchObject([{ status: "suspended", inFlight: 0 }]);
    expect(state.peers[0]?.messagesIn).toBeGreaterThanOrEqual(100);
  });

  it("a peer cannot get a plugin suspended by asking and leaving", async () => {
    const Question = defineMessage({ name: "question of a rude peer", opcode: 1_502, codec: text });
    await alice.network.registerPlugin({
      name: "polite",
      async newMessage({ message, reply, peer }) {
        if (message.as(Question) === undefined) return;
        await peer.request(Say.of("who are you?"), Say);
        await reply(Say.of("well"));
      },
    });
    for (let round = 0; round < 8; round++) {
      const rude = await nodes.start(`rude ${round}`, { identity: Identity.generate() });
      await nodes.connect(rude, alice);
      for (let i = 0; i < 3; i++) rude.network.broadcast(Question.of("?"));
      await settled();
      await nodes.runtime.during(rude.network.close());
    }
    expect(alice.network.networkState().plugins).toMatchObject([
      { name: "polite", status: "active", faults: 0, inFlight: 0 },
    ]);
  });

  it("a goodbye said in a close hook travels, by broadcast and by send", async () => {
    const heard: string[] = [];
    await bob.network.registerPlugin({
      newMessage: ({ message }) => void heard.push(String(message.as(Say))),
      nodeDeleted: ({ reason }) => void heard.push(String(reason?.code)),
    });
    await alice.network.registerPlugin({
      async close({ network }) {
        network.broadcast(Say.of("goodbye"));
        for (const peer of network.peers.values()) await peer.send(Say.of("you too"));
      },
    });
    await nodes.connect(alice, bob);
    await nodes.runtime.during(alice.network.close());
    await settled();
    expect(heard).toEqual(["goodbye", "you too", "NETWORK_CLOSED"]);
    expect(() => alice.network.broadcast(Say.of("too late"))).toThrow(
      expect.objectContaining({ code: "NETWORK_CLOSED" }),
    );
    expect(() => alice.network.registerPlugin({ close: () => {} })).toThrow(
      expect.objectContaining({ code: "NETWORK_CLOSED" }),
    );
  });

  it("listen and add wait for plugins that are starting", async () => {
    const ready = deferred<void>();
    void alice.network.registerPlugin({ startup: () => ready.promise });
    let done = 0;
    const adding = alice.network.add(bob.address).then(() => done++);
    const listening = alice.network.listen("memory:second~vouch").then(() => done++);
    await nodes.runtime.advance(20_000);
    expect(done).toBe(0);
    ready.resolve();
    await nodes.runtime.during(Promise.all([adding, listening]));
  });

  it("a broadcast goes by the plugin that takes it on, and to neighbours otherwise", async () => {
    const report = { sent: [], failed: [] };
    await nodes.connect(alice, bob);
    await alice.network.registerPlugin({
      disseminate: (message) =>
        message.reach === "network" ? { queued: 7, report: async () => report } : undefined,
    });
    expect(alice.network.broadcast({ ...Say.of("far"), reach: "network" }).queued).toBe(7);
    expect(alice.network.broadcast(Say.of("near")).queued).toBe(1);
    const named = { ...Say.of("to one"), reach: "network" } as const;
    expect(alice.network.broadcast(named, bob.network.id).queued).toBe(1);
  });
});
