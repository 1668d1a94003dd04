/** Lookups among nodes that are silent, slow, or lie: rpc, search and overlay together. */

import { Identity } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeIdOf } from "../../src/kademlia/node-id.ts";
import { signRecord } from "../../src/record/record.ts";
import { type OverlayNode, Overlays, says, stranger } from "./overlay.ts";

let overlays: Overlays;
beforeEach(() => {
  overlays = new Overlays();
});
afterEach(() => overlays.close());

const during = <T>(work: Promise<T>, maxMs?: number): Promise<T> =>
  overlays.runtime.during(work, maxMs);
const timed = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
  const began = overlays.runtime.now();
  const done = await during(work());
  return [done, overlays.runtime.now() - began];
};
/** Nodes, and strangers that all of them know. */
async function among(
  count: number,
  ...strangers: { readonly address: string }[]
): Promise<OverlayNode[]> {
  const all = await overlays.joined(count);
  for (const { address } of strangers) for (const { overlay } of all) overlay.found(address);
  await overlays.runtime.advance(10_000);
  return all;
}
/** Records of nodes that were never there. */
function invented(count: number): Uint8Array[] {
  const now = Math.floor(overlays.runtime.wallClock());
  return Array.from({ length: count }, () => {
    const identity = Identity.generate();
    return signRecord(identity, {
      networkId: networkId as Uint8Array,
      seq: now,
      addresses: [`memory:nobody~vouch:${identity.id.text}`],
      expiresAt: now + 86_400_000,
    }).bytes;
  });
}
let networkId: Uint8Array | undefined;

describe("a lookup", () => {
  it("gives a node that never answers its time, and no more, whatever it sends meanwhile", async () => {
    let mute = false;
    const silent = await stranger(overlays, "silent", () => (mute ? undefined : says([])));
    const all = await among(4, silent);
    mute = true;
    const chatter = setChatter(silent);
    const [found, ms] = await timed(() =>
      (all[1] as OverlayNode).overlay.lookup(silent.network.id),
    );
    chatter.stop();
    expect(found.map(({ address }) => address)).not.toContain(silent.address);
    expect(found).toHaveLength(3);
    expect(ms).toBeGreaterThanOrEqual(1_000);
    expect(ms).toBeLessThan(1_500);
  });

  it("is not ended by one who says that it may end, and names nobody", async () => {
    const liar = await stranger(overlays, "liar", ({ target }) => says([], target.length === 32));
    const all = await among(6, liar);
    const [, asker, wanted] = all as [OverlayNode, OverlayNode, OverlayNode];
    const [found] = await timed(() => asker.overlay.lookup(wanted.network.id));
    expect(found[0]?.address).toBe(wanted.address);
    expect(found).toHaveLength(6);
  });

  it("ends, having asked a bounded number, when every answer invents more nodes", async () => {
    let said = 0;
    const liar = await stranger(overlays, "liar", () => {
      said++;
      return says(invented(16));
    });
    networkId = liar.network.networkId;
    const all = await among(3, liar);
    const asker = all[1] as OverlayNode;
    const before = said;
    const [found, ms] = await timed(() => asker.overlay.lookup(new Uint8Array(32)));
    expect(said - before).toBeLessThanOrEqual(2);
    expect(ms).toBeLessThanOrEqual(20_000);
    expect(found.map(({ address }) => address)).toContain((all[2] as OverlayNode).address);
    expect(asker.overlay.size).toBeLessThanOrEqual(4);
  });

  it("leaves out records that are broken, not ours to know, or our own", async () => {
    const own: { bytes?: Uint8Array; wanted?: Uint8Array } = {};
    const liar = await stranger(overlays, "liar", () => {
      if (own.bytes === undefined || own.wanted === undefined) return says([]);
      const forged = new Uint8Array(own.wanted);
      forged[60] = (forged[60] as number) ^ 1;
      return says([new Uint8Array(3), forged, own.bytes, own.wanted]);
    });
    const all = await among(3, liar);
    const [, asker, wanted] = all as [OverlayNode, OverlayNode, OverlayNode];
    own.bytes = asker.overlay.record.bytes;
    own.wanted = wanted.overlay.record.bytes;
    const [found] = await timed(() => asker.overlay.lookup(asker.network.id));
    expect(found.map(({ id }) => id.text)).not.toContain(asker.network.id.text);
    expect(found.map(({ address }) => address)).toContain(wanted.address);
  });
});

describe("looking for one node", () => {
  it("is not misled by its old record, played back", async () => {
    const identity = Identity.generate();
    const old: { bytes?: Uint8Array } = {};
    const liars = [];
    for (let i = 0; i < 3; i++) {
      liars.push(
        await stranger(overlays, `liar${i}`, () =>
          says(old.bytes === undefined ? [] : [old.bytes], true),
        ),
      );
    }
    const all = await among(4, ...liars);
    const now = Math.floor(overlays.runtime.wallClock());
    old.bytes = signRecord(identity, {
      networkId: (all[0] as OverlayNode).network.networkId,
      seq: now - 3_600_000,
      addresses: [`memory:long-gone~vouch:${identity.id.text}`],
      expiresAt: now + 80_000_000,
    }).bytes;
    const bootstrap = [(all[0] as OverlayNode).address];
    const moved = await overlays.start("moved", { bootstrap }, { identity });
    await during(moved.overlay.joined());
    await overlays.runtime.advance(5_000);
    const asker = all[2] as OverlayNode;
    const peer = await during(asker.network.add(identity.id));
    expect(peer.id.equals(identity.id)).toBe(true);
    expect(nodeIdOf(identity.id.bytes)).toHaveLength(32);
  });
});

/** Messages of no use, again and again. */
function setChatter({ network }: { network: OverlayNode["network"] }): { stop(): void } {
  let over = false;
  const again = (): void => {
    if (over) return;
    for (const peer of network.peers.values()) {
      peer.send({ opcode: 1_000, body: new Uint8Array(1) }).catch(() => {});
    }
    overlays.runtime.setTimer(again, 100);
  };
  again();
  return {
    stop: () => {
      over = true;
    },
  };
}
