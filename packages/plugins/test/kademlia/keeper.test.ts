import type { Logger } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestNode } from "../../../../test/support/nodes.ts";
import type { Storage } from "../../src/kademlia/index.ts";
import { LookupRequest } from "../../src/kademlia/messages.ts";
import { decodeSnapshot } from "../../src/kademlia/snapshot.ts";
import { readRecord } from "../../src/record/record.ts";
import { type OverlayNode, Overlays, recordOf, says, stranger } from "./overlay.ts";

let overlays: Overlays;
beforeEach(() => {
  overlays = new Overlays();
});
afterEach(() => overlays.close());

const during = <T>(work: Promise<T>): Promise<T> => overlays.runtime.during(work);

describe("a node by itself", () => {
  it("tries its bootstrap address until somebody is there", async () => {
    const early = await overlays.nodes.start("here");
    await during(early.network.close());
    const node = await overlays.start("node", { bootstrap: [early.address] });
    await overlays.runtime.advance(30_000);
    expect(node.overlay.size).toBe(0);
    const again = await overlays.start("here", {}, { identity: early.network.identity });
    await during(node.overlay.joined());
    expect(node.overlay.closest(again.network.id)[0]?.address).toBe(again.address);
  });

  it("is no island with who came through it before it was in itself", async () => {
    const identity = (await overlays.nodes.start("late")).network;
    await during(identity.close());
    const bootstrap = [identity.addresses[0] ?? `memory:late~vouch:${identity.id.text}`];
    const early = await overlays.start("early", { bootstrap });
    const through = await overlays.start("through", { bootstrap: [early.address] });
    await during(through.overlay.joined());
    await overlays.runtime.advance(20_000);
    expect(early.overlay.size).toBe(1);
    await overlays.start("late", {}, { identity: identity.identity });
    await overlays.runtime.advance(70_000);
    expect([early.overlay.size, through.overlay.size]).toEqual([2, 2]);
  });

  it("comes to know all that others name, though they were never on its way", async () => {
    const all = await overlays.joined(12);
    await overlays.runtime.advance(60_000);
    expect(all.map(({ overlay }) => overlay.size)).toEqual(all.map(() => 11));
  });

  it("stops handing out who is gone, and drops him in time", async () => {
    const all = await overlays.joined(5, { checkMs: 10_000 });
    const [first, , gone] = all as [OverlayNode, OverlayNode, OverlayNode];
    await during(gone.network.close());
    await overlays.runtime.advance(15_000);
    const id = gone.network.id.text;
    for (const { overlay } of all.filter((each) => each !== gone)) {
      expect(overlay.closest(gone.network.id).map((each) => each.id.text)).not.toContain(id);
    }
    await overlays.runtime.advance(60_000);
    expect(first.overlay.size).toBe(3);
  });

  it("finds its way back when all were gone for a while, without a bootstrap address", async () => {
    const all = await overlays.joined(4, { checkMs: 5_000 });
    const [lonely, ...others] = all as [OverlayNode, ...OverlayNode[]];
    await overlays.runtime.advance(60_000);
    const identities = others.map(({ network }) => network.identity);
    for (const { network } of others) await during(network.close());
    await overlays.runtime.advance(60_000);
    expect(lonely.overlay.size).toBe(0);
    for (const [i, identity] of identities.entries()) {
      await overlays.start(others[i]?.name ?? "", {}, { identity });
    }
    await overlays.runtime.advance(120_000);
    expect(lonely.overlay.size).toBe(3);
  });

  it("asks a stranger that came in its own time, not the stranger's", async () => {
    const victim = await overlays.start("victim");
    const many = [];
    for (let i = 0; i < 30; i++) many.push(await stranger(overlays, `s${i}`, () => says([])));
    for (const each of many) await during(each.network.add(victim.address));
    expect(many.reduce((sum, { asked }) => sum + asked.length, 0)).toBeLessThanOrEqual(8);
    await overlays.runtime.advance(60_000);
    expect(many.filter(({ asked }) => asked.length > 0).length).toBeGreaterThanOrEqual(16);
  });

  it("tells its peers when its addresses change, and they hand out the new ones", async () => {
    let addresses: readonly string[] = [];
    const first = await overlays.start("first");
    const node = await overlays.nodes.start("node");
    const { kademlia } = await import("../../src/kademlia/index.ts");
    addresses = [node.address];
    const overlay = kademlia({ bootstrap: [first.address], addresses: () => addresses });
    await during(node.network.registerPlugin(overlay));
    await during(overlay.joined());
    await during(node.network.add(first.address));
    const more = `${node.address.replace("memory:node", "memory:other")};${node.address}`;
    addresses = more.split(";");
    await overlays.runtime.advance(3_000);
    expect(first.overlay.closest(node.network.id)[0]?.record.addresses).toEqual(addresses);
  });

  it("takes no more addresses from others than it can dial in a while", async () => {
    const node = await overlays.start("node");
    const real = await overlays.start("real");
    for (let i = 0; i < 1_000; i++) node.overlay.found(`memory:nobody${i}~vouch`);
    node.overlay.found(real.address);
    await overlays.runtime.advance(70_000);
    expect(node.overlay.size).toBe(0);
    node.overlay.found(real.address);
    await overlays.runtime.advance(5_000);
    expect(node.overlay.size).toBe(1);
    expect(recordOf(overlays, real).addresses).toEqual([real.address]);
  });
});

describe("bootstrap addresses that can never be dialled", () => {
  const levels = ["trace", "debug", "info", "warn", "error"] as const;
  const hear = (): { logger: Logger; warned: string[] } => {
    const warned: string[] = [];
    const say = (level: string) => (_fields: object, message: string) => {
      if (level === "warn") warned.push(message);
    };
    const logger = Object.fromEntries(levels.map((level) => [level, say(level)]));
    return { logger: logger as unknown as Logger, warned };
  };

  it("end the wait for joining, with a warning", async () => {
    const { logger, warned } = hear();
    const node = await overlays.start("node", { bootstrap: ["rubbish"] }, { logger });
    await expect(during(node.overlay.joined())).rejects.toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
    });
    expect(warned).toHaveLength(1);
    await overlays.runtime.advance(120_000);
    expect(warned).toHaveLength(1);
  });

  it("are no reason not to join through another", async () => {
    const there = await overlays.start("there");
    const { logger, warned } = hear();
    const bootstrap = ["rubbish", there.address];
    const node = await overlays.start("node", { bootstrap }, { logger });
    await during(node.overlay.joined());
    expect([node.overlay.size, warned.length]).toEqual([1, 1]);
  });

  it("are told from those where nobody is there yet", async () => {
    const { logger, warned } = hear();
    const node = await overlays.start("node", { bootstrap: ["memory:late~vouch"] }, { logger });
    await overlays.runtime.advance(120_000);
    expect(warned).toHaveLength(1);
    await overlays.start("late");
    await during(node.overlay.joined());
    expect(node.overlay.size).toBe(1);
  });
});

/** A storage in memory, and the ids of the anchors in it. */
class Drawer implements Storage {
  kept: Uint8Array | undefined;

  async load(): Promise<Uint8Array | undefined> {
    return this.kept;
  }

  async save(bytes: Uint8Array): Promise<void> {
    this.kept = new Uint8Array(bytes);
  }

  anchors({ network }: OverlayNode): string[] {
    const reading = { networkId: network.networkId, now: overlays.runtime.wallClock() };
    return decodeSnapshot(this.kept ?? new Uint8Array(0)).anchors.map(
      (bytes) => readRecord(bytes, reading).id.short,
    );
  }
}

const shortIds = (nodes: readonly TestNode[]): string[] =>
  nodes.map(({ network }) => network.id.short);

describe("anchors", () => {
  it("are those first who were held for long, though met in passing, if it dialled them", async () => {
    const storage = new Drawer();
    const first = await overlays.start("first");
    const bootstrap = [first.address];
    const node = await overlays.start("node", { bootstrap, storage });
    const [dialled, came, asked] = [
      await overlays.start("dialled", { bootstrap }),
      await overlays.start("came", { bootstrap }),
      await overlays.start("asked", { bootstrap }),
    ];
    const { runtime } = overlays;
    await runtime.advance(60_000);
    await during(came.network.add(node.address));
    const passing = { passing: true };
    const peer = await during(node.network.add(dialled.address, passing));
    peer.hold();
    await runtime.advance(1_000);
    const other = dialled.network.peers.get(node.network.id.text);
    other?.hold();
    expect([peer.passing, other?.passing]).toEqual([true, true]);
    await runtime.advance(100_000);
    await during(node.network.add(asked.address, passing));
    await during(node.network.close());
    const anchors = storage.anchors(node);
    expect(anchors[0]).toBe(dialled.network.id.short);
    expect(anchors.toSorted()).toEqual(shortIds([first, dialled, came, asked]).toSorted());
  });

  it("are asked first after a restart, whoever comes meanwhile", async () => {
    const storage = new Drawer();
    const { runtime } = overlays;
    const friends = await overlays.joined(3);
    const bootstrap = [friends[0]?.address ?? ""];
    const before = await overlays.start("node", { bootstrap, storage });
    await during(before.overlay.joined());
    await runtime.advance(90_000);
    await during(before.network.close());
    expect(storage.anchors(before)).toHaveLength(3);

    const order: string[] = [];
    const strangers = [];
    for (let i = 0; i < 20; i++) {
      const one = await stranger(overlays, `s${i}`, () => {
        order.push("stranger");
        return says([]);
      });
      strangers.push(one);
    }
    for (const { network } of friends) {
      await network.registerPlugin({
        name: "witness",
        newMessage({ message }) {
          if (message.as(LookupRequest) !== undefined) order.push("friend");
        },
      });
    }
    const { identity } = before.network;
    const after = await overlays.start("node", { storage }, { identity });
    for (const { network } of strangers) network.add(after.address).catch(() => {});
    await runtime.advance(10_000);
    expect(order.slice(0, 3)).toEqual(["friend", "friend", "friend"]);
    expect(order).toContain("stranger");
    expect(after.overlay.size).toBe(23);
  });

  it("and all others of the last time are tried, though strangers fill the table first", async () => {
    const storage = new Drawer();
    const { runtime } = overlays;
    const friends = await overlays.joined(20);
    const before = await overlays.start("node", {
      bootstrap: [friends[0]?.address ?? ""],
      storage,
    });
    await during(before.overlay.joined());
    await runtime.advance(90_000);
    await during(before.network.close());
    const kept = decodeSnapshot(storage.kept ?? new Uint8Array(0)).records.length;
    expect(kept).toBe(20);
    // Nobody names anybody: only what was kept leads to them.
    for (const { network } of friends) {
      await during(network.close());
    }
    const silent = [];
    for (const { name, network } of friends) {
      const { identity } = network;
      silent.push(await stranger(overlays, name, () => says([]), { identity }));
    }
    const sybil = await stranger(overlays, "sybil", () => says([]));
    const { identity } = before.network;
    const after = await overlays.start("node", { storage }, { identity });
    await during(sybil.network.add(after.address));
    await runtime.advance(20_000);
    expect(silent.filter(({ asked }) => asked.length === 0)).toEqual([]);
    expect(after.overlay.size).toBe(21);
  });

  it("stay as they were after a life too short to prove anything", async () => {
    const storage = new Drawer();
    const { runtime } = overlays;
    const friends = await overlays.joined(9);
    const bootstrap = [friends[0]?.address ?? ""];
    const before = await overlays.start("node", { bootstrap, storage });
    await during(before.overlay.joined());
    await runtime.advance(90_000);
    await during(before.network.close());
    const anchors = storage.anchors(before);
    const { identity } = before.network;
    for (const friend of friends.slice(1)) {
      if (anchors.includes(friend.network.id.short)) await during(friend.network.close());
    }
    for (let life = 0; life < 3; life++) {
      const node = await overlays.start("node", { storage, bootstrap }, { identity });
      await runtime.advance(5_000);
      await during(node.network.close());
      expect(storage.anchors(node).toSorted()).toEqual(anchors.toSorted());
    }
    const long = await overlays.start("node", { storage, bootstrap }, { identity });
    await runtime.advance(90_000);
    await during(long.network.close());
    expect(storage.anchors(long)).not.toEqual(anchors);
  });
});
