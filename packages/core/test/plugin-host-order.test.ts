import { describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { PeerId } from "../src/identity.ts";
import { InboundMessage, type Message, text } from "../src/message.ts";
import type { LivePeer } from "../src/peer.ts";
import type { AnyPlugin, MessageContext, NetworkContext, PeerContext } from "../src/plugin.ts";
import { boom, FakePeer, GONE, inbound, number, Say, World } from "./support/host-world.ts";

describe("contexts", () => {
  it("are one object for all plugins and both spellings", async () => {
    const world = new World();
    const seen = new Map<string, unknown[]>();
    const note = (hook: string) => (context: unknown) => {
      seen.set(hook, [...(seen.get(hook) ?? []), context]);
    };
    const hooks = ["startup", "newMessage", "nodeAdded", "nodeDeleted", "close"];
    const camel = Object.fromEntries(hooks.map((hook) => [hook, note(hook)]));
    const go = Object.fromEntries(
      hooks.map((hook) => [`${hook.slice(0, 1).toUpperCase()}${hook.slice(1)}`, note(hook)]),
    );
    await world.host.register(camel);
    await world.host.register(go);
    world.host.nodeAdded(world.peer.live);
    world.say("hello");
    world.host.nodeDeleted(world.peer.live, GONE);
    await world.host.close();
    for (const hook of hooks) {
      expect(seen.get(hook)).toHaveLength(2);
      expect(seen.get(hook)?.[0]).toBe(seen.get(hook)?.[1]);
    }
    const first = (hook: string): unknown => seen.get(hook)?.[0];
    expect(first("startup")).toBe(first("close"));
    expect(first("startup")).toMatchObject({ network: {} });
    expect(first("nodeAdded")).toMatchObject({ network: {}, peer: world.peer });
    expect(first("nodeAdded")).not.toHaveProperty("reason");
    expect(first("nodeDeleted")).toMatchObject({ peer: world.peer, reason: GONE });
    expect(first("newMessage")).toMatchObject({ network: {}, peer: world.peer });
  });

  it("answer the message they came with, also when taken apart", async () => {
    const world = new World();
    await world.host.register({ newMessage: ({ reply }) => reply(Say.of("and you")) });
    world.say("how are you");
    await settled();
    expect(world.peer.replies).toEqual([Say.of("and you")]);
  });
});

describe("what a hook causes while it is called", () => {
  it("is shown to all plugins after it: a peer that one of them closes", async () => {
    const world = new World();
    const closer = world.recorder("closer", {
      nodeAdded: ({ peer }: PeerContext) => {
        world.log.push("closer added");
        world.host.nodeDeleted(peer as LivePeer, GONE);
      },
    });
    await world.host.register(closer);
    await world.host.register(world.recorder("b"));
    world.log.length = 0;
    world.host.nodeAdded(world.peer.live);
    expect(world.log).toEqual([
      "closer added",
      "b added 1",
      "closer deleted 1 TRUNCATED",
      "b deleted 1 TRUNCATED",
    ]);
  });

  it("comes after the message that caused it", async () => {
    const world = new World();
    const closer = world.recorder("closer", {
      newMessage: ({ peer }: MessageContext) => world.host.nodeDeleted(peer as LivePeer, GONE),
    });
    await world.host.register(closer);
    await world.host.register(world.recorder("b"));
    world.log.length = 0;
    world.say("bad");
    expect(world.log).toEqual([
      "b bad from 1",
      "closer deleted 1 TRUNCATED",
      "b deleted 1 TRUNCATED",
    ]);
  });

  it("pairs the edges for a plugin that is just being shown who is here", async () => {
    const world = new World();
    const second = new FakePeer(2);
    world.present.push(world.peer, second);
    await world.host.register(
      world.recorder("a", {
        nodeAdded: ({ peer }: PeerContext) => {
          world.log.push(`a added ${number(peer.id)}`);
          if (peer !== world.peer.live) return;
          world.present.pop();
          world.host.nodeDeleted(second.live, GONE);
          world.present.push(new FakePeer(3));
          world.host.nodeAdded(world.present[1]?.live as LivePeer);
        },
      }),
    );
    expect(world.log.slice(1)).toEqual([
      "a added 1",
      "a added 2",
      "a deleted 2 TRUNCATED",
      "a added 3",
    ]);
  });

  it("shows a plugin registered in a hook each peer once", async () => {
    const world = new World();
    let late: Promise<void> | undefined;
    const second = new FakePeer(2);
    await world.host.register({
      nodeAdded: () => {
        if (late !== undefined) return;
        late = world.host.register(world.recorder("late", { startup: undefined }));
        world.present.push(second);
        world.host.nodeAdded(second.live);
      },
    });
    world.present.push(world.peer);
    world.host.nodeAdded(world.peer.live);
    await late;
    world.say("hello");
    expect(world.log).toEqual(["late added 1", "late added 2", "late hello from 1"]);
  });

  it("goes on when a logger throws in between", async () => {
    const world = new World();
    await world.host.register(world.recorder("a", { newMessage: boom }));
    Object.assign(world.logged, { push: boom });
    expect(() => world.say("hello")).toThrow("boom");
    world.host.nodeAdded(world.peer.live);
    expect(world.log).toEqual(["a startup", "a added 1"]);
  });
});

describe("dissemination", () => {
  const message: Message = { ...Say.of("to everybody"), reach: "network" };
  const delivery = { queued: 3, report: async () => ({ sent: [], failed: [] }) };

  it("asks in order, until a plugin takes the message on", async () => {
    const world = new World();
    const asked: string[] = [];
    const ask = (name: string, answer: unknown) => ({
      disseminate: (given: Message) => {
        expect(given).toBe(message);
        asked.push(name);
        return answer as undefined;
      },
    });
    await world.host.register(world.recorder("no disseminate"));
    await world.host.register(ask("not mine", undefined));
    await world.host.register(ask("mine", delivery));
    await world.host.register(ask("never asked", delivery));
    expect(world.host.disseminate(message)).toBe(delivery);
    expect(asked).toEqual(["not mine", "mine"]);
  });

  it("passes over a plugin that throws, answers with a promise, or is not active", async () => {
    const world = new World();
    await world.host.register({ disseminate: boom });
    await world.host.register({ disseminate: async () => delivery } as unknown as AnyPlugin);
    await world.host.register({ disseminate: () => null } as unknown as AnyPlugin);
    expect(world.host.disseminate(message)).toBeUndefined();
    expect(world.host.states.map(({ lastFault }) => lastFault)).toEqual([
      "disseminate: boom",
      "disseminate: disseminate must return a Delivery or undefined",
      "disseminate: disseminate must return a Delivery or undefined",
    ]);
    for (let i = 0; i < 20; i++) world.host.disseminate(message);
    expect(world.host.states.map(({ faults }) => faults)).toEqual([10, 10, 10]);
  });

  it("delivers to all plugins that do not disseminate, as from the origin", async () => {
    const world = new World();
    const origin = PeerId.from(new Uint8Array(32).fill(9));
    const seen: MessageContext[] = [];
    const gossip = world.recorder("gossip", {
      disseminate: () => undefined,
      newMessage: ({ deliver }: MessageContext) => deliver(Say.of("carried"), origin),
    });
    await world.host.register(gossip);
    await world.host.register({ newMessage: (context) => void seen.push(context) });
    world.say("carrier");
    expect(seen.map(({ message: { body } }) => text.decode(body))).toEqual(["carrier", "carried"]);
    const [, carried] = seen as [MessageContext, MessageContext];
    expect(carried.message).toBeInstanceOf(InboundMessage);
    expect(carried.message.sender).toBe(origin);
    expect(carried.message.signer).toBeUndefined();
    expect(carried.message.as(Say)).toBe("carried");
    expect(carried.peer).toBe(world.peer);
    await carried.reply(Say.of("thanks"));
    expect(world.replies).toEqual([
      { origin: origin.text, via: world.peer, message: Say.of("thanks"), to: carried.message },
    ]);
  });

  it("delivers a message that knows its sender as it is", async () => {
    const world = new World();
    const origin = PeerId.from(new Uint8Array(32).fill(9));
    const known = inbound("as it is", origin);
    const seen: InboundMessage[] = [];
    await world.host.register({ newMessage: ({ message: got }) => void seen.push(got) });
    world.host.deliver(known, origin, world.peer.live);
    world.host.deliver(known, world.peer.id, world.peer.live);
    expect(seen[0]).toBe(known);
    expect(seen[1]?.sender).toBe(world.peer.id);
  });

  it("delivers from any context, with a peer where there is none", async () => {
    const world = new World();
    const origin = PeerId.from(new Uint8Array(32).fill(9));
    const contexts: { startup?: NetworkContext; nodeAdded?: PeerContext } = {};
    await world.host.register({
      disseminate: () => undefined,
      startup: (context) => {
        contexts.startup = context;
      },
      nodeAdded: (context) => {
        contexts.nodeAdded = context;
      },
    });
    await world.host.register(world.recorder("a"));
    world.host.nodeAdded(world.peer.live);
    world.log.length = 0;
    expect(() => contexts.startup?.deliver(Say.of("lost"), origin)).toThrow(
      new TypeError("via is needed outside a peer's context"),
    );
    contexts.startup?.deliver(Say.of("from startup"), origin, world.peer.live);
    contexts.nodeAdded?.deliver(Say.of("from nodeAdded"), origin);
    expect(world.log).toEqual(["a from startup from 1", "a from nodeAdded from 1"]);
  });

  it("spares the plugin whose hook delivers", async () => {
    const world = new World();
    const origin = PeerId.from(new Uint8Array(32).fill(9));
    const seen: string[] = [];
    await world.host.register({
      newMessage: ({ message: got, deliver }) => {
        seen.push(`one ${text.decode(got.body)}`);
        deliver(Say.of("inner"), origin);
      },
    });
    await world.host.register({
      newMessage: ({ message: got }) => void seen.push(`two ${text.decode(got.body)}`),
    });
    world.say("outer");
    expect(seen).toEqual(["one outer", "two outer", "two inner"]);
  });

  it("bears a message that says it holds another, however deep", async () => {
    const world = new World();
    const origin = PeerId.from(new Uint8Array(32).fill(9));
    let depth = 0;
    const unwrap = (): AnyPlugin => ({
      newMessage: ({ deliver, message: { sender } }) => {
        if (sender.equals(origin) ? depth++ < 100_000 : depth === 0)
          deliver(Say.of("one more"), origin);
      },
    });
    await world.host.register(unwrap());
    await world.host.register(unwrap());
    world.say("go");
    expect(depth).toBeGreaterThan(100_000);
    expect(world.state()).toMatchObject({ faults: 0 });
  });
});
