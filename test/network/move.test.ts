/** A peer that goes over to another stream (decision 8): nothing is lost, doubled or out of order, and it stays the same peer. */

import {
  type Channel,
  concat,
  defineMessage,
  fromUtf8,
  type Identity,
  type Network,
  type Peer,
  toUtf8,
} from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { sortedIdentities } from "../support/identities.ts";
import { Nodes, type TestNode } from "../support/nodes.ts";
import { forSeeds } from "../support/seeds.ts";
import { pattern } from "../support/traffic.ts";

const number = {
  encode: (value: number) => toUtf8(String(value)),
  decode: (body: Uint8Array) => Number(fromUtf8(body)),
};
const Numbered = defineMessage({ name: "numbered", opcode: 1000, codec: number });
const Ask = defineMessage({ name: "ask", opcode: 1001, codec: number });
const Answer = defineMessage({ name: "answer", opcode: 1002, codec: number });

const PADDING = 1_000;
const BLANKS = toUtf8(" ".repeat(PADDING));

/** A node that counts what it says and writes down what it hears. */
class Talker {
  readonly node: TestNode;
  readonly heard: number[] = [];
  readonly events: string[] = [];
  said = 0;
  /** What a hook waits for. */
  slow: (() => Promise<void>) | undefined;

  constructor(node: TestNode) {
    this.node = node;
  }

  get network(): Network {
    return this.node.network;
  }

  async start(): Promise<void> {
    await this.network.registerPlugin({
      newMessage: ({ message, reply }) => {
        const number = message.as(Numbered);
        if (number !== undefined) {
          this.heard.push(number);
          return this.slow?.();
        }
        const asked = message.as(Ask);
        if (asked !== undefined) return reply(Answer.of(asked));
        return undefined;
      },
      nodeAdded: () => void this.events.push("added"),
      nodeDeleted: ({ reason }) => void this.events.push(`deleted ${reason?.message}`),
    });
  }

  say(padding: number = 0): void {
    for (const peer of this.network.peers.values()) {
      const { opcode, body } = Numbered.of(this.said++);
      void peer.send({ opcode, body: concat(body, BLANKS.subarray(0, padding)) }).catch(() => {});
    }
  }
}

async function pairOf(
  nodes: Nodes,
  [first, second]: readonly Identity[] = [],
): Promise<{ mover: Talker; hub: Talker; second: string }> {
  const mover = new Talker(
    await nodes.start("mover", first === undefined ? {} : { identity: first }),
  );
  const hub = new Talker(
    await nodes.start("hub", second === undefined ? {} : { identity: second }),
  );
  await Promise.all([mover.start(), hub.start()]);
  const [section] = hub.node.address.split("~").slice(1);
  const other = await hub.network.listen(`memory:hub-again~${section?.split(":")[0]}`);
  await nodes.connect(mover.node, hub.node);
  return { mover, hub, second: other };
}

function only(network: Network): Peer {
  const [peer] = network.peers.values();
  if (peer === undefined || network.peers.size !== 1) throw new Error("not one peer");
  return peer;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

describe("a peer that moves to another address of its node", () => {
  it("loses and doubles nothing, in order, in both directions, while traffic runs", async () => {
    const [small, large] = sortedIdentities(2) as [Identity, Identity];
    await forSeeds(300, async (seed, random) => {
      const transform = seed % 10 === 0 ? { transform: () => noise() } : {};
      const line = { latencyMs: random() * 20, jitterMs: random() * 30, bandwidth: 2_000_000 };
      const nodes = new Nodes({ seed, line, limits: { maxInFlight: 3 }, ...transform });
      const keys = random() < 0.5 ? [small, large] : [large, small];
      const { mover, hub, second } = await pairOf(nodes, keys);
      if (seed % 3 === 0) {
        mover.slow = hub.slow = () =>
          new Promise((resolve) => void nodes.runtime.setTimer(resolve, random() * 8));
      }
      const before = only(mover.network);
      const seenByHub = only(hub.network);
      const talk = async (ms: number): Promise<void> => {
        for (let left = ms; left > 0; left -= 2) {
          if (random() < 0.6) mover.say();
          if (random() < 0.6) hub.say();
          await nodes.runtime.advance(2);
        }
      };
      for (const address of [second, hub.node.address, second]) {
        const moving = mover.network.add(address, { move: true });
        await talk(random() * 200);
        expect(await nodes.runtime.during(moving)).toBe(before);
        expect(before.address).toBe(address);
        await talk(random() * 60);
      }
      await nodes.runtime.advance(3_000);
      expect(hub.heard).toEqual(upTo(mover.said));
      expect(mover.heard).toEqual(upTo(hub.said));
      expect(only(mover.network)).toBe(before);
      expect(only(hub.network)).toBe(seenByHub);
      expect([mover.events, hub.events]).toEqual([["added"], ["added"]]);
      expect([...mover.network.wanted.keys()]).toEqual([second]);
      const { counters } = mover.network.networkState();
      expect([counters.messagesOut, counters.messagesIn]).toEqual([mover.said, hub.said]);
      await nodes.close();
    });
  });

  it("keeps requests and channels that are under way", async () => {
    await forSeeds(60, async (seed, random) => {
      const line = { latencyMs: 5 + random() * 20, jitterMs: random() * 10, bandwidth: 3_000_000 };
      const nodes = new Nodes({ seed, line });
      const { mover, hub, second } = await pairOf(nodes);
      const sent = pattern(600_000, seed);
      const received: Promise<Uint8Array[]>[] = [];
      const readAll = async (channel: Channel): Promise<Uint8Array[]> => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of channel) chunks.push(chunk);
        await channel.end();
        return chunks;
      };
      hub.network.handleChannel("file", async (channel) => {
        received.push(readAll(channel));
        await received.at(-1);
      });
      const peer = only(mover.network);
      const channel = await nodes.runtime.during(peer.openChannel("file"));
      const writing = (async () => {
        for (let at = 0; at < sent.length; at += 10_000) {
          if (!channel.write(sent.subarray(at, at + 10_000))) await channel.drain();
        }
        await channel.end();
      })();
      const asking = upTo(20).map((number) => peer.request(Ask.of(number), Answer));
      await nodes.runtime.advance(random() * 60);
      const moving = mover.network.add(second, { move: true });
      asking.push(...upTo(20).map((number) => peer.request(Ask.of(number), Answer)));
      await nodes.runtime.during(moving);
      expect(await nodes.runtime.during(Promise.all(asking))).toEqual([...upTo(20), ...upTo(20)]);
      await nodes.runtime.during(writing);
      const [whole] = await nodes.runtime.during(Promise.all(received));
      expect(Buffer.concat(whole ?? []).equals(sent)).toBe(true);
      // The hub opens one back: both sides still number them apart.
      let opened = 0;
      mover.network.handleChannel("back", async (back) => {
        opened++;
        await back.close();
      });
      const back = await nodes.runtime.during(only(hub.network).openChannel("back"));
      await nodes.runtime.during(back.close());
      expect(opened).toBe(1);
      await nodes.close();
    });
  });

  it("moves once when both sides move at the same time, whoever is quicker", async () => {
    const [small, large] = sortedIdentities(2) as [Identity, Identity];
    await forSeeds(400, async (seed, random) => {
      const line = { latencyMs: random() * 10, jitterMs: random() * 20 };
      const nodes = new Nodes({ seed, line });
      const { mover, hub, second } = await pairOf(
        nodes,
        random() < 0.5 ? [small, large] : [large, small],
      );
      const talk = async (ms: number): Promise<void> => {
        for (let left = ms; left > 0; left -= 3) {
          mover.say();
          hub.say();
          await nodes.runtime.advance(3);
        }
      };
      const there = mover.network.add(second, { move: true });
      await talk(random() * 60);
      const back = hub.network.add(mover.node.address, { move: true });
      await talk(150);
      await nodes.runtime.during(Promise.all([there, back]));
      await nodes.runtime.advance(3_000);
      expect(hub.heard).toEqual(upTo(mover.said));
      expect(mover.heard).toEqual(upTo(hub.said));
      expect([mover.events, hub.events]).toEqual([["added"], ["added"]]);
      // Both ends are on the same stream.
      expect(only(mover.network).side).not.toBe(only(hub.network).side);
      await nodes.close();
    });
  });

  it("is the same as a first dial for a node that is no peer, and nothing for one that is there already", async () => {
    const nodes = new Nodes();
    const hub = await nodes.start("hub");
    const mover = await nodes.start("mover");
    const peer = await nodes.runtime.during(mover.network.add(hub.address, { move: true }));
    const again = await nodes.runtime.during(mover.network.add(hub.address, { move: true }));
    expect(again).toBe(peer);
    expect(hub.network.networkState().counters.added).toBe(1);
    await nodes.close();
  });

  it("stays where it is when the new address does not work", async () => {
    const nodes = new Nodes({ transform: () => shs() });
    const { mover, hub } = await pairOf(nodes);
    const peer = only(mover.network);
    const where = peer.address;
    const nowhere = `memory:nobody~shs:${hub.network.id.text}`;
    await expect(
      nodes.runtime.during(mover.network.add(nowhere, { move: true })),
    ).rejects.toMatchObject({ code: "DIAL_REFUSED" });
    expect(only(mover.network)).toBe(peer);
    expect(peer.address).toBe(where);
    mover.say();
    await nodes.runtime.advance(500);
    expect(hub.heard).toEqual([0]);
    expect([...mover.network.wanted.keys()]).toEqual([hub.node.address]);
    await nodes.close();
  });

  it("waits while a side works slowly through what it had", async () => {
    for (const slow of ["mover", "hub"] as const) {
      const line = { latencyMs: 5, bandwidth: 3_000_000 };
      const nodes = new Nodes({ line, limits: { maxInFlight: 3 } });
      const talkers = await pairOf(nodes);
      const { mover, hub, second } = talkers;
      talkers[slow].slow = () =>
        new Promise((resolve) => void nodes.runtime.setTimer(resolve, 100));
      // Each of the three parts takes more than ten seconds to work through.
      const talk = (): void => {
        for (let i = 0; i < 400; i++) {
          mover.say(PADDING);
          hub.say(PADDING);
        }
      };
      talk();
      await nodes.runtime.advance(20);
      const moving = mover.network.add(second, { move: true });
      talk();
      await nodes.runtime.during(moving);
      talk();
      await nodes.runtime.advance(60_000);
      expect(hub.heard).toEqual(upTo(1_200));
      expect(mover.heard).toEqual(upTo(1_200));
      expect([mover.events, hub.events]).toEqual([["added"], ["added"]]);
      await nodes.close();
    }
  });

  it("does not keep a node that closes waiting for the stream it left", async () => {
    const nodes = new Nodes({ line: { latencyMs: 5 }, limits: { maxInFlight: 3 } });
    const { mover, hub, second } = await pairOf(nodes);
    hub.slow = () => new Promise(() => {});
    for (let i = 0; i < 10; i++) mover.say();
    await nodes.runtime.advance(20);
    await nodes.runtime.during(mover.network.add(second, { move: true }));
    await nodes.runtime.advance(100);
    const began = nodes.runtime.now();
    await nodes.runtime.during(mover.network.close());
    expect(nodes.runtime.now() - began).toBeLessThan(2_500);
    await nodes.close();
  });

  it("is over on both sides, and never goes on with a hole, when the old stream is cut in the middle of it", async () => {
    let [cut, whole] = [0, 0];
    await forSeeds(150, async (seed, random) => {
      const nodes = new Nodes({ seed, line: { latencyMs: 10, bandwidth: 3_000_000 } });
      const { mover, hub, second } = await pairOf(nodes);
      const sent = pattern(600_000, seed);
      const got: Uint8Array[] = [];
      let [done, failure]: [boolean, unknown] = [false, undefined];
      hub.network.handleChannel("file", async (channel) => {
        try {
          for await (const chunk of channel) got.push(chunk.slice());
          done = true;
          await channel.end();
        } catch (error) {
          failure = error;
        }
      });
      const channel = await nodes.runtime.during(only(mover.network).openChannel("file"));
      const writing = (async () => {
        for (let at = 0; at < sent.length; at += 10_000) {
          if (!channel.write(sent.subarray(at, at + 10_000))) await channel.drain();
          mover.say();
          hub.say();
        }
        await channel.end();
      })();
      writing.catch(() => {});
      await nodes.runtime.advance(40);
      const moving = mover.network.add(second, { move: true });
      moving.catch(() => {});
      await nodes.runtime.advance(random() * 150);
      mover.node.line.connections[0]?.abort(new Error("the cable was pulled"));
      await nodes.runtime.advance(10_000);
      const all = Buffer.concat(got);
      expect(all.equals(sent.subarray(0, all.length))).toBe(true);
      if (done) {
        whole++;
        expect(all).toHaveLength(sent.length);
        expect(hub.heard).toEqual(upTo(mover.said));
        expect(mover.heard).toEqual(upTo(hub.said));
      } else {
        cut++;
        expect(failure).toBeInstanceOf(Error);
        expect(hub.heard).toEqual(upTo(hub.heard.length));
        expect(mover.heard).toEqual(upTo(mover.heard.length));
        for (const { events } of [mover, hub]) expect(events[1]).toMatch(/^deleted /);
        await nodes.runtime.during(mover.network.add(second));
        await nodes.runtime.advance(100);
      }
      expect([mover.network.peers.size, hub.network.peers.size]).toEqual([1, 1]);
      await nodes.close();
    });
    expect(cut).toBeGreaterThan(20);
    expect(whole).toBeGreaterThan(5);
  });

  it("is looked for where it moved to, also when it was there already, and nowhere else", async () => {
    const nodes = new Nodes();
    const { mover, hub, second } = await pairOf(nodes);
    const both = `${hub.node.address};${second}`;
    await nodes.runtime.during(mover.network.add(both));
    expect([...mover.network.wanted.keys()]).toEqual([hub.node.address, both]);
    await nodes.runtime.during(mover.network.add(second, { move: true }));
    expect([...mover.network.wanted.keys()]).toEqual([second]);
    await nodes.runtime.during(mover.network.add(both));
    await nodes.runtime.during(mover.network.add(second, { move: true }));
    expect([...mover.network.wanted.keys()]).toEqual([second]);
    await nodes.close();
  });
});
