/** What a node takes of what its neighbours bring: one that lies, over gossip's own opcodes. */

import { Identity, type Message, type Peer } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type GossipNode, Gossips, News } from "../../../../test/support/gossips.ts";
import {
  AnnounceMessage,
  BEACON_OPCODE,
  GraftMessage,
  ItemsMessage,
  PushMessage,
} from "../../src/gossip/messages.ts";
import { Author, type Item, readItem } from "../../src/gossip/origin.ts";

const HOUR_MS = 3_600_000;

let gossips: Gossips;
let alice: GossipNode;
let bob: GossipNode;
let toAlice: Peer;
let made: number;
beforeEach(async () => {
  made = 0;
  gossips = new Gossips();
  alice = await gossips.one({ maxOrigins: 64, conduct: { newOriginsPerSecond: 1 } });
  bob = await gossips.one();
  await gossips.connect(bob, alice);
  await gossips.pass(1_000);
  toAlice = [...bob.network.peers.values()][0] as Peer;
});
afterEach(() => gossips.close());

/** Of an origin of its own. */
function item(message: Message, aheadMs: number = 0): Item {
  const identity = Identity.fromSecret(
    new Uint8Array(32)
      .fill(1)
      .fill(++made, 0, 1)
      .fill(made >> 8, 1, 2),
  );
  const { networkId } = alice.network;
  const epoch = gossips.nodes.runtime.wallClock() - 1_000 + made + aheadMs;
  return new Author({ identity, networkId, epoch, now: 0 }).next(message, 0);
}
const send = (message: Message): void => void toAlice.send(message).catch(() => {});
const push = (given: Item): void => send(PushMessage.of({ hops: 1, item: given.bytes }));

describe("a message that is none of an application's", () => {
  it.each([
    ["of the protocol", { opcode: 1, body: new Uint8Array(9) }],
    ["of a number that is kept free", { opcode: 999, body: new Uint8Array(0) }],
    ["a beacon with something in it", { opcode: BEACON_OPCODE, body: new Uint8Array(1) }],
  ])("is neither kept nor borne: %s", async (_, message) => {
    for (let i = 0; i < 4; i++) push(item(message));
    await gossips.pass(1_000);
    expect(alice.gossip.state?.kept).toBe(0);
    expect(alice.gossip.state?.origins).toBe(0);
    expect(toAlice.connected).toBe(false);
  });

  it("is kept for others when it is an application's, whoever takes it", async () => {
    push(item({ opcode: 4_000, body: new Uint8Array(9) }));
    push(item({ opcode: BEACON_OPCODE, body: new Uint8Array(0) }));
    await gossips.pass(1_000);
    expect(alice.gossip.state).toMatchObject({ kept: 1, origins: 2 });
    expect(toAlice.connected).toBe(true);
  });
});

describe("new origins", () => {
  it("are taken as they come while there is room, then so many a second, however they come", async () => {
    const items = Array.from({ length: 400 }, (_, i) => item(News.of(`${i}`)));
    for (const each of items.slice(0, 200)) push(each);
    await gossips.pass(10);
    // 48 without a price, then 40 at once.
    expect(alice.heard).toHaveLength(88);
    const brought = items.slice(200).map((each) => ({ ageMs: 2_000, item: each.bytes }));
    send(ItemsMessage.of(brought));
    await gossips.pass(10);
    expect(alice.heard).toHaveLength(88);
    await gossips.pass(10_000);
    send(ItemsMessage.of(brought));
    await gossips.pass(10);
    expect(alice.heard).toHaveLength(98);
    expect(new Set(alice.texts).size).toBe(98);
    expect(toAlice.connected).toBe(true);
    // Who is known is heard all the same, and so is who comes another way.
    bob.say("known by then");
    const carol = await gossips.one();
    await gossips.connect(carol, alice);
    await gossips.pass(2_000);
    carol.say("from elsewhere");
    await gossips.pass(2_000);
    expect(alice.texts).toContain("from elsewhere");
  });

  it("far ahead take four times as much", async () => {
    for (let i = 0; i < 40; i++) push(item(News.of(`${i}`), HOUR_MS));
    await gossips.pass(10);
    expect(alice.heard).toHaveLength(10);
  });
});

it("does not blame who brings what it asked for, and will not ask others for it", async () => {
  const grafts: (string | undefined)[] = [];
  const early = Array.from({ length: 60 }, (_, i) => item(News.of(`${i}`), 60 * HOUR_MS));
  await bob.network.registerPlugin({
    newMessage({ message }) {
      const graft = message.as(GraftMessage);
      const wanted = early.find(({ id }) => id === graft?.id);
      if (graft?.id === undefined || wanted === undefined) return;
      grafts.push(graft.id);
      push(wanted);
    },
  });
  send(AnnounceMessage.of(early.map(({ id }) => ({ id, hops: 1 }))));
  await gossips.pass(5_000);
  expect(grafts).toHaveLength(60);
  expect(alice.heard).toEqual([]);
  expect(toAlice.connected).toBe(true);
});

it("takes all that is missed after a long partition, and closes nobody for bringing it", async () => {
  // Less than one message of a reconciliation holds.
  const options = { reconcileMs: 2_000, conduct: { itemsPerSecond: 200 } };
  const [carol, dave] = [await gossips.one(options), await gossips.one(options)];
  for (let i = 0; i < 3_000; i++) {
    carol.say(`carol ${i}`);
    dave.say(`dave ${i}`);
    if (i % 20 === 0) await gossips.pass(1);
  }
  await gossips.pass(2_000);
  await gossips.connect(carol, dave);
  await gossips.pass(60_000);
  expect([carol.gossip.state?.kept, dave.gossip.state?.kept]).toEqual([6_000, 6_000]);
  expect([carol.heard.length, dave.heard.length]).toEqual([3_000, 3_000]);
});

it("takes tens of thousands within a minute", async () => {
  const options = { reconcileMs: 20_000 };
  const [carol, dave] = [await gossips.one(options), await gossips.one(options)];
  for (let i = 0; i < 15_000; i++) {
    carol.say(`carol ${i}`);
    if (i % 50 === 0) await gossips.pass(1);
  }
  await gossips.pass(2_000);
  await gossips.connect(carol, dave);
  await gossips.pass(60_000);
  expect(dave.heard.length).toBe(15_000);
});

describe("a publication", () => {
  it("counts whom it was pushed to as it was said, whoever asks for it again", async () => {
    const ids: string[] = [];
    await bob.network.registerPlugin({
      name: "ids",
      newMessage({ message }) {
        const push = message.as(PushMessage);
        if (push !== undefined) ids.push(readItem(push.item).id);
      },
    });
    const said = alice.say("once");
    await gossips.pass(50);
    const [id] = ids.slice(-1);
    expect(said.queued).toBe(1);
    const before = ids.length;
    send(GraftMessage.of({ hops: 1, id }));
    await gossips.pass(50);
    expect(ids.slice(before)).toContain(id);
    expect(said.queued).toBe(1);
    expect((await gossips.nodes.runtime.during(said.report())).sent).toHaveLength(1);
  });
});

describe("what was taken in an earlier life", () => {
  const restarted = async (): Promise<GossipNode> => {
    for (let i = 0; i < 20; i++) alice.say(`${i}`);
    await gossips.pass(5_000);
    expect(bob.heard).toHaveLength(20);
    const { identity } = bob.network;
    const saved = bob.gossip.save();
    await gossips.nodes.runtime.during(bob.network.close());
    return gossips.one({ saved, reconcileMs: 1_000 }, { identity });
  };

  it("is kept again for others, and not given to the plugins again", async () => {
    const again = await restarted();
    await gossips.connect(again, alice);
    await gossips.pass(10_000);
    expect(again.gossip.state?.kept).toBe(20);
    await gossips.nodes.runtime.during(alice.network.close());
    const late = await gossips.one({ reconcileMs: 1_000 });
    await gossips.connect(late, again);
    await gossips.pass(10_000);
    expect(late.heard).toHaveLength(20);
    expect(again.heard).toEqual([]);
  });

  it("is left alone when it is older than what anybody keeps, whatever is said of its age", async () => {
    const old = item(News.of("long ago"));
    const young = item(News.of("a moment ago"));
    push(old);
    await gossips.pass(19 * 60_000);
    expect(alice.gossip.state?.kept).toBe(1);
    await gossips.pass(2 * 60_000);
    expect(alice.gossip.state?.kept).toBe(0);
    send(ItemsMessage.of([old, young].map(({ bytes }) => ({ ageMs: 0, item: bytes }))));
    await gossips.pass(100);
    expect(alice.gossip.state?.kept).toBe(1);
    expect(alice.texts).toEqual(["a moment ago", "long ago"]);
  });

  it("is not kept from one who forges it", async () => {
    const real = item(News.of("real"));
    push(real);
    await gossips.pass(1_000);
    const { identity } = alice.network;
    const saved = alice.gossip.save();
    await gossips.nodes.runtime.during(alice.network.close());
    const again = await gossips.one({ saved }, { identity });
    await gossips.connect(bob, again);
    await gossips.pass(100);
    const peer = bob.network.peers.get(again.id) as Peer;
    const bring = (bytes: Uint8Array): void => {
      peer.send(ItemsMessage.of([{ ageMs: 0, item: bytes }])).catch(() => {});
    };
    const forged = real.bytes.slice();
    forged[0] = (forged[0] as number) ^ 1;
    for (let i = 0; i < 4; i++) bring(forged);
    await gossips.pass(100);
    expect([again.gossip.state?.kept, peer.connected]).toEqual([0, false]);
  });
});
