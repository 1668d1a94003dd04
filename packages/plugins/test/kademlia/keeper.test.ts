import { afterEach, beforeEach, describe, expect, it } from "vitest";
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

describe("anchors", () => {
  it("are those who were held for long, though met in passing, and whom it dialled itself first", async () => {
    let kept = new Uint8Array(0);
    const storage = {
      load: async () => undefined,
      save: async (bytes: Uint8Array) => {
        kept = new Uint8Array(bytes);
      },
    };
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
    const { networkId } = node.network;
    const anchors = decodeSnapshot(kept).anchors.map(
      (bytes) => readRecord(bytes, { networkId, now: runtime.wallClock() }).id.short,
    );
    expect(anchors).toEqual([dialled, came].map(({ network }) => network.id.short));
  });
});
