import { deferred, Network, PeerId, toUtf8 } from "@testudo/core";
import { MemoryHub, memory } from "@testudo/transports/memory";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { vouch } from "../../../../test/support/vouch.ts";
import { type Mdns, type MdnsOptions, mdns, type OpenMulticast } from "../../src/mdns/index.ts";
import type { MulticastEvents } from "../../src/mdns/link.ts";

interface Said {
  readonly at: number;
  readonly who: string;
  /** Nothing: a question. */
  readonly texts?: readonly string[];
  readonly name: string;
}

/** A link without sockets: what one says all hear, the speaker too. */
class FakeLink {
  readonly said: Said[] = [];
  readonly hearers = new Map<string, MulticastEvents>();
  readonly #runtime: VirtualRuntime;

  constructor(runtime: VirtualRuntime) {
    this.#runtime = runtime;
  }

  open(who: string): OpenMulticast {
    return async (events, { admit }) => {
      this.hearers.set(who, events);
      const all = (hear: (hearer: MulticastEvents) => void): void => {
        for (const hearer of this.hearers.values()) hear(hearer);
      };
      return {
        ask: (name) => {
          this.said.push({ at: this.#runtime.now(), who, name });
          all((hearer) => admit() && hearer.asked(name));
        },
        tell: (name, texts) => {
          this.said.push({ at: this.#runtime.now(), who, name, texts });
          all((hearer) => hearer.told(name, texts.map(toUtf8), "127.0.0.1"));
        },
        close: async () => {
          this.hearers.delete(who);
        },
      };
    };
  }

  questions(who: string): number[] {
    return this.said
      .filter((one) => one.who === who && one.texts === undefined)
      .map(({ at }) => at);
  }

  answers(who: string): number[] {
    return this.said
      .filter((one) => one.who === who && one.texts !== undefined)
      .map(({ at }) => at);
  }
}

let runtime: VirtualRuntime;
let link: FakeLink;
let hub: MemoryHub;
const networks: Network[] = [];

beforeEach(() => {
  runtime = new VirtualRuntime();
  link = new FakeLink(runtime);
  hub = new MemoryHub();
});

afterEach(async () => {
  await runtime.during(Promise.all(networks.splice(0).map((network) => network.close())));
  await runtime.advance(1_000);
  expect([runtime.pending, link.hearers.size]).toEqual([0, 0]);
});

/** A node whose memory address is one of this machine, and which speaks on loopback. */
async function start(
  name: string,
  options: MdnsOptions = {},
  networkId: string = "one",
): Promise<{ network: Network; plugin: Mdns; address: string }> {
  const stacks = [[memory({ hub, runtime }), vouch()] as const];
  const network = new Network({ runtime, networkId, stacks });
  networks.push(network);
  const address = await network.listen(`memory:${name}~vouch`);
  const plugin = await network.registerPlugin(
    mdns({ interface: "127.0.0.1", open: link.open(name), ...options }),
  );
  return { network, plugin, address };
}

describe("mdns", () => {
  it("brings nodes of one network together, in passing, and no others", async () => {
    const [alice, bob] = [await start("alice"), await start("bob")];
    const stranger = await start("stranger", {}, "two");
    await runtime.advance(1_000);
    const peer = alice.network.peers.get(bob.network.id.text);
    expect(peer).toMatchObject({ passing: true, writable: false });
    expect([alice.network.peers.size, bob.network.peers.size]).toEqual([1, 1]);
    expect(stranger.network.peers.size).toBe(0);
    expect([alice.plugin.size, stranger.plugin.size]).toEqual([1, 0]);
  });

  it("tells whom it was given to instead, once for each address, and again after a minute", async () => {
    const found: string[] = [];
    const to = { found: (address: string) => void found.push(address) };
    const alice = await start("alice", { to });
    const bob = await start("bob", { to: { found: () => {} } });
    await runtime.advance(50_000);
    expect(found).toEqual([bob.address]);
    expect(alice.network.peers.size).toBe(0);
    await runtime.advance(100_000);
    expect(found.length).toBeGreaterThan(1);
    expect(new Set(found)).toEqual(new Set([bob.address]));
  });

  it("finds a peer by its id", async () => {
    const quiet = { to: { found: () => {} } };
    const [alice, bob] = [await start("alice", quiet), await start("bob", quiet)];
    await runtime.advance(1_000);
    const peer = await runtime.during(alice.network.add(bob.network.id));
    expect([peer.address, peer.passing]).toEqual([bob.address, false]);
    const nobody = PeerId.from(new Uint8Array(32).fill(9));
    await expect(runtime.during(alice.network.add(nobody))).rejects.toMatchObject({
      code: "PEER_NOT_FOUND",
    });
  });

  it("asks often at first, then once in an interval, and answers all who ask in a second at once", async () => {
    await start("alice", { intervalMs: 10_000 });
    await runtime.advance(40_000);
    expect(link.questions("alice").map(Math.round)).toEqual([
      0, 1_000, 3_000, 7_000, 15_000, 25_000, 35_000,
    ]);
    const before = link.answers("alice").length;
    const began = runtime.now();
    const { name } = link.said[0] as Said;
    for (let i = 0; i < 40; i++) {
      link.hearers.get("alice")?.asked(name);
      link.hearers.get("alice")?.asked("other._testudo._udp.local");
      await runtime.advance(50);
    }
    const answers = link.answers("alice").slice(before);
    expect(answers).toHaveLength(2);
    expect((answers[0] as number) - began).toBeGreaterThanOrEqual(20);
    expect((answers[1] as number) - (answers[0] as number)).toBeGreaterThanOrEqual(1_000);
  });

  it("tells a new address with its next question, and nothing while it has none", async () => {
    const network = new Network({ runtime, stacks: [[memory({ hub, runtime }), vouch()]] });
    networks.push(network);
    await network.registerPlugin(mdns({ interface: "127.0.0.1", open: link.open("late") }));
    await runtime.advance(120_000);
    expect(link.answers("late")).toEqual([]);
    const address = await network.listen("memory:late~vouch");
    await runtime.advance(61_000);
    expect(link.said.find(({ texts }) => texts !== undefined)?.texts).toEqual([address]);
  });

  it("says nothing of this machine to others", async () => {
    const open = link.open("alice");
    await start("alice", { interface: "192.168.1.2", open });
    await start("everywhere", {
      open: link.open("everywhere"),
      interface: undefined,
    } as MdnsOptions);
    await runtime.advance(5_000);
    expect(link.said.some(({ texts }) => texts !== undefined)).toBe(false);
    expect(link.questions("alice").length).toBeGreaterThan(2);
  });

  it("knocks at few doors, whatever a neighbour says", async () => {
    const found: string[] = [];
    await start("alice", { to: { found: (address) => void found.push(address) }, maxNodes: 20 });
    const { name } = link.said[0] as Said;
    const lie = (i: number): Uint8Array =>
      toUtf8(`net:10.0.0.1:${i}~noise:${PeerId.from(new Uint8Array(32).fill(i % 250)).text}`);
    for (let i = 0; i < 1_000; i++) link.hearers.get("alice")?.told(name, [lie(i)], "10.0.0.9");
    expect(found).toHaveLength(16);
    expect(networks.at(-1)?.networkState().plugins[0]?.faults).toBe(0);
  });

  it("has few dials under way, and ends them when it closes", async () => {
    const { network, plugin } = await start("alice");
    const { name } = link.said[0] as Said;
    let dialled = 0;
    network.add = () => {
      dialled++;
      return new Promise(() => {});
    };
    for (let i = 0; i < 16; i++) {
      const id = PeerId.from(new Uint8Array(32).fill(i)).text;
      link.hearers.get("alice")?.told(name, [toUtf8(`net:10.0.0.1:1~noise:${id}`)], "10.0.0.9");
    }
    expect(dialled).toBe(8);
    await network.unregisterPlugin(plugin);
    expect(link.hearers.size).toBe(0);
  });

  it("goes on when who is told fails, or a neighbour is not there", async () => {
    const told = deferred<string>();
    const alice = await start("alice", {
      to: {
        found: (address) => {
          told.resolve(address);
          throw new Error("no");
        },
      },
    });
    const bob = await start("bob");
    await runtime.advance(1_000);
    expect(await told.promise).toBe(bob.address);
    await runtime.during(alice.network.close());
    await runtime.advance(100_000);
    await settled();
    expect(bob.network.peers.size).toBe(0);
  });

  it("fails to start when there is no link, or an address is none, and leaves nothing open", async () => {
    const network = new Network({ runtime });
    networks.push(network);
    const none: OpenMulticast = () => Promise.reject(new Error("no multicast here"));
    await expect(network.registerPlugin(mdns({ open: none }))).rejects.toThrow(/no multicast/);
    const open = link.open("wrong");
    const wrong = mdns({ open, addresses: () => ["::::"] });
    await expect(network.registerPlugin(wrong)).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
    expect(link.hearers.size).toBe(0);
  });

  it("refuses options that make no sense, and a second network", async () => {
    expect(() => mdns({ intervalMs: 10 })).toThrow(RangeError);
    expect(() => mdns({ port: 0 })).toThrow(RangeError);
    expect(() => mdns({ maxPacketsPerSecond: 0 })).toThrow(RangeError);
    expect(() => mdns({ maxNodes: "many" as unknown as number })).toThrow(TypeError);
    const { plugin } = await start("alice");
    const other = new Network({ runtime });
    networks.push(other);
    await expect(other.registerPlugin(plugin)).rejects.toThrow(/already serves/);
  });
});
