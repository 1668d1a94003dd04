/**
 * Kademlia figures: figure 4 of S/Kademlia (k = 16) and figure 5 (k = 2d) on the Kademlia model. Success over
 * the share of adversaries, a curve for each number of disjoint paths; an adversary ends the path that asks it.
 *
 * The paper prints only curves. The reference values here are those of another model of the same experiment,
 * with 10,000 nodes and 10,000 lookups a cell (figure 5: 3,000). With other numbers of nodes nothing is
 * compared with them.
 */

import type { Plot, ScenarioContext, ScenarioResult, Verdict } from "../scenario.ts";
import { type Answer, KademliaModel, type ModelNode, pair } from "./kademlia-model.ts";
import { Work } from "./work.ts";

/** Percentages, as in the paper's figures. */
interface Cell {
  /** Adversaries among the nodes, in percent. */
  readonly f: number;
  readonly d: number;
  readonly k: number;
  /** Lookups that reached a node which holds the target among its siblings, in percent. */
  readonly success: number;
  /** Queries of one lookup, on average. */
  readonly queries: number;
}

export interface FigureOptions {
  /** Lookups of one cell. Default 10,000. */
  readonly lookups?: number;
  /** Shares of adversaries in percent. Default 0, 5, … 90. */
  readonly shares?: readonly number[];
}

interface Reference {
  readonly shares: readonly number[];
  /** By d. */
  readonly rows: ReadonlyMap<number, readonly number[]>;
  /** Points of percent. */
  readonly tolerance: number;
}

const REFERENCE_NODES = 10_000;
const SHARES: readonly number[] = Array.from({ length: 19 }, (_, i) => 5 * i);

const FIGURE_4: Reference = {
  shares: [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70],
  rows: new Map([
    [1, [100, 91.9, 84.8, 77.3, 68.7, 63.5, 56.9, 51.2, 45.4, 39.3, 35.0, 25.8, 17.2]],
    [2, [100, 99.4, 97.0, 94.2, 89.4, 84.7, 78.6, 72.7, 65.1, 59.2, 53.0, 39.4, 26.7]],
    [4, [100, 100, 99.9, 99.4, 98.5, 96.6, 93.7, 90.0, 85.6, 79.3, 73.1, 56.4, 40.4]],
    [8, [100, 100, 100, 100, 100, 99.8, 99.3, 98.6, 96.7, 93.9, 89.2, 75.8, 56.0]],
    [16, [100, 100, 100, 100, 100, 100, 100, 99.9, 99.8, 99.1, 97.9, 90.3, 72.9]],
  ]),
  tolerance: 2.5,
};

const FIGURE_5: Reference = {
  shares: [5, 10, 20, 30, 40, 50, 70],
  rows: new Map([
    [1, [84.2, 70.1, 48.3, 32.8, 18.9, 13.2, 4.4]],
    [2, [97.8, 93.6, 78.1, 60.8, 45.3, 28.8, 10.0]],
    [4, [100, 99.7, 96.9, 89.7, 76.1, 59.5, 26.7]],
    [8, [100, 100, 99.9, 99.1, 96.8, 89.6, 55.6]],
  ]),
  tolerance: 3.5,
};

/** Figure 4: k = 16 whatever the number of paths. Rejects with the signal's reason. */
export async function kademliaFigure4(
  context: ScenarioContext,
  { lookups = 10_000, shares = SHARES }: FigureOptions = {},
): Promise<ScenarioResult> {
  const paths = [1, 2, 4, 8, 16];
  const work = new Work(context, paths.length * shares.length * lookups);
  const model = modelFor(context, 16);
  const cells: Cell[] = [];
  for (const d of paths) {
    for (const f of shares) cells.push(await measure(model, { d, f, lookups, work }));
  }
  const verdicts = [
    ...compare(context, cells, FIGURE_4),
    ...bar(cells, 8, 20, "at least 99 %", (success) => success >= 99),
    ...bar(cells, 4, 20, "at least 97.5 %", (success) => success >= 97.5),
    ...bar(cells, 8, 50, "from 85 to 93 %", (success) => success >= 85 && success <= 93),
  ];
  return report("Lookups that succeed, k = 16", cells, verdicts);
}

/** Figure 5: k = 2d. Measures d = 1, 2 and 4 with k = 16, too, to compare. Rejects with the signal's reason. */
export async function kademliaFigure5(
  context: ScenarioContext,
  { lookups = 10_000, shares = SHARES }: FigureOptions = {},
): Promise<ScenarioResult> {
  const compared = FIGURE_5.shares.filter((f) => f >= 10 && shares.includes(f));
  const work = new Work(context, (4 * shares.length + 3 * compared.length) * lookups);
  const cells: Cell[] = [];
  const missed: string[] = [];
  const wide = modelFor(context, 16);
  for (const d of [1, 2, 4, 8]) {
    const model = d === 8 ? wide : modelFor(context, 2 * d);
    for (const f of shares) {
      const cell = await measure(model, { d, f, lookups, work });
      cells.push(cell);
      if (d === 8 || !compared.includes(f)) continue;
      const { success } = await measure(wide, { d, f, lookups, work });
      if (cell.success >= success) missed.push(`d=${d} f=${f}`);
    }
  }
  const text = "below k = 16 for d < 8 from 10 % adversaries on";
  const verdicts = [
    ...compare(context, cells, FIGURE_5),
    {
      text: missed.length === 0 ? text : `${text}: not ${missed.join(", ")}`,
      held: missed.length === 0,
    },
  ];
  return report("Lookups that succeed, k = 2d", cells, verdicts);
}

interface Measurement {
  readonly d: number;
  /** Percent. */
  readonly f: number;
  readonly lookups: number;
  readonly work: Work;
}

/** Draws the adversaries of one cell, and makes its lookups from honest nodes to honest nodes. */
async function measure(model: KademliaModel, { d, f, lookups, work }: Measurement): Promise<Cell> {
  const label = `d=${d} k=${model.k} f=${f} %`;
  const random = work.random(label);
  const { honest, hostile } = model.divide(f / 100, random);
  const conduct = (asked: ModelNode, target: Uint8Array): Answer | undefined =>
    hostile.has(asked) ? undefined : model.honest(asked, target);
  let reached = 0;
  let queries = 0;
  await work.each(lookups, label, () => {
    const [origin, target] = pair(honest, random);
    const outcome = model.lookup(origin, target.nodeId, { d }, conduct);
    if (outcome.reached) reached++;
    queries += outcome.queries;
  });
  return { f, d, k: model.k, success: (100 * reached) / lookups, queries: queries / lookups };
}

function modelFor({ nodes, random }: ScenarioContext, k: number): KademliaModel {
  return new KademliaModel({ nodes, k, random: random.fork(`tables of k=${k}`) });
}

function find(cells: readonly Cell[], d: number, f: number): Cell | undefined {
  return cells.find((cell) => cell.d === d && cell.f === f);
}

/** One verdict on a cell, none if it was not measured. */
function bar(
  cells: readonly Cell[],
  d: number,
  f: number,
  text: string,
  holds: (success: number) => boolean,
): Verdict[] {
  const cell = find(cells, d, f);
  if (cell === undefined) return [];
  const shown = `d=${d} at ${f} % adversaries: ${cell.success.toFixed(1)} %, wanted ${text}`;
  return [{ text: shown, held: holds(cell.success) }];
}

/** One verdict on all cells of the reference that were measured; it names the cell that is farthest off. */
function compare(
  context: ScenarioContext,
  cells: readonly Cell[],
  reference: Reference,
): Verdict[] {
  if (context.nodes !== REFERENCE_NODES) return [];
  let compared = 0;
  let worst = 0;
  let where = "";
  for (const [d, row] of reference.rows) {
    row.forEach((wanted, i) => {
      const cell = find(cells, d, reference.shares[i] ?? -1);
      if (cell === undefined) return;
      compared++;
      const off = cell.success - wanted;
      if (Math.abs(off) < Math.abs(worst)) return;
      worst = off;
      where = ` (d=${d} at ${cell.f} %: ${off.toFixed(1)})`;
    });
  }
  if (compared === 0) return [];
  const text = `${compared} cells within ${reference.tolerance} points of the reference${where}`;
  return [{ text, held: Math.abs(worst) <= reference.tolerance }];
}

function report(
  title: string,
  cells: readonly Cell[],
  verdicts: readonly Verdict[],
): ScenarioResult {
  const rows = cells.map(({ f, d, k, success, queries }) => [
    f,
    d,
    k,
    Number(success.toFixed(2)),
    Number(queries.toFixed(2)),
  ]);
  const names = new Map(cells.map(({ d, k }) => [d, `d=${d}, k=${k}`]));
  const plot: Plot = {
    title,
    x: { label: "adversaries, %", min: 0, max: 90 },
    y: { label: "success, %", min: 0, max: 100 },
    series: [...names].map(([path, name]) => ({
      name,
      points: cells.filter(({ d }) => d === path).map(({ f, success }) => [f, success] as const),
    })),
  };
  const table = { columns: ["f", "d", "k", "success", "queries"], rows };
  return { table, plots: [plot], verdicts };
}
