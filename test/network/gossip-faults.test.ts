/** Gossip where nodes die, come late, come back, lie, and lose each other. On virtual time. */

import { Identity, toUtf8, writeU64 } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Author } from "../../packages/plugins/src/gossip/origin.ts";
import { type GossipNode, Gossips, News, Whisper } from "../support/gossips.ts";

let gossips: Gossips;
beforeEach(() => {
  gossips = new Gossips({ line: { latencyMs: 5 } });
});
afterEach(() => gossips.close());

const HOUR_MS = 3_600_000;
const HELLO = 64;
const PUSH = 66;
const ITEMS = 75;

function expectHeard(nodes: readonly GossipNode[], texts: readonly string[]): void {
  for (const node of nodes) expect(node.texts).toEqual([...texts].toSorted());
}

/** Its lines are cut, and it is not heard of again. */
function kill({ node }: GossipNode): void {
  for (const connection of node.line.connections) connection.abort(new Error("killed"));
  node.line.loseAll();
}

const numbered = (what: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${what} ${i}`);

describe("gossip goes on", () => {
  it("when a node dies in the middle of it", async () => {
    const nodes = await gossips.start(12);
    await gossips.ring(nodes);
    const [first, ...others] = nodes as [GossipNode, ...GossipNode[]];
    const texts = numbered("news", 40);
    for (const [i, text] of texts.entries()) {
      first.say(text);
      await gossips.pass(50);
      // Not a word of goodbye: its line is cut.
      if (i === 20) kill(others[5] as GossipNode);
    }
    await gossips.pass(60_000);
    expectHeard(others.toSpliced(5, 1), texts);
  });

  it("past a neighbour that takes everything and passes on nothing", async () => {
    const nodes = await gossips.start(10);
    await gossips.ring(nodes);
    const [first, silent, ...others] = nodes as [GossipNode, GossipNode, ...GossipNode[]];
    silent.node.line.loseAll();
    const texts = numbered("news", 5);
    for (const text of texts) {
      first.say(text);
      await gossips.pass(3_000);
    }
    await gossips.pass(60_000);
    expectHeard(others, texts);
  });
});

describe("what was missed is brought", () => {
  it("to a node that comes late", async () => {
    const nodes = await gossips.start(5);
    await gossips.ring(nodes);
    const texts = numbered("news", 30);
    for (const text of texts) (nodes[0] as GossipNode).say(text);
    await gossips.pass(5_000);
    const late = await gossips.one();
    await gossips.connect(late, nodes[3] as GossipNode);
    await gossips.pass(5_000);
    expectHeard([late], texts);
    await gossips.pass(120_000);
    expectHeard([late, ...nodes.slice(1)], texts);
  });

  it("to both sides of a partition, within two rounds", async () => {
    const nodes = await gossips.start(10);
    const [left, right] = [nodes.slice(0, 5), nodes.slice(5)];
    await gossips.ring(left);
    await gossips.ring(right);
    const mine = numbered("left", 60);
    const theirs = numbered("right", 60);
    for (const [i, text] of mine.entries()) {
      left[i % 5]?.say(text);
      right[i % 5]?.say(theirs[i] as string);
      await gossips.pass(10_000);
    }
    expect(left[0]?.texts.some((text) => text.startsWith("right"))).toBe(false);
    await gossips.connect(left[2] as GossipNode, right[2] as GossipNode);
    await gossips.pass(60_000);
    for (const [i, node] of nodes.entries()) {
      const own = numbered(i < 5 ? "left" : "right", 60).filter((_, at) => at % 5 === i % 5);
      expectHeard(
        [node],
        [...mine, ...theirs].filter((text) => !own.includes(text)),
      );
    }
  });

  it("not when it is older than the window", async () => {
    const nodes = await gossips.start(3, { windowMs: 60_000 });
    await gossips.ring(nodes);
    nodes[0]?.say("old");
    await gossips.pass(120_000);
    nodes[0]?.say("new");
    const late = await gossips.one({ windowMs: 60_000 });
    await gossips.connect(late, nodes[1] as GossipNode);
    await gossips.pass(5_000);
    expectHeard([late], ["new"]);
  });
});

describe("a node that starts again", () => {
  it("is heard at once, and hears nothing twice that it saved", async () => {
    const [alice, bob] = (await gossips.start(2)) as [GossipNode, GossipNode];
    const identity = Identity.generate();
    const carol = await gossips.one({}, { identity });
    await gossips.ring([alice, bob, carol]);
    alice.say("before");
    carol.say("I was here");
    await gossips.pass(1_000);
    expectHeard([carol], ["before"]);
    const saved = carol.gossip.save();
    await gossips.nodes.runtime.during(carol.network.close());
    alice.say("meanwhile");
    await gossips.pass(1_000);
    const again = await gossips.one({ saved }, { identity });
    await gossips.connect(again, alice);
    await gossips.pass(5_000);
    again.say("I am back");
    await gossips.pass(1_000);
    expectHeard([again], ["meanwhile"]);
    expectHeard([bob], ["before", "I was here", "meanwhile", "I am back"]);
  });

  it("is heard although its clock was set back meanwhile", async () => {
    const identity = Identity.generate();
    const [alice] = (await gossips.start(1)) as [GossipNode];
    const bob = await gossips.one({}, { identity });
    await gossips.ring([alice, bob]);
    bob.say("first");
    await gossips.pass(1_000);
    await gossips.nodes.runtime.during(bob.network.close());
    const again = await gossips.one({ epoch: 5 }, { identity });
    await gossips.connect(again, alice);
    await gossips.pass(1_000);
    again.say("second");
    await gossips.pass(1_000);
    expectHeard([alice], ["first", "second"]);
  });
});

describe("only what opts in", () => {
  it("goes further than the neighbours", async () => {
    const nodes = await gossips.start(6);
    const [first] = nodes as [GossipNode];
    for (let i = 1; i < 6; i++) {
      await gossips.connect(nodes[i] as GossipNode, nodes[i - 1] as GossipNode);
    }
    await gossips.pass(500);
    const direct = first.network.broadcast(Whisper.of("to neighbours"));
    expect((await direct.report()).reach).toBeUndefined();
    await gossips.pass(1_000);
    const hearing = nodes.filter(({ whispers }) => whispers.length > 0);
    expect(hearing.length).toBe(direct.queued);
    expect(hearing.length).toBeLessThan(5);
  });

  it("and nothing that is sent to named peers or random ones", async () => {
    const nodes = await gossips.start(6);
    await gossips.ring(nodes);
    const [first, second] = nodes as [GossipNode, GossipNode];
    first.network.broadcast(News.of("to one"), second.network.id);
    await gossips.pass(1_000);
    expect(nodes.flatMap(({ texts }) => texts)).toEqual(["to one"]);
    first.network.broadcastRandomly(News.of("to any"), 1);
    await gossips.pass(1_000);
    expect(nodes.flatMap(({ texts }) => texts).toSorted()).toEqual(["to any", "to one"]);
  });

  it("by the option types, or carries, on both ends", async () => {
    const types = [Whisper];
    const nodes = await gossips.start(5, { types });
    await gossips.ring(nodes);
    const [first, ...others] = nodes as [GossipNode, ...GossipNode[]];
    first.network.broadcast(Whisper.of("psst"));
    await gossips.pass(1_000);
    for (const { whispers } of others) expect(whispers).toEqual(["psst"]);
    const deaf = await gossips.one({ types: [News] });
    await gossips.connect(deaf, first);
    await gossips.pass(5_000);
    expect(deaf.whispers).toEqual([]);
    deaf.gossip.carries(Whisper);
    first.network.broadcast(Whisper.of("again"));
    await gossips.pass(1_000);
    expect(deaf.whispers).toEqual(["again"]);
  });
});

describe("a liar", () => {
  const liar = Identity.generate();
  const victim = Identity.generate();

  async function pair(): Promise<{ alice: GossipNode; bob: GossipNode }> {
    const alice = await gossips.one();
    const bob = await gossips.one({}, { identity: liar });
    await gossips.connect(bob, alice);
    await gossips.pass(1_000);
    return { alice, bob };
  }

  const item = (by: Identity, node: GossipNode, text: string): Uint8Array =>
    new Author({
      identity: by,
      networkId: node.network.networkId,
      epoch: gossips.nodes.runtime.wallClock(),
      now: 0,
    }).next(News.of(text), 0).bytes;
  const pushed = (bytes: Uint8Array): { opcode: number; body: Uint8Array } => ({
    opcode: PUSH,
    body: Uint8Array.of(1, ...bytes),
  });

  it("cannot speak for others, and is closed when it goes on trying", async () => {
    const { alice, bob } = await pair();
    const [peer] = [...bob.network.peers.values()];
    for (let i = 0; i < 10; i++) {
      const forged = item(liar, alice, `forged ${i}`);
      forged.set(victim.publicKey, 64);
      peer?.send(pushed(forged)).catch(() => {});
    }
    await gossips.pass(1_000);
    expect(alice.heard).toEqual([]);
    expect(peer?.connected).toBe(false);
    // And is not spoken to for a while.
    await gossips.connect(bob, alice);
    await gossips.pass(1_000);
    expect(alice.gossip.state?.speakers).toBe(0);
    bob.say("let me in");
    await gossips.pass(1_000);
    expect(alice.heard).toEqual([]);
  });

  const hello = (epoch: number): { opcode: number; body: Uint8Array } => {
    const body = new Uint8Array(8);
    writeU64(body, 0, epoch);
    return { opcode: HELLO, body };
  };

  it("cannot have another speak at a time that its listeners refuse", async () => {
    const { alice, bob } = await pair();
    const carol = await gossips.one({ maxSkewMs: HOUR_MS });
    await gossips.connect(carol, alice);
    await gossips.pass(1_000);
    const [peer] = [...bob.network.peers.values()];
    peer?.send(hello(gossips.nodes.runtime.wallClock() + 48 * HOUR_MS)).catch(() => {});
    await gossips.pass(1_000);
    alice.say("still here");
    await gossips.pass(1_000);
    expect(carol.texts).toEqual(["still here"]);
  });

  it("cannot say hello without end", async () => {
    const { bob } = await pair();
    const [peer] = [...bob.network.peers.values()];
    for (let i = 0; i < 200; i++) peer?.send(hello(0)).catch(() => {});
    await gossips.pass(1_000);
    expect(peer?.connected).toBe(false);
  });

  it("cannot say anything a second time", async () => {
    const { alice, bob } = await pair();
    const [peer] = [...bob.network.peers.values()];
    const once = item(victim, alice, "once");
    for (let i = 0; i < 5; i++) {
      peer?.send(pushed(once)).catch(() => {});
      await gossips.pass(400_000);
    }
    expect(alice.texts).toEqual(["once"]);
    // Nor as something that was missed.
    const late = new Uint8Array(10 + once.length);
    late.set([1, 0, 0, 0, 0, 0, once.length & 255, once.length >> 8]);
    late.set(once, 10);
    peer?.send({ opcode: ITEMS, body: late }).catch(() => {});
    await gossips.pass(1_000);
    expect(alice.texts).toEqual(["once"]);
  });

  it("cannot speak gossip's or core's own opcodes to plugins", async () => {
    const { alice, bob } = await pair();
    const [peer] = [...bob.network.peers.values()];
    const seen: number[] = [];
    await alice.network.registerPlugin({
      newMessage: ({ message }) => void seen.push(message.opcode),
    });
    for (const opcode of [2, 10, 66, 999]) {
      const author = new Author({
        identity: liar,
        networkId: alice.network.networkId,
        epoch: gossips.nodes.runtime.wallClock() + opcode,
        now: 0,
      });
      const bytes = author.next({ opcode, body: toUtf8("x") }, 0).bytes;
      peer?.send(pushed(bytes)).catch(() => {});
    }
    await gossips.pass(1_000);
    expect(seen.filter((opcode) => opcode !== PUSH && (opcode < 64 || opcode > 96))).toEqual([]);
    // Closed after the third, and nothing of it is kept for others.
    expect(seen.filter((opcode) => opcode === PUSH)).toHaveLength(3);
    expect(peer?.connected).toBe(false);
    expect(alice.gossip.state).toMatchObject({ kept: 0, origins: 0 });
  });
});

describe("options", () => {
  it("that make no sense are refused at once", () => {
    expect(() => gossip({ mode: "tee" as "tree" })).toThrow(TypeError);
    expect(() => gossip({ active: 0 })).toThrow(RangeError);
    expect(() => gossip({ windowMs: "long" as unknown as number })).toThrow(TypeError);
    expect(() => gossip({ types: ["news" as unknown as number] })).toThrow(TypeError);
    expect(() => gossip({ types: [999] })).toThrow(RangeError);
    expect(() => gossip({ conduct: { newOriginsPerSecond: 0 } })).toThrow(/newOriginsPerSecond/);
    expect(() => gossip({ overlay: {} as never })).toThrow(TypeError);
    expect(() => gossip({ active: 1.5 })).toThrow(/active must be a whole number/);
    expect(() => gossip({ epoch: Number.NaN })).toThrow(/epoch/);
    expect(() => gossip({ conduct: { itemsPerSecond: -1 } })).toThrow(/conduct.itemsPerSecond/);
    expect(() => gossip({ addresses: [] as never })).toThrow(TypeError);
    expect(() => gossip({ saved: "marks" as never })).toThrow(TypeError);
    expect(() => gossip({ saved: new Uint8Array(3) })).toThrow(RangeError);
  });
});
