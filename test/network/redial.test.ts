import type { Identity, Limits } from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import type { FaultyConnection } from "../support/faulty.ts";
import { sortedIdentities } from "../support/identities.ts";
import { Nodes } from "../support/nodes.ts";
import { checkAll, type Member, Pair } from "../support/pair.ts";
import { forSeeds } from "../support/seeds.ts";

const [SMALL, LARGE] = sortedIdentities(2) as [Identity, Identity];

function shuffled(random: () => number): [Identity, Identity] {
  return random() < 0.5 ? [SMALL, LARGE] : [LARGE, SMALL];
}

/** A pair of nodes; `one` has dialled `other`. */
async function connected(
  seed: number,
  random: () => number,
  transform?: () => ReturnType<typeof noise>,
): Promise<Pair> {
  const pair = new Pair({
    identities: shuffled(random),
    seed,
    line: { latencyMs: random() * 5, jitterMs: random() * 20 },
    ...(transform === undefined ? {} : { transform }),
  });
  await pair.start();
  await pair.runtime.during(pair.one.network.add(pair.other.address));
  await pair.runtime.advance(100);
  return pair;
}

/** Calls `then` when `member` has seen `event` once more than now. */
async function when(pair: Pair, member: Member, event: string, count: number): Promise<void> {
  if (!(await pair.runtime.until(() => member.count(event) >= count, 5_000))) {
    throw new Error(`${member.address} saw ${member.events} and no ${event} ${count}`);
  }
}

describe("a peer that left", () => {
  for (const redialer of ["the one that deleted it", "the one that was deleted"]) {
    it(`can be redialled at once by ${redialer}, and nothing is lost`, async () => {
      await forSeeds(300, async (seed, random) => {
        const transform = seed % 10 === 0 ? (): ReturnType<typeof noise> => noise() : undefined;
        const pair = await connected(seed, random, transform);
        const { one, other, runtime } = pair;
        const [leaver, left] = random() < 0.5 ? [one, other] : [other, one];
        left.greeting = leaver.greeting = 3;
        for (let round = 1; round <= 3; round++) {
          for (let i = 0; i < 5; i++) leaver.say();
          const [peer] = leaver.network.peers.values();
          if (peer === undefined) throw new Error("no peer to delete");
          const deleting = leaver.network.delete(peer);
          expect(leaver.network.peers.size).toBe(0);
          if (redialer === "the one that deleted it") {
            await runtime.during(leaver.network.add(left.address), 1_000);
          } else {
            await when(pair, left, "deleted", round);
            await runtime.during(left.network.add(leaver.address), 1_000);
          }
          await when(pair, leaver, "added", round + 1);
          await when(pair, left, "added", round + 1);
          await runtime.during(deleting, 5_000);
          await runtime.advance(random() * 50);
        }
        await runtime.advance(500);
        pair.checkStream();
        // What the one that was left sent into the leaving stream is lost, and it was told so.
        checkAll(leaver, left);
        expect(leaver.received).toEqual(expect.arrayContaining(left.sent.slice(-3)));
        expect(leaver.received).toEqual(left.sent.filter((each) => leaver.received.includes(each)));
        for (const { events } of [one, other]) {
          const edges = events.filter((event) => event !== "message");
          expect(edges.join(" ")).toBe(`added${" deleted STREAM_CLOSED added".repeat(3)}`);
        }
        await pair.close();
      });
    }, 60_000);
  }

  it("may be dialled by both sides at once while it is still leaving", async () => {
    await forSeeds(300, async (seed, random) => {
      const pair = await connected(seed, random);
      const { one, other, runtime } = pair;
      const [leaver, left] = random() < 0.5 ? [one, other] : [other, one];
      for (let i = 0; i < 5; i++) leaver.say();
      const [peer] = leaver.network.peers.values();
      if (peer === undefined) throw new Error("no peer to delete");
      void leaver.network.delete(peer);
      const adding = [leaver.network.add(left.address)];
      await when(pair, left, "deleted", 1);
      adding.push(left.network.add(leaver.address));
      await runtime.during(Promise.all(adding), 1_000);
      await runtime.advance(500);
      for (const member of [one, other]) {
        member.say();
        expect(member.count("added")).toBe(2);
        expect(member.count("deleted")).toBe(1);
      }
      await runtime.advance(500);
      pair.check();
      await pair.close();
    });
  }, 60_000);
});

describe("last messages that take long", () => {
  for (const redialer of ["the one that deleted it", "the one that was deleted"]) {
    it(`arrive before the next stream of ${redialer} begins`, async () => {
      const line = { latencyMs: 5, jitterMs: 20, bandwidth: 250_000 };
      const nodes = new Nodes({ line, seed: 3 });
      const [leaver, left] = [await nodes.start("leaver"), await nodes.start("left")];
      const [peer] = await nodes.connect(leaver, left);
      const events: string[] = [];
      await left.network.registerPlugin({
        newMessage: ({ message }) => void events.push(String(message.opcode)),
        nodeAdded: () => void events.push("added"),
        nodeDeleted: ({ reason }) => void events.push(`${reason?.code}`),
      });
      const body = new Uint8Array(32_000);
      const sends = Array.from({ length: 40 }, (_, i) => peer.send({ opcode: 2_000 + i, body }));
      const deleting = leaver.network.delete(peer);
      // Without a key in the address, a node that still has the peer dials all the same.
      const adding =
        redialer === "the one that deleted it"
          ? leaver.network.add(left.address)
          : left.network.add(leaver.address.slice(0, leaver.address.lastIndexOf(":")));
      const [again] = await nodes.runtime.during(Promise.all([adding, deleting, ...sends]));
      void again.send({ opcode: 3_000, body: new Uint8Array(0) });
      if (redialer === "the one that deleted it") {
        await nodes.runtime.until(() => events.includes("3000"), 20_000);
      }
      const all = Array.from({ length: 40 }, (_, i) => String(2_000 + i));
      expect(events.slice(0, 43)).toEqual(["added", ...all, "STREAM_CLOSED", "added"]);
      await nodes.close();
    });
  }
});

describe("a node that died in silence", () => {
  for (const dialer of ["it", "the other"]) {
    it(`is admitted when ${dialer} dials, in place of its dead stream`, async () => {
      await forSeeds(100, async (seed, random) => {
        const pair = await connected(seed, random);
        const { one, other, runtime } = pair;
        const [survivor, dead] = random() < 0.5 ? [one, other] : [other, one];
        dead.line.loseAll();
        const again = pair.member(dead.network.identity, 3);
        await pair.join(again, "again");
        expect(survivor.network.peers.size).toBe(1);
        const bare = again.address.slice(0, again.address.lastIndexOf(":"));
        const adding =
          dialer === "it" ? again.network.add(survivor.address) : survivor.network.add(bare);
        await runtime.during(adding, 1_000);
        await runtime.advance(200);
        expect(survivor.events).toEqual(["added", "deleted STREAM_CLOSED", "added"]);
        survivor.say();
        again.say();
        await runtime.advance(200);
        checkAll(survivor, again);
        checkAll(again, survivor);
        await runtime.during(again.network.close());
        await pair.close();
      });
    }, 60_000);
  }
});

describe("a stream that waits for the one before it", () => {
  /** The goodbye of the first stream does not arrive, so the other side gives it time before the second. */
  async function waiting(limits: Partial<Limits> = {}): Promise<Pair> {
    const line = { latencyMs: 10 };
    const pair = new Pair({ identities: [SMALL, LARGE], seed: 1, line, limits });
    const { one, other, runtime } = pair;
    await pair.start();
    await runtime.during(one.network.add(other.address));
    await runtime.advance(50);
    const [first] = one.line.connections;
    if (first !== undefined) first.lost = true;
    void one.network.delete(other.network.id);
    await runtime.during(one.network.add(other.address), 200);
    await runtime.advance(100);
    expect(other.events).toEqual(["added"]);
    return pair;
  }

  it("is admitted when the one before it had its time", async () => {
    const pair = await waiting();
    const { one, other, runtime } = pair;
    one.say();
    await runtime.advance(3_000);
    expect(other.events).toEqual(["added", "deleted STREAM_CLOSED", "added", "message"]);
    pair.checkStream();
    await pair.close();
  });

  it("makes room when its node died and dials anew", async () => {
    const pair = await waiting();
    const { one, other, runtime } = pair;
    one.line.loseAll();
    const again = pair.member(one.network.identity, 3);
    await pair.join(again, "again");
    await runtime.during(again.network.add(other.address), 200);
    again.say();
    await runtime.advance(3_000);
    expect(other.events).toEqual(["added", "deleted STREAM_CLOSED", "added", "message"]);
    await runtime.during(again.network.close());
    await pair.close();
  });

  it("may run out of time first, and the next dial is admitted in its place", async () => {
    const pair = await waiting({ handshakeTimeoutMs: 1_000, closeTimeoutMs: 5_000 });
    const { one, other, runtime } = pair;
    await runtime.advance(1_000);
    expect(other.events).toEqual(["added"]);
    await runtime.during(one.network.add(other.address), 200);
    one.say();
    await runtime.advance(100);
    expect(other.events).toEqual(["added", "deleted STREAM_CLOSED", "added", "message"]);
    pair.checkStream();
    await pair.close();
  });
});

describe("lines cut at any point", () => {
  /** The larger key's stream is open at the smaller and live at the larger; the smaller's own dial gave way to it. */
  async function gaveWay(): Promise<{ pair: Pair; adding: Promise<unknown>; cut: () => void }> {
    const line = { latencyMs: 10 };
    const pair = new Pair({ identities: [SMALL, LARGE], seed: 1, line });
    const { one, other, runtime } = pair;
    await pair.start();
    other.network.add(one.address).catch(() => {});
    await runtime.advance(40);
    const adding = one.network.add(other.address);
    adding.catch(() => {});
    await runtime.advance(25);
    // The confirmation is under way and will not arrive.
    const arrival = one.line.connections[0] as FaultyConnection;
    arrival.lost = true;
    await runtime.advance(45);
    expect([one.network.peers.size, other.network.peers.size]).toEqual([0, 1]);
    return { pair, adding, cut: () => arrival.abort(new Error("cut")) };
  }

  it("do not make an arrival wait for a dial that gave way to another", async () => {
    const { pair, adding } = await gaveWay();
    const { one, other, runtime } = pair;
    other.line.connections[0]?.abort(new Error("cut"));
    await runtime.advance(0);
    await runtime.during(other.network.add(one.address), 200);
    await runtime.during(adding, 100);
    pair.checkStream();
    await pair.close();
  });

  it("fail a dial that gave way as soon as there is nothing left to wait for", async () => {
    const { pair, adding, cut } = await gaveWay();
    cut();
    await expect(pair.runtime.during(adding, 10)).rejects.toThrow("cut");
    await pair.close();
  });

  it("leave nobody waiting, and the next dial works", async () => {
    let failed = 0;
    await forSeeds(600, async (seed, random) => {
      const pair = new Pair({
        identities: shuffled(random),
        seed,
        line: { latencyMs: random() * 5, jitterMs: random() * 20 },
      });
      const { one, other, runtime } = pair;
      await pair.start();
      let cuts = 1 + Math.floor(random() * 3);
      for (const member of [one, other]) {
        member.line.onConnection = (connection) => {
          if (cuts === 0 || random() < 0.4) return;
          cuts--;
          runtime.setTimer(() => connection.abort(new Error("cut")), random() * 120);
        };
      }
      const start = runtime.now();
      const dials = [one, other].map(async (from) => {
        const to = from === one ? other : one;
        await new Promise<void>((resolve) => {
          runtime.setTimer(resolve, random() * 60);
        });
        await from.network.add(to.address);
      });
      const outcomes = await runtime.during(Promise.allSettled(dials), 30_000);
      if (outcomes.some((outcome) => outcome.status === "rejected")) failed++;
      if (runtime.now() - start > 1_000) throw new Error(`waited ${runtime.now() - start} ms`);
      cuts = 0;
      await runtime.advance(300);
      await runtime.during(one.network.add(other.address), 1_000);
      await runtime.advance(300);
      pair.checkStream();
      for (const member of [one, other]) {
        expect(member.count("added")).toBe(member.count("deleted") + 1);
      }
      await pair.close();
    });
    expect(failed).toBeGreaterThan(50);
  }, 60_000);
});
