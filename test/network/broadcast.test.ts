import { type Message, Network, type Peer } from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { Cluster, Line, type Node, STACKS } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { VirtualRuntime } from "../support/virtual-runtime.ts";

/** The first node, connected to all the others. */
async function star(cluster: Cluster, count: number): Promise<[Node, Node[]]> {
  const nodes = await cluster.start(count);
  const [hub, ...rays] = nodes as [Node, ...Node[]];
  await cluster.connect(hub, ...rays);
  return [hub, rays];
}

describe("broadcast", () => {
  expectNoLeaks();

  for (const stack of Object.keys(STACKS)) {
    it(`goes to every writable peer over ${stack}, dialled or dialling`, async () => {
      await using cluster = new Cluster(stack);
      const nodes = await cluster.start(4);
      const [hub, ...rays] = nodes as [Node, Node, Node, Node];
      await cluster.connect(hub, rays[0], rays[1]);
      await cluster.connect(rays[2], hub);
      for (const peer of hub.network.peers.values()) peer.writable = true;
      const delivery = hub.network.broadcast(Line.of("to all"));
      expect(delivery.queued).toBe(3);
      for (const ray of rays) await ray.saw(() => ray.texts.length === 1);
      const report = await delivery.report();
      expect(report.sent).toHaveLength(3);
      expect(report.failed).toEqual([]);
      expect(new Set(rays.map((ray) => ray.messages[0]?.nonce)).size).toBe(1);
    });
  }

  it("takes a plain { opcode, body }, and lets the body be used again at once", async () => {
    await using cluster = new Cluster();
    const [hub, [ray]] = (await star(cluster, 2)) as [Node, [Node]];
    for (const size of [3, 70_000]) {
      const body = new Uint8Array(size).fill(7);
      const message: Message = { opcode: 1_300, body };
      hub.network.broadcast(message);
      body.fill(0);
    }
    await ray.saw(() => ray.messages.length === 2);
    for (const { opcode, body } of ray.messages) {
      expect(opcode).toBe(1_300);
      expect(body.every((byte) => byte === 7)).toBe(true);
    }
  });

  it("leaves out who is not writable, and may be changed at any time", async () => {
    await using cluster = new Cluster();
    const [hub, rays] = await star(cluster, 3);
    const [first, second] = rays as [Node, Node];
    hub.peer(first).writable = false;
    expect(hub.network.broadcast(Line.of("one")).queued).toBe(1);
    hub.peer(first).writable = true;
    expect(hub.network.broadcast(Line.of("two")).queued).toBe(2);
    await first.saw(() => first.texts.includes("two"));
    await second.saw(() => second.texts.includes("two"));
    expect(first.texts).toEqual(["two"]);
    expect(second.texts).toEqual(["one", "two"]);
  });

  it("to nobody is nothing", async () => {
    await using cluster = new Cluster();
    const lonely = await cluster.one();
    const delivery = lonely.network.broadcast(Line.of("hello?"));
    expect(delivery.queued).toBe(0);
    expect(await delivery.report()).toEqual({ sent: [], failed: [] });
  });
});

describe("broadcast to peers by name", () => {
  expectNoLeaks();

  it("goes to exactly those, named by peer, id, id's text or address, writable or not", async () => {
    await using cluster = new Cluster();
    const [hub, rays] = await star(cluster, 6);
    const [a, b, c, d, e] = rays as [Node, Node, Node, Node, Node];
    for (const peer of hub.network.peers.values()) peer.writable = false;
    const delivery = hub.network.broadcast(
      Line.of("you four"),
      hub.peer(a),
      b.network.id,
      c.network.id.text,
      d.address,
    );
    expect(delivery.queued).toBe(4);
    for (const each of [a, b, c, d]) await each.saw(() => each.texts.length === 1);
    expect((await delivery.report()).sent).toHaveLength(4);
    hub.network.broadcast(Line.of("and you"), hub.peer(e));
    await e.saw(() => e.texts.length > 0);
    expect(e.texts).toEqual(["and you"]);
  });

  it("sends once to a peer that is named in several ways", async () => {
    await using cluster = new Cluster();
    const [hub, [ray]] = (await star(cluster, 2)) as [Node, [Node]];
    const bare = ray.address.slice(0, ray.address.lastIndexOf(":"));
    const delivery = hub.network.broadcast(
      Line.of("once"),
      hub.peer(ray),
      ray.network.id,
      ray.address,
      bare,
    );
    const report = await delivery.report();
    expect(report.failed).toEqual([]);
    hub.network.broadcast(Line.of("last"));
    await ray.saw(() => ray.texts.includes("last"));
    expect(ray.texts).toEqual(["once", "last"]);
    expect(report.sent).toEqual([hub.peer(ray)]);
  });

  it("dials an address it does not know", async () => {
    await using cluster = new Cluster();
    const [from, to] = (await cluster.start(2)) as [Node, Node];
    const delivery = from.network.broadcast(Line.of("hello"), to.address);
    expect(delivery.queued).toBe(0);
    await to.saw(() => to.texts.length === 1);
    const report = await delivery.report();
    expect(report.sent).toEqual([from.peer(to)]);
    expect(to.events[0]).toBe(`added ${from.network.id.short}`);
  });

  it("reports who is not there and who cannot be reached", async () => {
    await using cluster = new Cluster();
    const [hub, [ray, gone]] = (await star(cluster, 3)) as [Node, [Node, Node]];
    const left = hub.peer(gone);
    await gone.network.close();
    await hub.saw(() => hub.count("deleted") === 1);
    const stranger = new Network().id;
    const delivery = hub.network.broadcast(
      Line.of("anybody?"),
      left,
      stranger,
      gone.address,
      ray.address,
    );
    const { sent, failed } = await delivery.report();
    expect(sent).toEqual([hub.peer(ray)]);
    expect(failed.map(({ peer, error }) => [peer, error.code])).toEqual([
      [left, "STREAM_CLOSED"],
      [stranger.text, "STREAM_CLOSED"],
      [gone.address, "DIAL_REFUSED"],
    ]);
    await ray.saw(() => ray.texts.length === 1);
  });

  it("refuses at once what can never be sent", async () => {
    await using cluster = new Cluster();
    const [hub, [ray]] = (await star(cluster, 2)) as [Node, [Node]];
    const { network } = hub;
    expect(() => network.broadcast(Line.of("x"), ray.address, "no address at all")).toThrow(
      expect.objectContaining({ code: "ADDRESS_MALFORMED" }),
    );
    const stranger = await cluster.one();
    expect(() => network.broadcast(Line.of("x"), stranger.address, "neither is this")).toThrow(
      expect.objectContaining({ code: "ADDRESS_MALFORMED" }),
    );
    expect(() => network.broadcast(Line.of("x"), 7 as unknown as string)).toThrow(TypeError);
    expect(() => network.broadcast({ opcode: 1, body: new Uint8Array(0) })).toThrow(RangeError);
    expect(() => network.broadcast({ opcode: 1_000 } as unknown as Message)).toThrow(TypeError);
    const body = new Uint8Array(network.limits.maxMessageBytes + 1);
    expect(() => network.broadcast({ opcode: 1_000, body })).toThrow(/maxMessageBytes/);
    await network.close();
    expect(() => network.broadcast(Line.of("x"))).toThrow(
      expect.objectContaining({ code: "NETWORK_CLOSED" }),
    );
    expect(ray.texts).toEqual([]);
    expect(stranger.events).toEqual([]);
  });
});

describe("broadcastRandomly", () => {
  expectNoLeaks();

  it("goes to n distinct writable peers, to all when there are fewer, to nobody for n <= 0", async () => {
    await using cluster = new Cluster();
    const [hub, rays] = await star(cluster, 5);
    const [mute] = rays as [Node];
    hub.peer(mute).writable = false;
    const queued = [2.9, 3, 4, 99, Number.POSITIVE_INFINITY, 0, -1, 0.5].map(
      (n) => hub.network.broadcastRandomly(Line.of("x"), n).queued,
    );
    expect(queued).toEqual([2, 3, 3, 3, 3, 0, 0, 0]);
    for (const peer of hub.network.peers.values()) peer.writable = true;
    hub.network.broadcast(Line.of("end"));
    for (const ray of rays) await ray.saw(() => ray.texts.includes("end"));
    expect(mute.texts).toEqual(["end"]);
    expect(rays.reduce((sum, ray) => sum + ray.texts.length - 1, 0)).toBe(14);
  });

  it("refuses an n that is no number", () => {
    const network = new Network();
    expect(() => network.broadcastRandomly(Line.of("x"), Number.NaN)).toThrow(TypeError);
    expect(() => network.broadcastRandomly(Line.of("x"), "2" as unknown as number)).toThrow(
      TypeError,
    );
  });

  it("chooses every set of peers equally often", async () => {
    const PEERS = 5;
    const DRAWS = 6_000;
    await using cluster = new Cluster();
    // A runtime of its own only for its randomness: its timers are the system's.
    const seeded = new VirtualRuntime(4_711);
    const runtime = { ...systemClock(), randomBytes: (n: number) => seeded.randomBytes(n) };
    const hub = await cluster.one({ runtime });
    const rays = await cluster.start(PEERS);
    await cluster.connect(hub, ...rays);
    const counts = new Map<string, number>();
    for (let i = 0; i < DRAWS; i++) {
      const { sent } = await hub.network.broadcastRandomly(Line.of("x"), 2).report();
      const pair = sent
        .map((peer: Peer) => peer.id.text)
        .sort()
        .join(" ");
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    // 10 pairs; chi-square with 9 degrees of freedom is above 27.9 once in a thousand seeds.
    const expected = DRAWS / 10;
    let chiSquare = 0;
    for (const count of counts.values()) chiSquare += (count - expected) ** 2 / expected;
    expect(counts.size).toBe(10);
    expect(chiSquare).toBeLessThan(27.9);
  });
});

function systemClock(): Omit<Network["runtime"], "randomBytes"> {
  const { now, wallClock, setTimer } = new Network().runtime;
  return { now, wallClock, setTimer };
}

describe("a network without stacks", () => {
  it("says what it cannot dial", async () => {
    const network = new Network();
    await expect(network.add("net:127.0.0.1:1~noise")).rejects.toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
    });
    expect(() => new Network({ stacks: [[noise()]] as never })).toThrow(TypeError);
  });
});
