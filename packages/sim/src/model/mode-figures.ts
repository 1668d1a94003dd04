/**
 * Mode figures: flood, Plumtree and delegation along Kademlia's buckets on the same number of nodes, while
 * all live and right after some died.
 *
 * Flood and tree run over HyParView's links; delegation over buckets filled as a routing table fills them,
 * each with up to `PER_BUCKET` nodes by chance. Nobody repairs in between; the tree's own repair is part of it.
 */

import { Delegation } from "@testudo/plugins/gossip/machines";
import type { Random } from "../random.ts";
import type { ScenarioContext, ScenarioResult } from "../scenario.ts";
import { Cycles, joined, mean } from "./cycles.ts";
import { TreeModel } from "./tree-model.ts";

const PER_BUCKET = 16;
const MESSAGES = 20;
const FAILED = 20;

interface Run {
  readonly reached: number;
  readonly payload: number;
  readonly control: number;
  readonly lastHop: number;
}

export async function broadcastModes(context: ScenarioContext): Promise<ScenarioResult> {
  const { nodes } = context;
  const random = context.random.fork("modes");
  const dead = new Set<number>();
  const isAlive = (node: number): boolean => !dead.has(node);
  const trees = [1, 2].map((eagerLinks) => new TreeModel({ nodes, eagerLinks, isAlive }));
  const model = joined({ nodes, random: context.random.fork("membership") }, trees);
  const work = new Cycles(context, 20 + 5 * 2 * MESSAGES);
  await work.each(20, "settling", () => model.cycle());
  const places = placesOf(nodes, random);
  const modes: { name: string; links: number; run(origin: number): Run }[] = [
    { name: "flood", links: 5, run: (origin) => ({ ...model.flood(origin), control: 0 }) },
    ...trees.map((tree, i) => ({
      name: i === 0 ? "plumtree" : "plumtree robust",
      links: 5,
      run: (origin: number): Run => {
        tree.wait(60_000);
        return tree.broadcast(origin);
      },
    })),
  ];
  for (const copies of [1, 2]) {
    const buckets = new BucketModel(places, copies, isAlive, random);
    modes.push({
      name: `delegation to ${copies}`,
      links: buckets.linksOfOne,
      run: (origin) => buckets.broadcast(origin),
    });
  }
  const rows: (string | number)[][] = [];
  for (const failed of [0, FAILED]) {
    for (const node of random.sample(model.living(), Math.round((nodes * failed) / 100))) {
      dead.add(node);
      model.kill([node]);
    }
    const living = model.living();
    for (const { name, links, run } of modes) {
      const runs: Run[] = [];
      await work.each(MESSAGES, name, () => void runs.push(run(random.pick(living))));
      const last = runs.slice(MESSAGES / 2);
      const share = mean(runs.map(({ reached }) => reached)) / living.length;
      rows.push([
        name,
        failed,
        Number(links.toFixed(1)),
        Number((100 * share).toFixed(2)),
        Math.round(mean(last.map(({ payload }) => payload))),
        Math.round(mean(last.map(({ control }) => control))),
        Math.max(...runs.map(({ lastHop }) => lastHop)),
      ]);
    }
  }
  const modesOf = (failed: number): [number, number][] =>
    rows.filter((row) => row[1] === failed).map((row, at) => [at, Number(row[3])]);
  return {
    table: {
      columns: ["mode", "failed", "links", "reliability", "payload", "control", "hops"],
      rows,
    },
    plots: [
      {
        title: `Reach of ${modes.map(({ name }) => name).join(", ")}`,
        x: { label: "mode" },
        y: { label: "reliability in %", min: 0, max: 100 },
        series: [0, FAILED].map((failed) => ({
          name: `${failed} % failed`,
          points: modesOf(failed),
        })),
      },
    ],
    notes: ["Payload and control are means of the later half of the messages; hops is the most."],
  };
}

/** Random places, in order. */
function placesOf(nodes: number, random: Random): Uint8Array[] {
  const places = Array.from({ length: nodes }, () => random.bytes(32));
  return places.sort((a, b) => {
    for (let i = 0; i < 32; i++) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
    return 0;
  });
}

/** Delegation machines over buckets. */
class BucketModel {
  readonly linksOfOne: number;
  readonly #machines: Delegation<null>[];
  readonly #isAlive: (node: number) => boolean;
  #parcels: { to: number; from: number; depth: number; hops: number }[] = [];
  #hops = 0;
  #sent = 0;
  #reached = 0;

  constructor(
    places: readonly Uint8Array[],
    copies: number,
    isAlive: (node: number) => boolean,
    random: Random,
  ) {
    this.#isAlive = isAlive;
    let links = 0;
    this.#machines = places.map((self, node) => {
      const machine = new Delegation<null>({
        self,
        copies,
        maxIds: 4,
        nodeIdOf: (peer) => places[Number(peer)],
        random: (bound) => random.below(bound),
        out: {
          deliver: () => this.#reached++,
          push: (to, _id, _payload, depth) => {
            this.#parcels.push({ to: Number(to), from: node, depth, hops: this.#hops + 1 });
          },
        },
      });
      for (const [first, end] of bucketsOf(places, node)) {
        const there = Math.min(PER_BUCKET, end - first);
        const chosen = new Set<number>();
        while (chosen.size < there) chosen.add(first + random.below(end - first));
        for (const peer of chosen) machine.up(String(peer));
        links += there;
      }
      return machine;
    });
    this.linksOfOne = links / places.length;
  }

  broadcast(origin: number): Run {
    this.#reached = 1;
    this.#hops = 0;
    this.#parcels = [];
    const id = `d${this.#sent++}`;
    this.#machines[origin]?.broadcast(id, null, 0);
    for (const { to, from, depth, hops } of this.#parcels) {
      if (!this.#isAlive(to)) continue;
      this.#hops = hops;
      this.#machines[to]?.receivePush(String(from), id, null, depth, 0);
    }
    const payload = this.#parcels.length;
    return { reached: this.#reached, payload, control: 0, lastHop: this.#hops };
  }
}

/** Of `node` among places in order: for every number of shared bits, where those that share no more lie. */
function* bucketsOf(places: readonly Uint8Array[], node: number): Generator<[number, number]> {
  const bit = (at: number, depth: number): number =>
    ((places[at]?.[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1;
  let first = 0;
  let end = places.length;
  for (let depth = 0; depth < 256 && end - first > 1; depth++) {
    let middle = first;
    let high = end;
    while (middle < high) {
      const at = (middle + high) >> 1;
      if (bit(at, depth) === 0) middle = at + 1;
      else high = at;
    }
    const [from, to] = node < middle ? [middle, end] : [first, middle];
    if (to > from) yield [from, to];
    if (node < middle) end = middle;
    else first = middle;
  }
}
