/** Gossip over a tree in which two links push to every node: all honest, and with a parent that hands nothing on. */

import { type Delivery, defineMessage, type Plugin, text } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";
import { type SimNode, World } from "@testudo/sim";
import { describe, expect, it, onTestFinished } from "vitest";
import { PushMessage } from "../../packages/plugins/src/gossip/messages.ts";
import { readItem } from "../../packages/plugins/src/gossip/origin.ts";

const News = defineMessage({ name: "news", opcode: 1_000, codec: text, reach: "network" });
const COUNT = 12;
/** Nobody reconciles by the clock here: what arrives came over the tree. */
const RECONCILE_MS = 86_400_000;
const GRAFT_AFTER_MS = 1_000;
const NOTHING: Delivery = { queued: 0, report: async () => ({ sent: [], failed: [] }) };

interface Member {
  readonly node: SimNode;
  readonly heard: string[];
  /** How long after it was said each arrived, ms. */
  readonly delays: number[];
  /** Whom each message came from first. */
  readonly parents: string[];
  /** Takes messages, announces them, and sends none of them. */
  isSilent: boolean;
}

class Forest {
  readonly world: World;
  readonly members: Member[] = [];
  /** Copies of news that came in, anywhere. */
  pushes = 0;
  #saidAt = 0;
  #count = 0;

  private constructor(seed: number) {
    this.world = new World({ seed, link: { latencyMs: 20, jitterMs: 20 } });
  }

  static async grow(eagerLinks: number, seed = 1): Promise<Forest> {
    const forest = new Forest(seed);
    onTestFinished(() => forest.world.close());
    for (let i = 0; i < COUNT; i++) {
      const one = forest.#member(eagerLinks);
      const other = forest.members[forest.world.random.below(Math.max(1, i))];
      if (other !== undefined) {
        await forest.world.during(one.node.network.add(other.node.address));
      }
      forest.members.push(one);
    }
    await forest.world.run(90_000);
    return forest;
  }

  /** News from the first, one after the other. Returns what was said. */
  async say(count: number): Promise<string[]> {
    const said: string[] = [];
    for (let i = 0; i < count; i++) {
      const what = `news ${this.#count++}`;
      said.push(what);
      this.#saidAt = this.world.now;
      this.members[0]?.node.network.broadcast(News.of(what));
      await this.world.run(5_000);
    }
    return said;
  }

  /** News from each, in one moment. */
  sayAtOnce(): string[] {
    return this.members.map(({ node }, at) => {
      node.network.broadcast(News.of(`at once ${at}`));
      return `at once ${at}`;
    });
  }

  forgetDelays(): void {
    for (const { delays } of this.members) delays.length = 0;
  }

  /** Whom most others have had the last message from. */
  get parent(): Member {
    const children = (member: Member): number =>
      this.others.filter(({ parents }) => parents.at(-1) === member.node.network.id.text).length;
    const [first] = this.others.toSorted((a, b) => children(b) - children(a));
    expect(children(first as Member)).toBeGreaterThan(1);
    return first as Member;
  }

  /** All but who speaks. */
  get others(): Member[] {
    return this.members.slice(1);
  }

  #member(eagerLinks: number): Member {
    const witness: Plugin = {
      name: "witness",
      newMessage: ({ message, peer }) => {
        const push = message.as(PushMessage);
        // Beacons are pushed, too.
        if (push !== undefined && readItem(push.item).opcode === News.opcode) this.pushes++;
        const news = message.as(News);
        if (news === undefined) return;
        member.heard.push(news);
        member.delays.push(this.world.now - this.#saidAt);
        member.parents.push(peer.id.text);
      },
    };
    const plugin = gossip({
      eagerLinks,
      reconcileMs: RECONCILE_MS,
      graftAfterMs: GRAFT_AFTER_MS,
      pruneEveryMs: 1_000,
    });
    const node = this.world.add({ plugins: [plugin, witness] });
    const member: Member = {
      node,
      heard: [],
      delays: [],
      parents: [],
      isSilent: false,
    };
    const { network } = node;
    const broadcast = network.broadcast.bind(network);
    network.broadcast = (message, ...peers) =>
      member.isSilent && message.opcode === PushMessage.opcode
        ? NOTHING
        : broadcast(message, ...peers);
    return member;
  }
}

function expectOnce({ members }: Forest, said: readonly string[]): void {
  const lacking = members.slice(1).map(({ heard }) => said.filter((what) => !heard.includes(what)));
  expect(lacking.flat()).toEqual([]);
  for (const { heard } of members) expect(new Set(heard).size).toBe(heard.length);
}

describe("a tree of two links to each", () => {
  it("delivers everything once, whoever says it, for two copies and not for more", async () => {
    const forest = await Forest.grow(2);
    const said = await forest.say(20);
    expectOnce(forest, said);
    const all = forest.sayAtOnce();
    await forest.world.run(10_000);
    for (const [at, { heard }] of forest.members.entries()) {
      const others = all.filter((_, by) => by !== at);
      expect(heard.slice(at === 0 ? 0 : said.length).toSorted()).toEqual(others.toSorted());
    }
    const before = forest.pushes;
    await forest.say(10);
    const copies = (forest.pushes - before) / 10 / (COUNT - 1);
    expect(copies).toBeGreaterThan(1.5);
    expect(copies).toBeLessThan(2.5);
  });

  it("loses nothing by a parent that hands nothing on, and hardly ever waits for it", async () => {
    let [ofOne, ofTwo] = [0, 0];
    for (const seed of [1, 2, 3]) {
      ofOne += await lateBySilence(await Forest.grow(1, seed));
      ofTwo += await lateBySilence(await Forest.grow(2, seed));
    }
    expect(ofOne).toBeGreaterThan(10);
    // Two of them may have each other for their second link.
    expect(ofTwo).toBeLessThan(ofOne / 5);
  });
});

/** How many deliveries waited for a graft because a parent fell silent; nothing is lost. */
async function lateBySilence(forest: Forest): Promise<number> {
  const said = await forest.say(10);
  forest.parent.isSilent = true;
  forest.forgetDelays();
  said.push(...(await forest.say(20)));
  expectOnce(forest, said);
  return forest.others.flatMap(({ delays }) => delays).filter((ms) => ms >= GRAFT_AFTER_MS).length;
}
