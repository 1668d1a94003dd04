import { Identity, type NetworkError, PeerId, toUtf8 } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contentKey, type KademliaOptions, kademlia, keyOf } from "../../src/kademlia/index.ts";
import { nodeIdOf } from "../../src/kademlia/node-id.ts";
import { KeySearch } from "../../src/kademlia/puzzle.ts";
import { decodeSnapshot } from "../../src/kademlia/snapshot.ts";
import type { Storage } from "../../src/storage.ts";
import { Overlays } from "./overlay.ts";

let overlays: Overlays;
beforeEach(() => {
  overlays = new Overlays();
});
afterEach(() => overlays.close());

const during = <T>(work: Promise<T>): Promise<T> => overlays.runtime.during(work);
/** The reason of a rejection; time is moved by others. */
const reasonOf = (work: Promise<unknown>): Promise<NetworkError> =>
  work.then(
    () => {
      throw new Error("it worked");
    },
    (error: NetworkError) => error,
  );
const failure = (work: Promise<unknown>): Promise<NetworkError> => during(reasonOf(work));

/** What is kept, in memory. */
function drawer(): Storage & { kept: Uint8Array | undefined } {
  const storage = {
    kept: undefined as Uint8Array | undefined,
    load: async () => storage.kept,
    save: async (bytes: Uint8Array) => {
      storage.kept = bytes;
    },
  };
  return storage;
}

describe("options", () => {
  it.each<[string, KademliaOptions]>([
    ["k", { k: 33 }],
    ["s", { s: 0 }],
    ["d", { d: 1.5 }],
    ["alpha", { alpha: Number.NaN }],
    ["queryTimeoutMs", { queryTimeoutMs: -1 }],
    ["puzzle.staticBits", { puzzle: { staticBits: 40, dynamicBits: 0 } }],
    ["puzzle.dynamicBits", { puzzle: { staticBits: 0, dynamicBits: -1 } }],
  ])("%s must make sense", (name, options) => {
    expect(() => kademlia(options)).toThrow(RangeError);
    expect(() => kademlia(options)).toThrow(name);
  });
});

it.each<[string, object]>([
  ["bootstrap", { bootstrap: "net:192.0.2.1:1" }],
  ["addresses", { addresses: [] }],
  ["storage", { storage: "overlay.bin" }],
])("the option %s must be what it says", (name, options) => {
  expect(() => kademlia(options)).toThrow(TypeError);
  expect(() => kademlia(options)).toThrow(name);
});

it("a bootstrap address that is none is refused at once", () => {
  expect(() => kademlia({ bootstrap: ["net:192.0.2.1:1~noise", "not one"] })).toThrow(/not one/);
});

describe("a node of the overlay", () => {
  it("is found by its id, and dialled, though nobody was told its address", async () => {
    const all = await overlays.joined(6);
    const [, alice, bob] = all;
    if (alice === undefined || bob === undefined) throw new Error("too few");
    const peer = await during(alice.network.add(bob.network.id));
    expect(peer.id.equals(bob.network.id)).toBe(true);
    expect(peer.passing).toBe(false);
    expect(await failure(alice.network.add(PeerId.from(new Uint8Array(32).fill(3))))).toMatchObject(
      {
        code: "PEER_NOT_FOUND",
      },
    );
  });

  it("has passing peers only, and none of them when nobody asks anything", async () => {
    const all = await overlays.joined(5);
    const heard: string[] = [];
    for (const { network } of all) {
      for (const peer of network.peers.values()) {
        expect([peer.passing, peer.writable]).toEqual([true, false]);
      }
      await during(
        network.registerPlugin({
          newMessage: ({ message }) => void heard.push(`${message.opcode}`),
        }),
      );
    }
    for (const { network } of all) {
      const { sent } = await during(
        network.broadcast({ opcode: 1_000, body: toUtf8("x") }).report(),
      );
      expect(sent).toEqual([]);
    }
    await overlays.runtime.advance(60_000);
    expect(heard.filter((opcode) => opcode === "1000")).toEqual([]);
    expect(all.map(({ network }) => network.peers.size)).toEqual([0, 0, 0, 0, 0]);
  });

  it("finds the nearest, and knows those near without asking", async () => {
    const all = await overlays.joined(8);
    const [alice, bob] = all;
    if (alice === undefined || bob === undefined) throw new Error("too few");
    const found = await during(alice.overlay.lookup(bob.network.id));
    expect(found).toHaveLength(7);
    expect(found[0]?.id.equals(bob.network.id)).toBe(true);
    expect(found[0]?.address).toBe(bob.address);
    expect(alice.overlay.size).toBe(7);
    expect(alice.overlay.closest(nodeIdOf(bob.network.id.bytes), 3)).toHaveLength(3);
    expect(() => alice.overlay.closest(bob.network.id, -1)).toThrow(RangeError);
    expect(new Set(alice.overlay.sample(5).map(({ address }) => address)).size).toBe(5);
    expect(() => alice.overlay.sample(0.5)).toThrow(RangeError);
    await expect(alice.overlay.lookup(new Uint8Array(31))).rejects.toThrow(TypeError);
  });

  it("keeps values for others, after who put them has left", async () => {
    const all = await overlays.joined(6);
    const [first, alice, bob] = all;
    if (first === undefined || alice === undefined || bob === undefined) throw new Error("too few");
    const put = await during(alice.overlay.put(toUtf8("hello")));
    expect(put.nodes).toBe(5);
    expect(put.key).toEqual(contentKey(toUtf8("hello")));
    const signed = await during(alice.overlay.put(toUtf8("one"), { signed: true, seq: 1 }));
    await during(alice.overlay.put(toUtf8("two"), { signed: true, seq: 2 }));
    expect(signed.key).toEqual(keyOf(alice.network.id));
    await during(alice.network.close());
    const read = await during(bob.overlay.get(put.key));
    expect(read?.content).toEqual(toUtf8("hello"));
    expect((await during(first.overlay.get(signed.key)))?.content).toEqual(toUtf8("two"));
    expect(await during(bob.overlay.get(contentKey(toUtf8("other"))))).toBeUndefined();
  });

  it("has kept its table within seconds, should it be killed", async () => {
    const first = await overlays.start("first");
    const storage = drawer();
    const bob = await overlays.start("bob", { bootstrap: [first.address], storage });
    await during(bob.overlay.joined());
    await overlays.runtime.advance(10_000);
    const kept = decodeSnapshot(storage.kept as Uint8Array);
    expect([...kept.anchors, ...kept.records]).toContainEqual(first.overlay.record.bytes);
  });

  it("is there again without a bootstrap address, and its record is newer than before", async () => {
    const all = await overlays.joined(5);
    const storage = drawer();
    const identity = Identity.generate();
    const bootstrap = [all[0]?.address ?? ""];
    const before = await overlays.start("late", { bootstrap, storage }, { identity });
    await during(before.overlay.joined());
    await overlays.runtime.advance(5_000);
    const { seq } = before.overlay.record;
    await during(before.network.close());
    expect(storage.kept?.length).toBeGreaterThan(500);
    const after = await overlays.start("later", { storage }, { identity });
    await during(after.overlay.joined());
    expect(after.overlay.record.seq).toBeGreaterThan(seq);
    expect(after.overlay.size).toBeGreaterThan(0);
    expect(
      (await during(after.overlay.lookup(all[3]?.network.id ?? identity.id)))[0]?.address,
    ).toBe(all[3]?.address);
  });

  it("starts anew, and says so, when what was kept is broken; and does not forget it while alone", async () => {
    const warned: unknown[] = [];
    const quiet = (): void => {};
    const logger = {
      trace: quiet,
      debug: quiet,
      info: quiet,
      warn: (_: object, text?: string) => void warned.push(text),
      error: quiet,
    };
    const broken = {
      load: async () => Uint8Array.of(1),
      save: () => Promise.reject(new Error("no room")),
    };
    const node = await overlays.start("broken", { storage: broken }, { logger });
    await during(node.network.close());
    expect(warned).toEqual([
      expect.stringContaining("cannot be read"),
      expect.stringContaining("was not saved"),
    ]);
    const all = await overlays.joined(3);
    const storage = drawer();
    const first = await overlays.start("a", { bootstrap: [all[0]?.address ?? ""], storage });
    await during(first.overlay.joined());
    await during(first.network.close());
    const kept = storage.kept?.length ?? 0;
    for (const { network } of all) await during(network.close());
    const lonely = await overlays.start("b", { storage });
    await overlays.runtime.advance(10_000);
    await during(lonely.network.close());
    expect(storage.kept?.length).toBe(kept);
  });
});

describe("while it is closed or not yet there", () => {
  it("everything asked of it says so, and what is under way ends at once", async () => {
    const alone = kademlia();
    await expect(alone.joined()).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
    expect(alone.size).toBe(0);
    const all = await overlays.joined(4);
    const [first, other] = all;
    if (first === undefined || other === undefined) throw new Error("too few");
    const looking = reasonOf(other.overlay.lookup(new Uint8Array(32)));
    const putting = reasonOf(other.overlay.put(toUtf8("x")));
    const began = overlays.runtime.now();
    await during(other.network.close());
    expect(await looking).toMatchObject({ code: "NETWORK_CLOSED" });
    expect(await putting).toMatchObject({ code: "NETWORK_CLOSED" });
    expect(overlays.runtime.now() - began).toBeLessThan(1_000);
  });

  it("who waits for it to join may stop waiting, and hears when it never will", async () => {
    const node = await overlays.start("lonely");
    const abort = new AbortController();
    const waiting = reasonOf(node.overlay.joined({ signal: abort.signal }));
    abort.abort(new Error("enough"));
    expect((await waiting).message).toBe("enough");
    const never = reasonOf(node.overlay.joined());
    await during(node.network.close());
    expect(await never).toMatchObject({ code: "NETWORK_CLOSED" });
  });

  it("serves one network at a time, and another one afterwards", async () => {
    const node = await overlays.start("one");
    const two = await overlays.nodes.start("two");
    expect(await failure(two.network.registerPlugin(node.overlay))).toMatchObject({
      code: "PLUGIN_FAILED",
    });
    await during(node.network.unregisterPlugin(node.overlay));
    await during(two.network.registerPlugin(node.overlay));
    expect(node.overlay.record.id.equals(two.network.id)).toBe(true);
  });

  it("a signal ends what it was given to", async () => {
    const [, alice] = await overlays.joined(4);
    if (alice === undefined) throw new Error("too few");
    const { overlay } = alice;
    const abort = new AbortController();
    const { signal } = abort;
    const all = [
      overlay.lookup(new Uint8Array(32), { signal }),
      overlay.put(toUtf8("x"), { signal }),
      overlay.get(new Uint8Array(32), { signal }),
      overlay.findPeer(PeerId.from(new Uint8Array(32).fill(1)), { signal }),
    ].map(reasonOf);
    abort.abort(new Error("enough"));
    expect((await during(Promise.all(all))).map(({ message }) => message)).toEqual(
      Array(4).fill("enough"),
    );
  });
});

it("a value's options must make sense, and belong to it", async () => {
  const { overlay } = await overlays.start("alone");
  const put = (options: object) => () => overlay.put(toUtf8("x"), options);
  for (const options of [{ seq: 1 }, { lifeMs: 1_000 }, { signed: false, seq: 1 }]) {
    expect(put(options)).toThrow(TypeError);
    expect(put(options)).toThrow(/seq|lifeMs/);
  }
  expect(put({ signed: "salt" })).toThrow(TypeError);
  expect(put({ signed: new Uint8Array(65) })).toThrow(RangeError);
  expect(put({ signed: true, seq: -1 })).toThrow(/seq/);
  expect(put({ signed: true, lifeMs: 0 })).toThrow(/lifeMs/);
});

describe("ids that cost work", () => {
  const puzzle = { staticBits: 4, dynamicBits: 6 };
  const solved = (): Identity => {
    const search = new KeySearch({ staticBits: 4, generate: () => Identity.generate() });
    return search.run(100_000) ?? Identity.generate();
  };

  it("let each other in, and nobody else", async () => {
    const first = await overlays.start("first", { puzzle }, { identity: solved() });
    const bootstrap = [first.address];
    const second = await overlays.start("second", { puzzle, bootstrap }, { identity: solved() });
    await during(second.overlay.joined());
    expect(first.overlay.record.puzzle).toHaveLength(8);
    const cheap = await overlays.start("cheap", { bootstrap });
    await overlays.runtime.advance(10_000);
    expect([first.overlay.size, second.overlay.size]).toEqual([1, 1]);
    const found = await during(second.overlay.lookup(cheap.network.id));
    expect(found.map(({ address }) => address)).toEqual([first.address]);
  });

  it("are told to make one when theirs is not", async () => {
    const node = await overlays.nodes.start("poor");
    const work = node.network.registerPlugin(
      kademlia({ puzzle: { staticBits: 32, dynamicBits: 0 } }),
    );
    expect((await failure(work)).message).toContain("testudo key new --puzzle");
  });

  it("do not hold up a network that closes, however hard they are", async () => {
    const node = await overlays.nodes.start("hard", { limits: { closeHookTimeoutMs: 20 } });
    const work = reasonOf(
      node.network.registerPlugin(kademlia({ puzzle: { staticBits: 0, dynamicBits: 32 } })),
    );
    await during(node.network.close());
    expect(await work).toMatchObject({ code: "PLUGIN_FAILED" });
    // What was begun ends by itself, with the next slice.
    await overlays.runtime.advance(10);
  });
});
