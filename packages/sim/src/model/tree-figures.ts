/**
 * Tree figures: Table 1 of Plumtree (Leitao, Pereira, Rodrigues, SRDS 2007), and its run with failures in
 * every cycle.
 */

import type { ScenarioContext, ScenarioResult, Verdict } from "../scenario.ts";
import { Cycles, isNear, joined, mean } from "./cycles.ts";
import { type BroadcastFigures, TreeModel } from "./tree-model.ts";

export interface CycleOptions {
  /** Cycles with one message each. */
  readonly cycles?: number;
  /** Of these, the first ones that the averages leave out. Default 50. */
  readonly warmUp?: number;
  /** Shuffle periods between the last join and the first message. Default 20. */
  readonly settle?: number;
}

/** From which message on the tree is to stand. */
const FIFTH = 4;

/** Default: 250 cycles. */
export async function plumtreeTable1(
  context: ScenarioContext,
  { cycles = 250, warmUp = 50, settle = 20 }: CycleOptions = {},
): Promise<ScenarioResult> {
  const { nodes } = context;
  const random = context.random.fork("senders");
  const strategies = [
    { name: "plumtree single sender", tree: new TreeModel({ nodes }), many: false },
    { name: "plumtree many senders", tree: new TreeModel({ nodes }), many: true },
    {
      name: "plumtree optimised many senders",
      tree: new TreeModel({ nodes, optimise: 7 }),
      many: true,
    },
  ].map((strategy) => ({ ...strategy, runs: [] as BroadcastFigures[] }));
  const model = joined(
    { nodes, random: context.random.fork("membership") },
    strategies.map(({ tree }) => tree),
  );
  const work = new Cycles(context, settle + cycles);
  await work.each(settle, "settling", () => model.cycle());
  const floods: { payload: number; lastHop: number; reached: number }[] = [];
  const single = random.below(nodes);
  await work.each(cycles, "broadcasting", () => {
    model.cycle();
    const sender = random.below(nodes);
    floods.push(model.flood(sender));
    for (const { tree, many, runs } of strategies) {
      tree.wait(60_000);
      runs.push(tree.broadcast(many ? sender : single));
    }
  });

  const average = (runs: readonly BroadcastFigures[], of: keyof BroadcastFigures): number =>
    Math.round(mean(runs.slice(warmUp).map((run) => run[of])));
  const flood = Math.round(mean(floods.slice(warmUp).map(({ payload }) => payload)));
  const rows: (string | number)[][] = [["eager flood", flood, 0, flood]];
  const verdicts: Verdict[] = [
    {
      text: `eager flood sends ${3.9984 * nodes} copies within 1 %: ${flood}`,
      held: isNear(flood, 3.9984 * nodes, 0.01),
    },
  ];
  const notes: string[] = [];
  for (const { name, runs } of strategies) {
    const payload = average(runs, "payload");
    const control = average(runs, "control");
    rows.push([name, payload, control, payload + control]);
    const redundancy = Math.max(
      ...runs.slice(FIFTH).map((run) => run.payload / Math.max(run.reached - 1, 1) - 1),
    );
    verdicts.push({
      text: `${name}: RMR at most 0.01 from the fifth message on: ${redundancy.toFixed(4)}`,
      held: redundancy <= 0.01,
    });
    if (!name.includes("optimised")) {
      verdicts.push({
        text: `${name}: ${2.999 * nodes} control messages within 5 %: ${control}`,
        held: isNear(control, 2.999 * nodes, 0.05),
      });
    }
    const all = runs.every((run) => run.reached === nodes);
    verdicts.push({ text: `${name}: every message reaches every node`, held: all });
    const hops = runs.slice(warmUp).map((run) => run.lastHop);
    notes.push(
      `${name}: last delivery hop ${Math.min(...hops)} to ${Math.max(...hops)}; ` +
        `${average(runs, "prunes")} prunes and ${average(runs, "grafts")} grafts a message`,
    );
    if (name === "plumtree single sender" && nodes === 10_000) {
      const held = hops.every((hop) => hop >= 8 && hop <= 10);
      verdicts.push({ text: "single sender: last delivery hop 8 to 10", held });
    }
  }
  notes.push(
    "The paper's optimised row has 38,976 control messages. Here a swap needs an announcement that is 7 hops",
    "shorter and comes before the payload; every hop takes the same time, so that few are.",
  );
  const plots = [
    {
      title: "Plumtree: payload copies beyond one for each node",
      x: { label: "message" },
      y: { label: "relative message redundancy", min: 0 },
      series: [
        { name: "eager flood", points: points(floods, (run) => run.payload / (nodes - 1) - 1) },
        ...strategies.map(({ name, runs }) => ({
          name,
          points: points(runs, (run) => run.payload / (nodes - 1) - 1),
        })),
      ],
    },
    {
      title: "Plumtree: hops of the last delivery",
      x: { label: "message" },
      y: { label: "hops", min: 0 },
      series: [
        { name: "eager flood", points: points(floods, (run) => run.lastHop) },
        ...strategies.map(({ name, runs }) => ({ name, points: points(runs, (r) => r.lastHop) })),
      ],
    },
  ];
  return {
    table: { columns: ["strategy", "payload", "control", "total"], rows },
    plots,
    verdicts,
    notes,
  };
}

/** Default: 100 cycles, in each of which one node in 200 dies, and a message goes out before anybody has noticed. */
export async function plumtreeFailures(
  context: ScenarioContext,
  { cycles = 100, settle = 20 }: CycleOptions = {},
): Promise<ScenarioResult> {
  const { nodes } = context;
  const random = context.random.fork("failures");
  const aCycle = Math.max(1, Math.round(nodes / 200));
  const tree: TreeModel = new TreeModel({ nodes, isAlive: (node) => model.isAlive(node) });
  const model = joined({ nodes, random: context.random.fork("membership") }, [tree]);
  const work = new Cycles(context, settle + cycles);
  await work.each(settle, "settling", () => {
    model.cycle();
    tree.wait(60_000);
    tree.broadcast(random.below(nodes));
  });
  const rows: number[][] = [];
  await work.each(cycles, "failing", (cycle) => {
    model.kill(random.sample(model.living(), aCycle));
    const living = model.living();
    tree.wait(60_000);
    const run = tree.broadcast(random.pick(living));
    const reliability = Number(((100 * run.reached) / living.length).toFixed(3));
    rows.push([cycle + 1, living.length, reliability, run.payload, run.control, run.lastHop]);
    model.cycle();
  });
  const reliabilities = rows.map((row) => row[2] ?? 0);
  const least = Math.min(...reliabilities);
  return {
    table: {
      columns: ["cycle", "living", "reliability", "payload", "control", "hops"],
      rows,
    },
    plots: [
      {
        title: `Plumtree with ${aCycle} failures in every cycle`,
        x: { label: "cycle" },
        y: { label: "reliability in %", min: 0, max: 100 },
        series: [{ name: "reliability", points: points(reliabilities, (value) => value) }],
      },
    ],
    verdicts: [
      { text: `every message reaches all who live: at least ${least} %`, held: least === 100 },
    ],
    notes: [`mean reliability ${mean(reliabilities).toFixed(4)} %`],
  };
}

function points<T>(runs: readonly T[], y: (run: T) => number): [number, number][] {
  return runs.map((run, index) => [index + 1, y(run)]);
}
