/** Peers in passing (decision 11): strangers that are asked something, get no broadcasts, and go when nobody uses them. */

import {
  bytes,
  defineMessage,
  EMPTY,
  type Identity,
  type Network,
  type Peer,
  text,
} from "@testudo/core";
import { keepalive } from "@testudo/plugins/keepalive";
import { latency } from "@testudo/plugins/latency";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { Cluster, type Node } from "../support/cluster.ts";
import { sortedIdentities } from "../support/identities.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { Nodes, type TestNode } from "../support/nodes.ts";
import { forSeeds } from "../support/seeds.ts";

const Word = defineMessage({ name: "passing word", opcode: 1_700, codec: text });
const Question = defineMessage({ name: "passing question", opcode: 1_701, codec: bytes });
const Answer = defineMessage({ name: "passing answer", opcode: 1_702, codec: bytes });

const IDLE_MS = 10_000;

function peerOf(network: Network, other: TestNode): Peer {
  const peer = network.peers.get(other.network.id.text);
  if (peer === undefined) throw new Error(`no peer ${other.name}`);
  return peer;
}

/** `alice` has met `bob` in passing. */
async function met(
  nodes: Nodes = new Nodes({ line: { latencyMs: 5 } }),
): Promise<{ nodes: Nodes; alice: TestNode; bob: TestNode; there: Peer; here: Peer }> {
  const [alice, bob] = [await nodes.start("alice"), await nodes.start("bob")];
  const there = await nodes.runtime.during(alice.network.add(bob.address, { passing: true }));
  await nodes.runtime.advance(100);
  return { nodes, alice, bob, there, here: peerOf(bob.network, alice) };
}

describe("a peer met in passing", () => {
  it("is so on both sides: in the table, not writable, not wanted, and shown as what it is", async () => {
    const { nodes, alice, bob, there, here } = await met();
    expect([there.passing, there.writable, here.passing, here.writable]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect([...alice.network.wanted]).toEqual([]);
    for (const { network } of [alice, bob]) {
      expect(network.broadcast(Word.of("to friends")).queued).toBe(0);
      expect(network.broadcastRandomly(Word.of("to some"), 3).queued).toBe(0);
      expect(network.networkState().peers).toMatchObject([{ passing: true, writable: false }]);
      expect(network.broadcast(Word.of("to you"), ...network.peers.values()).queued).toBe(1);
    }
    await nodes.close();
  });

  it("is worthy of what it would get if it stayed", async () => {
    const { nodes, alice, bob, there, here } = await met();
    expect([there.worthy, here.worthy]).toEqual([true, true]);
    const carol = await nodes.start("carol", { authorize: () => false });
    for (const { network } of [alice, bob]) {
      await nodes.runtime.during(network.add(carol.address, { passing: true }));
    }
    await nodes.runtime.advance(100);
    const seen = peerOf(carol.network, alice);
    expect([seen.passing, seen.writable, seen.worthy]).toEqual([true, false, false]);
    await nodes.runtime.during(alice.network.add(carol.address));
    await nodes.runtime.advance(100);
    expect([seen.passing, seen.writable, seen.worthy]).toEqual([false, false, false]);
    for (const peer of [seen, peerOf(carol.network, bob)]) {
      peer.writable = true;
      expect(peer.worthy).toBe(true);
    }
    await nodes.close();
  });

  it("is closed by its dialer when nobody used it, politely, and not redialled", async () => {
    const nodes = new Nodes();
    const reasons: string[] = [];
    const [alice, bob] = [await nodes.start("alice"), await nodes.start("bob")];
    await alice.network.registerPlugin(keepalive());
    await bob.network.registerPlugin({
      nodeDeleted: ({ reason }) => void reasons.push(`${reason?.code} ${reason?.message}`),
    });
    await nodes.runtime.during(alice.network.add(bob.address, { passing: true }));
    await nodes.runtime.advance(IDLE_MS - 100);
    expect(alice.network.peers.size).toBe(1);
    await nodes.runtime.advance(200);
    expect([alice.network.peers.size, bob.network.peers.size]).toEqual([0, 0]);
    expect(reasons).toEqual([expect.stringMatching(/^STREAM_CLOSED .*in passing/)]);
    await nodes.runtime.advance(60_000);
    expect(alice.network.networkState().counters.added).toBe(1);
    await nodes.close();
  });

  it("is kept by messages of either side, counted from the last, and not by keepalives and pings", async () => {
    const { nodes, alice, bob, there, here } = await met();
    for (const { network } of [alice, bob]) {
      await network.registerPlugin(keepalive({ intervalMs: 1_000 }));
      await network.registerPlugin(latency());
    }
    for (const speaker of [there, here, there, here]) {
      await nodes.runtime.advance(IDLE_MS - 1_000);
      await speaker.send(Word.of("still here"));
    }
    expect(there.connected).toBe(true);
    await nodes.runtime.advance(IDLE_MS - 100);
    expect(there.connected).toBe(true);
    await nodes.runtime.advance(200);
    expect([there.connected, here.connected]).toEqual([false, false]);
    await nodes.close();
  });

  it("is kept while something is under way: a request, a hook, a channel, a named broadcast", async () => {
    const { nodes, alice, bob, there, here } = await met();
    let answer: () => void = () => {};
    await bob.network.registerPlugin({
      newMessage: async ({ message, reply }) => {
        if (message.as(Question) === undefined) return;
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        await reply(Answer.of(EMPTY));
      },
    });
    const asking = there.request(Question.of(EMPTY), Answer, { timeoutMs: 100_000 });
    await nodes.runtime.advance(25_000);
    expect([there.connected, here.connected]).toEqual([true, true]);
    answer();
    await nodes.runtime.during(asking);
    bob.network.handleChannel("file", async (channel) => {
      for await (const _ of channel);
      await channel.end();
    });
    const channel = await nodes.runtime.during(there.openChannel("file"));
    await nodes.runtime.advance(100_000);
    expect(there.connected).toBe(true);
    await nodes.runtime.during(channel.close());
    await nodes.runtime.advance(IDLE_MS - 1_000);
    alice.network.broadcast(Word.of("by name"), there);
    await nodes.runtime.advance(IDLE_MS - 1_000);
    expect(there.connected).toBe(true);
    await nodes.runtime.advance(IDLE_MS);
    expect(there.connected).toBe(false);
    await nodes.close();
  });

  it("is kept by holds, counted, each with its own end, and by this side only", async () => {
    const { nodes, there, here } = await met();
    const [first, second] = [there.hold(), there.hold()];
    first();
    first();
    await nodes.runtime.advance(2.5 * IDLE_MS);
    expect(there.connected).toBe(true);
    const theirs = here.hold();
    await nodes.runtime.advance(10 * IDLE_MS);
    expect([there.connected, here.connected]).toEqual([true, true]);
    second();
    await nodes.runtime.advance(IDLE_MS - 100);
    expect(there.connected).toBe(true);
    await nodes.runtime.advance(200);
    expect([there.connected, here.connected]).toEqual([false, false]);
    theirs();
    await nodes.close();
  });

  it("is closed by its listener after three times as long, when the dialer forgets", async () => {
    const { nodes, there, here } = await met();
    const release = there.hold();
    await nodes.runtime.advance(3 * IDLE_MS - 200);
    expect([there.connected, here.connected]).toEqual([true, true]);
    await nodes.runtime.advance(300);
    expect([there.connected, here.connected]).toEqual([false, false]);
    release();
    await nodes.close();
  });

  it("is met again as it is, and that is use; one that is here to stay stays", async () => {
    const { nodes, alice, bob, there } = await met();
    await nodes.runtime.advance(IDLE_MS - 1_000);
    expect(await alice.network.add(bob.address, { passing: true })).toBe(there);
    expect(await alice.network.add(bob.network.id, { passing: true })).toBe(there);
    await nodes.runtime.advance(IDLE_MS - 1_000);
    expect([there.connected, there.passing]).toEqual([true, true]);
    await alice.network.add(bob.address);
    await alice.network.add(bob.address, { passing: true });
    expect([there.passing, there.writable, alice.network.wanted.size]).toEqual([false, true, 1]);
    await nodes.close();
  });

  it("leaves no timer when it leaves", async () => {
    const { nodes, alice, there } = await met();
    await nodes.runtime.during(alice.network.delete(there));
    await nodes.runtime.advance(100);
    expect(nodes.runtime.pending).toBe(0);
    await nodes.close();
  });

  it("cannot be asked to move", async () => {
    const { nodes, alice, bob } = await met();
    const both = { passing: true, move: true };
    await expect(alice.network.add(bob.address, both)).rejects.toThrow(TypeError);
    await nodes.close();
  });
});

describe("a passing peer that is to stay", () => {
  for (const who of ["the one that dialled", "the other"]) {
    it(`is lasting on both sides, when ${who} adds it`, async () => {
      const { nodes, alice, bob, there, here } = await met();
      const [adder, added] = who === "the other" ? [bob, alice] : [alice, bob];
      const peer = await adder.network.add(`memory:${added.name}~vouch:${added.network.id.text}`);
      expect([there, here]).toContain(peer);
      expect([peer.passing, peer.writable]).toEqual([false, true]);
      expect([...adder.network.wanted.values()]).toEqual([added.network.id.text]);
      await nodes.runtime.advance(100);
      for (const each of [there, here]) {
        expect([each.passing, each.writable]).toEqual([false, true]);
      }
      await nodes.runtime.advance(20 * IDLE_MS);
      expect(there.connected).toBe(true);
      await nodes.close();
    });
  }

  it("is what authorize said of it when it came", async () => {
    const nodes = new Nodes();
    const asked: Peer[] = [];
    const strict = await nodes.start("strict", {
      authorize: (peer) => {
        asked.push(peer);
        return false;
      },
    });
    const alice = await nodes.start("alice");
    const there = await nodes.runtime.during(alice.network.add(strict.address, { passing: true }));
    await nodes.runtime.advance(50);
    await nodes.runtime.during(alice.network.add(strict.address));
    await nodes.runtime.advance(50);
    const here = peerOf(strict.network, alice);
    expect([there.writable, here.writable, here.passing]).toEqual([true, false, false]);
    expect(asked).toEqual([here]);
    await nodes.close();
  });

  it("is not lowered in what its user made of it", async () => {
    const { nodes, alice, bob, here } = await met();
    here.writable = true;
    expect(bob.network.broadcast(Word.of("all the same")).queued).toBe(1);
    await alice.network.add(bob.address);
    await nodes.runtime.advance(50);
    expect(here.writable).toBe(true);
    await nodes.close();
  });

  it("is one that moves: it stays on both sides, whoever moves it", async () => {
    await forSeeds(60, async (seed, random) => {
      const line = { latencyMs: random() * 20, jitterMs: random() * 20 };
      const { nodes, alice, bob, there, here } = await met(new Nodes({ seed, line }));
      const [mover, hub, peer] =
        random() < 0.5 ? ([alice, bob, there] as const) : ([bob, alice, here] as const);
      const second = await hub.network.listen("memory:second~vouch");
      const moved = await nodes.runtime.during(mover.network.add(second, { move: true }));
      await nodes.runtime.advance(300);
      expect([moved, peer.address]).toEqual([peer, second]);
      for (const each of [there, here]) {
        expect([each.connected, each.passing, each.writable]).toEqual([true, false, true]);
      }
      await nodes.close();
    });
  });

  it("is one that is wanted anyway: met again in passing, it stays", async () => {
    const nodes = new Nodes({ line: { latencyMs: 5 } });
    const [alice, bob] = [await nodes.start("alice"), await nodes.start("bob")];
    const [first] = await nodes.connect(alice, bob);
    first.close({ code: "STREAM_CLOSED", text: "for now" });
    await nodes.runtime.advance(3_000);
    const seen: boolean[] = [];
    await alice.network.registerPlugin({ nodeAdded: ({ peer }) => void seen.push(peer.passing) });
    const here = await nodes.runtime.during(bob.network.add(alice.address, { passing: true }));
    await nodes.runtime.advance(100);
    expect([here.passing, peerOf(alice.network, bob).passing]).toEqual([false, false]);
    expect(seen).toEqual([false]);
    await nodes.close();
  });
});

describe("several dials for one pair", () => {
  it("are in passing only if all are, whoever dialled, whichever wins", async () => {
    const [small, large] = sortedIdentities(2) as [Identity, Identity];
    const kinds = new Set<string>();
    await forSeeds(400, async (seed, random) => {
      const transform = seed % 20 === 0 ? { transform: () => noise() } : {};
      const line = { latencyMs: random() * 10, jitterMs: random() * 20 };
      const nodes = new Nodes({ seed, line, ...transform });
      const keys = random() < 0.5 ? [small, large] : [large, small];
      const one = await nodes.start("one", { identity: keys[0] as Identity });
      const other = await nodes.start("other", { identity: keys[1] as Identity });
      const passing = [random() < 0.5, random() < 0.5, random() < 0.5] as const;
      const adds = [one.network.add(other.address, { passing: passing[0] })];
      await nodes.runtime.advance(random() * 40);
      adds.push(other.network.add(one.address, { passing: passing[1] }));
      await nodes.runtime.advance(random() * 20);
      adds.push(one.network.add(other.address, { passing: passing[2] }));
      await nodes.runtime.during(Promise.all(adds));
      await nodes.runtime.advance(300);
      const lasts = passing.includes(false);
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        const peer = peerOf(from.network, to);
        expect([peer.passing, peer.writable]).toEqual([!lasts, lasts]);
      }
      kinds.add(`${passing.join()} ${peerOf(one.network, other).side}`);
      await nodes.close();
    });
    expect(kinds.size).toBeGreaterThan(12);
  });

  it("of one address are decided by those that still wait when the stream is confirmed", async () => {
    const nodes = new Nodes({ line: { latencyMs: 20 } });
    const [alice, bob] = [await nodes.start("alice"), await nodes.start("bob")];
    const leaving = new AbortController();
    const passing = alice.network.add(bob.address, { passing: true });
    const lasting = alice.network.add(bob.address, { signal: leaving.signal });
    await nodes.runtime.advance(10);
    leaving.abort(new Error("not any more"));
    await expect(lasting).rejects.toThrow("not any more");
    expect((await nodes.runtime.during(passing)).passing).toBe(true);
    expect(alice.network.wanted.size).toBe(0);
    await nodes.close();
  });

  it("a lasting peer that its node dials anew in passing is as that node says, unless it is wanted", async () => {
    const [identity] = sortedIdentities(1) as [Identity];
    const nodes = new Nodes({ line: { latencyMs: 5 } });
    const bob = await nodes.start("bob");
    const alice = await nodes.start("alice", { identity });
    await nodes.connect(alice, bob);
    alice.line.loseAll();
    void alice.network.close();
    const again = await nodes.start("again", { identity });
    await nodes.runtime.during(again.network.add(bob.address, { passing: true }));
    await nodes.runtime.advance(100);
    expect(peerOf(bob.network, again)).toMatchObject({ passing: true, writable: false });
    await nodes.runtime.advance(10_000);
    await nodes.close();
  });
});

describe("over other lines", () => {
  expectNoLeaks();

  it("a peer without a key passes too, a moment after it was added", async () => {
    const nodes = new Nodes({ transform: () => noauth(), line: { latencyMs: 5 } });
    const { there, here, bob } = await (async () => {
      const [alice, bob] = [await nodes.start("alice"), await nodes.start("bob")];
      const there = await nodes.runtime.during(alice.network.add(bob.address, { passing: true }));
      await nodes.runtime.advance(100);
      const [here] = bob.network.peers.values();
      if (here === undefined) throw new Error("nobody came");
      return { there, here, bob };
    })();
    expect([there.passing, here.passing, there.writable, here.writable]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    await nodes.runtime.advance(IDLE_MS + 100);
    expect([there.connected, bob.network.peers.size]).toEqual([false, 0]);
    await nodes.close();
  });

  for (const stack of ["net~noise", "net~shs"]) {
    it(`is the same over ${stack}`, async () => {
      await using cluster = new Cluster(stack);
      const [one, other] = (await cluster.start(2, { limits: { passingIdleMs: 200 } })) as [
        Node,
        Node,
      ];
      const peer = await one.network.add(other.address, { passing: true });
      expect([peer.passing, peer.writable]).toEqual([true, false]);
      await other.saw(() => other.count("added") === 1);
      expect(other.peer(one).passing).toBe(true);
      await other.saw(() => other.count("deleted STREAM_CLOSED") === 1);
    });
  }
});
