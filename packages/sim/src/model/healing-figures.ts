/**
 * Healing figures: what mass failure does to HyParView, and how fast it mends.
 *
 * Reliability is the part of the living that a flood over the links reaches. Cycle 0 is right after the
 * failure, when nobody has noticed.
 */

import type { ScenarioContext, ScenarioResult } from "../scenario.ts";
import { Cycles, joined, mean } from "./cycles.ts";
import type { MembershipModel } from "./membership-model.ts";

export interface HealingOptions {
  /** Parts of the nodes, in per cent. Default 10, 30, 50, 60, 70, 80, 90, 95. */
  readonly failed?: readonly number[];
  /** Cycles after the failure. Default 8. */
  readonly cycles?: number;
  /** Shuffle periods before it. Default 20. */
  readonly settle?: number;
}

/** These live on, and whoever has nobody left knows their addresses. */
const BOOTSTRAPS = [0, 1, 2];
/** Origins that one figure is the mean of. */
const ORIGINS = 20;

export async function hyparviewHealing(
  context: ScenarioContext,
  { failed = [10, 30, 50, 60, 70, 80, 90, 95], cycles = 8, settle = 20 }: HealingOptions = {},
): Promise<ScenarioResult> {
  const { nodes } = context;
  const work = new Cycles(context, 2 * failed.length * (settle + cycles));
  const heal = async (percent: number, bootstraps: readonly number[]): Promise<number[]> => {
    const what = `${percent} % fail`;
    const model = joined({ nodes, random: context.random.fork(`membership ${percent}`) });
    const random = context.random.fork(`failures ${percent}`);
    await work.each(settle, what, () => model.cycle());
    const mortal = model.living().filter((node) => !bootstraps.includes(node));
    model.kill(random.sample(mortal, Math.round((nodes * percent) / 100)));
    const reach = (): number => {
      const living = model.living();
      const shares = random.sample(living, ORIGINS).map((origin) => reached(model, origin));
      return Number(((100 * mean(shares)) / living.length).toFixed(2));
    };
    const reliabilities = [reach()];
    await work.each(cycles, what, () => {
      model.cycle();
      if (bootstraps.length > 0) model.rejoin(bootstraps);
      reliabilities.push(reach());
    });
    return reliabilities;
  };

  const rows: number[][] = [];
  const series: { name: string; points: [number, number][] }[] = [];
  const notes: string[] = [];
  const by = new Map<number, number[]>();
  for (const percent of failed) {
    const reliabilities = await heal(percent, BOOTSTRAPS);
    by.set(percent, reliabilities);
    reliabilities.forEach((reliability, cycle) => {
      rows.push([percent, cycle, reliability]);
    });
    series.push({ name: `${percent} %`, points: reliabilities.map((value, i) => [i, value]) });
    const alone = await heal(percent, []);
    notes.push(`${percent} %, without a bootstrap to ask: ${alone.join(", ")}`);
  }
  const bar = (percent: number, cycle: number, least: number) => {
    const best = Math.max(...(by.get(percent) ?? []).slice(1, cycle + 1));
    return {
      text: `after ${percent} % failed at least ${least} % within ${cycle} cycles: ${best}`,
      held: best >= least,
    };
  };
  const bars = [bar(80, 2, 100), bar(90, 3, 98), bar(90, 6, 99.5)];
  return {
    table: { columns: ["failed", "cycle", "reliability"], rows },
    plots: [
      {
        title: "HyParView after mass failure",
        x: { label: "cycles since" },
        y: { label: "reliability in %", min: 0, max: 100 },
        series,
      },
    ],
    verdicts: bars.filter((_, i) => by.has([80, 90, 90][i] ?? 0)),
    notes,
  };
}

function reached(model: MembershipModel, origin: number): number {
  return model.flood(origin).reached;
}
