/** Discovery in bad weather, on virtual time: nodes come and go, fall silent, or have clocks that are wrong. */

import { Identity } from "@testudo/core";
import { type Kademlia, type KademliaOptions, kademlia } from "@testudo/plugins/kademlia";
import { KeySearch } from "@testudo/plugins/kademlia/machines";
import { type NodeOptions, type SimNode, World } from "@testudo/sim";
import { describe, expect, it, onTestFinished } from "vitest";

const A_DAY_MS = 86_400_000;

interface Member {
  readonly node: SimNode;
  readonly overlay: Kademlia;
}

function newWorld(): World {
  const world = new World({ seed: 7, link: { latencyMs: 20, jitterMs: 20 } });
  onTestFinished(() => world.close());
  return world;
}

async function join(
  world: World,
  count: number,
  options: KademliaOptions = {},
  nodeOptions: (index: number) => NodeOptions = () => ({}),
): Promise<Member[]> {
  const all: Member[] = [];
  for (let i = 0; i < count; i++) {
    const bootstrap = all.length === 0 ? [] : [world.random.pick(all).node.address];
    const overlay = kademlia({ ...options, bootstrap });
    all.push({ overlay, node: world.add({ ...nodeOptions(i), plugins: [overlay] }) });
    if (i % 5 === 0) await world.run(1_000);
  }
  await world.during(
    Promise.all(all.map(({ node, overlay }) => node.ready.then(() => overlay.joined()))),
  );
  await world.run(15_000);
  return all;
}

/** The part of `count` lookups that find whom they look for. */
async function success(world: World, all: readonly Member[], count: number): Promise<number> {
  let found = 0;
  for (let i = 0; i < count; i++) {
    const [from, to] = world.random.sample(all, 2) as [Member, Member];
    const [nearest] = await world.during(from.overlay.lookup(to.node.network.id));
    if (nearest?.id.equals(to.node.network.id)) found++;
  }
  return found / count;
}

/** Minutes of many nodes: longer than other tests where the machine is busy. */
describe("discovery", { timeout: 30_000 }, () => {
  it("goes on when a fifth of all nodes falls silent at once", async () => {
    const world = newWorld();
    const all = await join(world, 20, { checkMs: 60_000, refreshMs: 120_000 });
    const living = all.slice(4);
    for (const { node } of all.slice(0, 4)) node.vanish();
    expect(await success(world, living, 10)).toBe(1);
    await world.run(200_000);
    const dead = new Set(all.slice(0, 4).map(({ node }) => node.network.id.text));
    for (const { overlay } of living) {
      const known = overlay.closest(new Uint8Array(32), 100).map(({ id }) => id.text);
      expect(known.filter((id) => dead.has(id))).toEqual([]);
    }
  });

  it("goes on while nodes are killed and others come", async () => {
    const world = newWorld();
    const all = await join(world, 14, { checkMs: 20_000 });
    for (let i = 0; i < 7; i++) {
      const [gone] = all.splice(world.random.below(all.length), 1);
      gone?.node.kill();
      const overlay = kademlia({
        bootstrap: [world.random.pick(all).node.address],
        checkMs: 20_000,
      });
      all.push({ overlay, node: world.add({ plugins: [overlay] }) });
      await world.run(5_000);
    }
    await world.run(10_000);
    expect(await success(world, all, 10)).toBe(1);
  });

  it("locks nobody out whose clock is a day ahead, a day behind, or jumps", async () => {
    const world = newWorld();
    const skewOf = (index: number): number => [0, 0, 0, A_DAY_MS, -A_DAY_MS][index % 5] as number;
    const all = await join(world, 15, {}, (index) => ({ skewMs: skewOf(index) }));
    const right = all.filter((_, index) => skewOf(index) === 0);
    for (const { node } of all) {
      const from = world.random.pick(right.filter((each) => each.node !== node));
      const peer = await world.during(from.node.network.add(node.network.id));
      expect(peer.id.equals(node.network.id)).toBe(true);
    }
    for (const { node } of right.slice(0, 4)) node.skewMs = -A_DAY_MS / 2;
    await world.run(60_000);
    expect(await success(world, right, 15)).toBe(1);
  });

  it("asks for work where the network wants it", async () => {
    const world = newWorld();
    const puzzle = { staticBits: 4, dynamicBits: 8 };
    const search = new KeySearch({ staticBits: 4, generate: () => Identity.generate() });
    const all = await join(world, 10, { puzzle }, () => ({
      identity: search.run(1_000_000) ?? Identity.generate(),
    }));
    expect(await success(world, all, 10)).toBe(1);
    const cheap = kademlia({ bootstrap: [(all[0] as Member).node.address] });
    const { network } = world.add({ plugins: [cheap] });
    await world.run(20_000);
    for (const { overlay } of all) {
      expect(overlay.closest(network.id).some(({ id }) => id.equals(network.id))).toBe(false);
    }
  });
});
