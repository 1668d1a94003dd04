/** What the plugin keeps over restarts, among real networks on virtual time. */

import { deferred, Identity, type Logger, type Plugin } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GossipNode, Gossips, News } from "../../../../test/support/gossips.ts";
import { type GossipOptions, gossip } from "../../src/gossip/index.ts";
import type { Storage } from "../../src/storage.ts";

let gossips: Gossips;
beforeEach(() => {
  gossips = new Gossips({ line: { latencyMs: 5 } });
});
afterEach(() => gossips.close());

const during = <T>(work: Promise<T>): Promise<T> => gossips.nodes.runtime.during(work);

/** What is kept, in memory. */
function drawer(kept?: Uint8Array): Storage & { kept: Uint8Array | undefined } {
  const storage = {
    kept,
    load: async () => storage.kept,
    save: async (bytes: Uint8Array) => {
      storage.kept = bytes;
    },
  };
  return storage;
}

function listening(): { logger: Logger; warned: string[] } {
  const warned: string[] = [];
  const quiet = (): void => {};
  const warn = (_: object, text = ""): void => void warned.push(text);
  return { logger: { trace: quiet, debug: quiet, info: quiet, warn, error: quiet }, warned };
}

function witness({ heard }: GossipNode): Plugin {
  return {
    newMessage({ message, peer }) {
      const text = message.as(News);
      if (text !== undefined) heard.push({ text, from: message.sender.text, via: peer.id.text });
    },
  };
}

/** Alice and bob, and carol, who keeps her marks and has heard `before`. */
async function three(storage: Storage, identity = Identity.generate()): Promise<GossipNode[]> {
  const [alice, bob] = (await gossips.start(2)) as [GossipNode, GossipNode];
  const carol = await gossips.one({ storage }, { identity });
  await gossips.ring([alice, bob, carol]);
  alice.say("before");
  carol.say("I was here");
  await gossips.pass(1_000);
  expect(carol.texts).toEqual(["before"]);
  return [alice, bob, carol];
}

describe("the option storage", () => {
  it.each<[string, GossipOptions]>([
    ["storage must have load", { storage: "marks.bin" as never }],
    ["storage must have load", { storage: { save: async () => {} } as never }],
    ["storage and saved exclude", { storage: drawer(), saved: new Uint8Array(12) }],
    ["maxOrigins", { storage: drawer(), maxOrigins: 200_000 }],
  ])("must make sense: %s", (text, options) => {
    expect(() => gossip(options)).toThrow(text);
  });

  it("keeps what was heard from being heard again, after a close", async () => {
    const [storage, identity] = [drawer(), Identity.generate()];
    const [alice, bob, carol] = (await three(storage, identity)) as [
      GossipNode,
      GossipNode,
      GossipNode,
    ];
    await during(carol.network.close());
    alice.say("meanwhile");
    await gossips.pass(1_000);
    const again = await gossips.one({ storage }, { identity });
    await gossips.connect(again, alice);
    await gossips.pass(5_000);
    again.say("I am back");
    await gossips.pass(1_000);
    expect(again.texts).toEqual(["meanwhile"]);
    expect(bob.texts).toEqual(["I am back", "I was here", "before", "meanwhile"]);
  });

  it("and after a kill, but for the last seconds", async () => {
    const [storage, identity] = [drawer(), Identity.generate()];
    const [alice, bob, carol] = (await three(storage, identity)) as [
      GossipNode,
      GossipNode,
      GossipNode,
    ];
    await gossips.pass(6_000);
    alice.say("in the last second");
    await gossips.pass(500);
    expect(carol.texts).toEqual(["before", "in the last second"]);
    // What a process that is killed now leaves behind.
    const left = drawer(storage.kept);
    await during(carol.network.close());
    const again = await gossips.one({ storage: left }, { identity });
    await gossips.connect(again, alice);
    await gossips.pass(5_000);
    again.say("I am back");
    await gossips.pass(1_000);
    expect(again.texts).toEqual(["in the last second"]);
    expect(bob.texts).toContain("I am back");
  });

  it("lets a node count on behind its last life, though its clock was set back", async () => {
    const [storage, identity] = [drawer(), Identity.generate()];
    const [alice, , carol] = (await three(storage, identity)) as [GossipNode, ...GossipNode[]];
    await during((carol as GossipNode).network.close());
    const heard = alice.texts;
    const again = await gossips.one({ storage, epoch: 5 }, { identity });
    // Before anybody can tell it; this is brought to alice when they meet.
    again.say("early");
    await gossips.connect(again, alice);
    await gossips.pass(40_000);
    expect(alice.texts).toEqual([...heard, "early"].toSorted());
  });

  it.each(["dialer", "listener"])(
    "is read before anything is taken, and what comes meanwhile is not lost: to a %s with peers",
    async (side) => {
      const [storage, identity] = [drawer(), Identity.generate()];
      const [alice, , carol] = (await three(storage, identity)) as [
        GossipNode,
        GossipNode,
        GossipNode,
      ];
      await during(carol.network.close());
      const loaded = deferred<void>();
      const slow: Storage = {
        load: () => loaded.promise.then(() => storage.kept),
        save: (bytes) => storage.save(bytes),
      };
      const node = await gossips.nodes.start("carol", { identity });
      if (side === "dialer") await gossips.nodes.connect(node, alice.node);
      else await gossips.nodes.connect(alice.node, node);
      const again = new GossipNode(node, gossip({ storage: slow }));
      await node.network.registerPlugin(witness(again));
      const registered = node.network.registerPlugin(again.gossip);
      alice.say("while it loads");
      await gossips.pass(2_000);
      expect(again.texts).toEqual([]);
      loaded.resolve();
      await registered;
      await gossips.pass(40_000);
      expect(again.texts).toEqual(["while it loads"]);
    },
  );

  it("begins anew when what was kept is broken, and is not disturbed when nothing can be saved", async () => {
    const { logger, warned } = listening();
    const broken: Storage = {
      load: async () => Uint8Array.of(1),
      save: () => Promise.reject(new Error("no room")),
    };
    const [alice, bob] = (await gossips.start(2)) as [GossipNode, GossipNode];
    const carol = await gossips.one({ storage: broken }, { logger });
    await gossips.ring([alice, bob, carol]);
    for (let i = 0; i < 3; i++) {
      alice.say(`news ${i}`);
      await gossips.pass(10_000);
    }
    await during(carol.network.close());
    expect(carol.texts).toEqual(["news 0", "news 1", "news 2"]);
    expect(warned[0]).toContain("cannot be read");
    expect(warned.length).toBeGreaterThan(1);
    for (const text of warned.slice(1)) expect(text).toContain("not saved");
  });

  it("does not begin what nobody waits for any more", async () => {
    const { network } = await gossips.nodes.start("leaving");
    const loaded = deferred<undefined>();
    const plugin = gossip({ storage: { load: () => loaded.promise, save: async () => {} } });
    const registered = network.registerPlugin(plugin).catch((error: Error) => error.message);
    expect(() => plugin.startup({ network, deliver: () => {} })).toThrow("already serves");
    await during(network.close());
    loaded.resolve(undefined);
    expect(await registered).toContain("the network closed before it was done");
    await gossips.pass(1_000);
    expect(plugin.state).toBeUndefined();
    expect(() => plugin.save()).toThrow(TypeError);
  });
});
