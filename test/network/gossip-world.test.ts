/** Gossip in a simulated world: parted for ten minutes, among nodes that come and go, among the mute, and with wrong clocks. */

import { defineMessage, type Plugin, text } from "@testudo/core";
import { type Gossip, type GossipOptions, gossip } from "@testudo/plugins/gossip";
import { type SimNode, World, type WorldOptions } from "@testudo/sim";
import { describe, expect, it, onTestFinished } from "vitest";

const News = defineMessage({ name: "news", opcode: 1_000, codec: text, reach: "network" });
const HOUR_MS = 3_600_000;
/** Opcodes 64 and 65 are about who is there; what is behind them carries messages. */
const MEMBERSHIP = 65;
const BEHIND_GOSSIP = 96;

interface Member {
  readonly node: SimNode;
  readonly plugin: Gossip;
  readonly heard: string[];
}

function newWorld(options: Partial<WorldOptions> = {}): World {
  const world = new World({ seed: 1, link: { latencyMs: 20, jitterMs: 20 }, ...options });
  onTestFinished(() => world.close());
  return world;
}

/** `wrap`: what is registered in the plugin's place. */
function member(
  world: World,
  more: {
    name?: string;
    skewMs?: number;
    options?: GossipOptions;
    identity?: SimNode["identity"];
  } = {},
  wrap: (inner: Gossip) => Plugin = (inner) => inner,
): Member {
  const { options, ...rest } = more;
  const plugin = gossip(options);
  const heard: string[] = [];
  const witness: Plugin = {
    name: "witness",
    newMessage({ message }) {
      const news = message.as(News);
      if (news !== undefined) heard.push(news);
    },
  };
  return { node: world.add({ ...rest, plugins: [wrap(plugin), witness] }), plugin, heard };
}

/** Takes part in the membership, takes every message, hands none on and answers nothing, while `isMute()`. */
function mute(inner: Gossip, isMute: () => boolean = () => true): Plugin {
  return {
    name: "mute",
    startup: (context) => inner.startup(context),
    nodeAdded: (context) => inner.nodeAdded(context),
    nodeDeleted: (context) => inner.nodeDeleted(context),
    close: () => inner.close(),
    newMessage(context) {
      const { opcode } = context.message;
      const passes = opcode <= MEMBERSHIP || opcode >= BEHIND_GOSSIP;
      if (passes || !isMute()) inner.newMessage(context);
    },
  };
}

/** One after the other, through somebody who is there. Then until the views have settled. */
async function gather(
  world: World,
  count: number,
  make: (index: number) => Member,
): Promise<Member[]> {
  const members: Member[] = [];
  for (let index = 0; index < count; index++) {
    const one = make(index);
    if (index > 0) {
      const { address } = world.random.pick(members).node;
      await world.during(one.node.network.add(address));
    }
    members.push(one);
  }
  await world.run(90_000);
  return members;
}

function say({ node }: Member, what: string): string {
  node.network.broadcast(News.of(what));
  return what;
}

/** What each of them lacks or has twice, of what others said. */
function faults(members: readonly Member[], said: ReadonlyMap<string, Member>): string[] {
  return members.flatMap((member) => {
    const owed = [...said].filter(([, by]) => by !== member).map(([what]) => what);
    const lacks = owed.filter((what) => !member.heard.includes(what));
    const twice = member.heard.filter((what, at) => member.heard.indexOf(what) !== at);
    return [...lacks, ...twice].map((what) => `${member.node.name}: ${what}`);
  });
}

describe("gossip in a world", () => {
  it("makes two halves one again, within two rounds of reconciliation", async () => {
    const world = newWorld();
    const all = await gather(world, 20, () => member(world));
    const [small, large] = [all.slice(0, 6), all.slice(6)];
    world.partition(small.map(({ node }) => node));
    const [mine, theirs] = [new Map<string, Member>(), new Map<string, Member>()];
    for (let minute = 0; minute < 10; minute++) {
      for (const [side, said] of [
        [small, mine],
        [large, theirs],
      ] as const) {
        const by = world.random.pick(side);
        for (let i = 0; i < 3; i++) said.set(say(by, `${said.size} of ${side.length}`), by);
      }
      await world.run(60_000);
    }
    expect(faults(small, mine)).toEqual([]);
    expect(faults(large, theirs)).toEqual([]);
    expect(small.flatMap(({ heard }) => heard.filter((what) => theirs.has(what)))).toEqual([]);
    world.heal();
    await world.run(60_000);
    expect(faults(all, new Map([...mine, ...theirs]))).toEqual([]);
  });

  it("loses nothing among those that stay while others come and go", async () => {
    const world = newWorld();
    const all = await gather(world, 24, () => member(world));
    const [stay, move] = [all.slice(0, 12), all.slice(12)];
    const late: Member[] = [];
    const rejoin = (): SimNode => {
      const one = member(world);
      one.node.network.add(world.random.pick(stay).node.address).catch(() => {});
      late.push(one);
      return one.node;
    };
    const churns = (["stop", "kill", "vanish"] as const).map((how, at) =>
      world.churn({
        nodes: move.filter((_, index) => index % 3 === at).map(({ node }) => node),
        meanUpMs: 30_000,
        meanDownMs: 5_000,
        how,
        rejoin,
      }),
    );
    const said = new Map<string, Member>();
    for (let i = 0; i < 45; i++) {
      const by = world.random.pick(stay);
      said.set(say(by, `news ${i}`), by);
      await world.run(2_000);
    }
    for (const churn of churns) churn.stop();
    expect(late.length).toBeGreaterThan(8);
    await world.run(60_000);
    expect(faults(stay, said)).toEqual([]);
    const present = late.filter(({ node }) => node.running);
    expect(present.length).toBeGreaterThan(0);
    expect(faults(present, said)).toEqual([]);
  });

  it("goes past those that take everything and hand on nothing, four of five", async () => {
    const world = newWorld();
    const all = await gather(world, 30, (index) =>
      member(world, {}, index < 6 ? undefined : (inner) => mute(inner)),
    );
    const good = all.slice(0, 6);
    const said = new Map<string, Member>();
    for (let i = 0; i < 20; i++) {
      const by = world.random.pick(good);
      said.set(say(by, `news ${i}`), by);
      await world.run(1_000);
    }
    await world.run(60_000);
    expect(faults(good, said)).toEqual([]);
  });

  it("has no neighbour that answers nothing, until it does again", async () => {
    const world = newWorld();
    let isMute = true;
    const alice = member(world);
    const bob = member(world, {}, (inner) => mute(inner, () => isMute));
    await world.during(bob.node.network.add(alice.node.address));
    await world.run(2_000);
    expect(alice.plugin.state?.active).toBe(1);
    await world.run(8_000);
    expect(alice.plugin.state?.active).toBe(0);
    isMute = false;
    await world.run(180_000);
    expect(alice.plugin.state?.active).toBe(1);
    say(alice, "welcome");
    await world.run(1_000);
    expect(bob.heard).toEqual(["welcome"]);
  });
});

describe("clocks", () => {
  const skewOf = (index: number, count: number): number =>
    (48 * index * HOUR_MS) / (count - 1) - 24 * HOUR_MS;

  it("a day wrong in either direction lock nobody out", async () => {
    const world = newWorld();
    const count = 13;
    const all = await gather(world, count, (index) =>
      member(world, { skewMs: skewOf(index, count) }),
    );
    const said = new Map<string, Member>();
    for (const [at, by] of all.entries()) said.set(say(by, `news ${at}`), by);
    await world.run(30_000);
    expect(faults(all, said)).toEqual([]);
    for (const { plugin } of all) expect(plugin.state?.active).toBeGreaterThan(0);
  });

  it("that jump make nothing be lost, or taken a second time", async () => {
    const world = newWorld();
    const all = await gather(world, 10, () => member(world));
    const said = new Map<string, Member>();
    const round = async (what: string): Promise<void> => {
      for (const [at, by] of all.entries()) said.set(say(by, `${what} ${at}`), by);
      await world.run(120_000);
    };
    await round("before");
    for (const [at, { node }] of all.entries())
      node.skewMs = at % 2 === 0 ? -24 * HOUR_MS : HOUR_MS;
    await round("after");
    for (const { node } of all) node.skewMs = 0;
    await round("set right");
    // Everybody meets everybody anew, and has what the others kept to offer.
    for (const [at, { node }] of all.entries()) {
      const other = all[(at + 3) % all.length] as Member;
      await world.during(node.network.add(other.node.address));
    }
    await world.run(120_000);
    expect(faults(all, said)).toEqual([]);
  });

  it("set back between two lives make nobody mute, and bring nothing back", async () => {
    const world = newWorld();
    const all = await gather(world, 8, () => member(world));
    const [first, second] = all as [Member, Member];
    const said = new Map<string, Member>();
    for (const by of [first, second]) said.set(say(by, `${by.node.name} before`), by);
    await world.run(5_000);
    const { identity, name } = second.node;
    const saved = second.plugin.save();
    second.node.kill();
    const again = member(world, { name, identity, skewMs: -20 * HOUR_MS, options: { saved } });
    await world.during(again.node.network.add(first.node.address));
    await world.run(5_000);
    said.set(say(again, "again"), again);
    said.set(say(first, "welcome back"), first);
    await world.run(60_000);
    expect(again.heard).toEqual(["welcome back"]);
    const others = all.filter((one) => one !== second);
    expect(faults(others, said)).toEqual([]);
  });
});
