import { commonPrefix, compareDistance } from "@testudo/plugins/kademlia/machines";
import { beforeAll, describe, expect, it } from "vitest";
import { KademliaModel, type ModelNode, pair } from "../../src/model/kademlia-model.ts";
import { Random } from "../../src/random.ts";

let model: KademliaModel;

beforeAll(() => {
  model = new KademliaModel({ nodes: 400, k: 4, s: 6, random: new Random("model") });
});

function byDistance(from: ModelNode): ModelNode[] {
  const others = model.nodes.filter((node) => node !== from);
  return others.sort((a, b) => compareDistance(from.nodeId, a.nodeId, b.nodeId));
}

describe("the model's tables", () => {
  it("hold min(k, population) of each bucket, and the s closest", () => {
    for (const self of [0, 57, 399].map((index) => model.nodes[index] as ModelNode)) {
      const sorted = byDistance(self);
      const table = model.table(self);
      expect(table.siblings(100)).toEqual(sorted.slice(0, 6));
      const held = [...table.values()].map(({ contact }) => contact);
      for (let prefix = 0; prefix < 256; prefix++) {
        const lies = (node: ModelNode): boolean =>
          commonPrefix(self.nodeId, node.nodeId) === prefix;
        const beyond = held.filter(lies).filter((node) => !sorted.slice(0, 6).includes(node));
        const population = sorted.filter(lies).length;
        expect(held.filter(lies).length).toBeGreaterThanOrEqual(Math.min(4, population));
        expect(beyond.length).toBeLessThanOrEqual(4);
      }
    }
  });

  it("are those of the seed", () => {
    const contents = (seed: string): string[] => {
      const small = new KademliaModel({ nodes: 60, k: 2, random: new Random(seed) });
      return small.nodes.map((node) =>
        [...small.table(node).values()].map(({ contact }) => contact.id).join(" "),
      );
    };
    expect(contents("a")).toEqual(contents("a"));
    expect(contents("a")).not.toEqual(contents("b"));
  });
});

describe("the model's lookups", () => {
  it("reach a sibling of the target over any number of paths while all are honest", () => {
    const random = new Random("lookups");
    for (let i = 0; i < 100; i++) {
      const [origin, target] = pair(model.nodes, random);
      const d = 1 + random.below(8);
      const asked: ModelNode[] = [];
      const outcome = model.lookup(origin, target.nodeId, { d }, (node, wanted) => {
        asked.push(node);
        return model.honest(node, wanted);
      });
      expect(outcome.reached).toBe(true);
      expect(outcome.queries).toBe(asked.length);
      expect(new Set(asked).size).toBe(asked.length);
      expect(asked).not.toContain(origin);
    }
  });

  it("find the true siblings of a target when they confirm", () => {
    const random = new Random("siblings");
    for (let i = 0; i < 20; i++) {
      const [origin, target] = pair(model.nodes, random);
      const how = { d: 4, confirm: true };
      const { closest } = model.lookup(origin, target.nodeId, how, (node, wanted) =>
        model.honest(node, wanted),
      );
      // An answer holds k of 4 contacts, so that four are sure to be named; the origin never asks itself.
      const wanted = [target, ...byDistance(target).filter((node) => node !== origin)];
      expect(closest.slice(0, 4)).toEqual(wanted.slice(0, 4));
    }
  });

  it("fail when all others let their paths die, after one query a path", () => {
    const [origin, target] = pair(model.nodes, new Random("dead"));
    const outcome = model.lookup(origin, target.nodeId, { d: 3 }, () => undefined);
    expect(outcome).toEqual({ reached: false, queries: 3, closest: [] });
  });

  it("have as many adversaries as asked for, and two honest nodes at least", () => {
    const random = new Random("divide");
    for (const [share, count] of [
      [0, 0],
      [0.25, 100],
      [1, 398],
    ] as const) {
      const { honest, hostile } = model.divide(share, random);
      expect(hostile.size).toBe(count);
      expect(honest.length).toBe(400 - count);
      expect(honest.some((node) => hostile.has(node))).toBe(false);
    }
  });
});
