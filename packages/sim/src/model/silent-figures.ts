/**
 * Silent parents: nodes that take part in the tree, announce, and never send a payload.
 *
 * The tree is built while all are honest; then a fifth of the nodes, the sender not among them, goes silent.
 * Whoever announces and does not answer a graft is dismissed as a neighbour after the message. Added delay is
 * that of a delivery against the same node's delivery before, in hops' times. A node all of whose neighbours
 * are silent cannot be reached until it has others; what it missed is for reconciliation to bring.
 */

import { Random } from "../random.ts";
import type { ScenarioContext, ScenarioResult, Verdict } from "../scenario.ts";
import { Cycles, joined, quantile } from "./cycles.ts";
import { TreeModel } from "./tree-model.ts";

export interface SilentOptions {
  /** Messages after the parents went silent. Default 50. */
  readonly messages?: number;
  /** Messages before. Default 20. */
  readonly honest?: number;
  /** In per cent. Default 20. */
  readonly silent?: number;
  /** Shuffle periods before the first message. Default 20. */
  readonly settle?: number;
}

const HOP_MS = 10;
const TIMER_1_HOPS = 20;

export async function plumtreeSilentParents(
  context: ScenarioContext,
  { messages = 50, honest = 20, silent = 20, settle = 20 }: SilentOptions = {},
): Promise<ScenarioResult> {
  const { nodes } = context;
  const work = new Cycles(context, 2 * (settle + honest + messages));
  // The same draws for both, so that they differ in nothing but their links.
  const seeds = { membership: context.random.u32(), silent: context.random.u32() };
  const rows: (string | number)[][] = [];
  const verdicts: Verdict[] = [];
  const notes: string[] = [];
  const series: { name: string; points: [number, number][] }[] = [];
  for (const links of [1, 2]) {
    const at = new Float64Array(nodes);
    const blamed: [node: number, peer: number][] = [];
    const tree = new TreeModel({
      nodes,
      hopMs: HOP_MS,
      timer1Hops: TIMER_1_HOPS,
      eagerLinks: links,
      blamed: (node, peer) => blamed.push([node, peer]),
      delivered: (node, _hops, afterMs) => {
        at[node] = afterMs / HOP_MS;
      },
    });
    const model = joined({ nodes, random: new Random(seeds.membership) }, [tree]);
    const random = new Random(seeds.silent);
    await work.each(settle, "settling", () => model.cycle());
    const sender = random.below(nodes);
    const others = model.living().filter((node) => node !== sender);
    const quiet = new Set(random.sample(others, Math.round((nodes * silent) / 100)));
    let copies = 0;
    await work.each(honest, "honest", () => {
      tree.wait(60_000);
      copies = tree.broadcast(sender).payload;
    });
    const before = at.slice();
    tree.silence(quiet);
    const all: number[] = [];
    const behind: number[] = [];
    const best: number[] = [];
    const p99: number[] = [];
    const missed: number[] = [];
    let everybody = true;
    await work.each(messages, "silent", (message) => {
      tree.wait(60_000);
      at.fill(Number.NaN);
      const flood = floodHops(nodes, sender, (node) => model.links(node), quiet);
      const run = tree.broadcast(sender);
      const added: number[] = [];
      for (const node of others) {
        const arrived = at[node] ?? Number.NaN;
        if (Number.isNaN(arrived)) {
          everybody &&= flood[node] === -1;
          continue;
        }
        added.push(arrived - (before[node] ?? 0));
        behind.push(arrived - (flood[node] ?? 0));
        best.push((flood[node] ?? 0) - (before[node] ?? 0));
      }
      for (const one of added) all.push(one);
      p99.push(quantile(added, 0.99));
      missed.push(nodes - run.reached);
      rows.push([
        links,
        message + 1,
        Number(((100 * run.reached) / nodes).toFixed(3)),
        quantile(added, 0.5),
        quantile(added, 0.99),
        quantile(added, 1),
        run.payload,
        run.grafts,
      ]);
      for (const [node, peer] of blamed.splice(0)) model.dismiss(node, peer);
      model.cycle();
    });
    series.push({ name: `${links} eager`, points: p99.map((value, i) => [i + 1, value]) });
    const over = quantile(all, 0.99);
    // Near nodes have become silent: not even a flood is as quick as before, and the note says by how much.
    const least = quantile(best, 0.99);
    const most = links === 1 ? 2 * TIMER_1_HOPS : 1;
    verdicts.push(
      {
        text: `${links} eager: a message reaches everybody who has a neighbour that passes it on`,
        held: everybody,
      },
      {
        text: `${links} eager: and every node from the third message on`,
        held: missed.slice(2).every((count) => count === 0),
      },
      {
        text: `${links} eager: p99 of the added delay at most ${most} hops: ${over}`,
        held: over <= most,
      },
    );
    notes.push(
      `${links} eager: RMR ${(copies / (nodes - 1) - 1).toFixed(3)} when all are honest; first message after: ` +
        `p99 ${p99[0]} hops more (timer 1 is ${TIMER_1_HOPS}), ${missed[0]} nodes have silent neighbours only; ` +
        `against a flood past the same silent nodes p99 over all messages is ${quantile(behind, 0.99)} hops more; ` +
        `the p99 that such a flood itself adds is ${least} hops`,
    );
  }
  return {
    table: {
      columns: ["links", "message", "reliability", "p50", "p99", "max", "payload", "grafts"],
      rows,
    },
    plots: [
      {
        title: `Plumtree with ${silent} % silent parents`,
        x: { label: "message since" },
        y: { label: "p99 of the added delay, in hops" },
        series,
      },
    ],
    verdicts,
    notes,
  };
}

/** Hops of a flood over every link, past nodes that pass nothing on; -1: not reached. */
function floodHops(
  nodes: number,
  origin: number,
  links: (node: number) => readonly number[],
  silent: ReadonlySet<number>,
): Int32Array {
  const hops = new Int32Array(nodes).fill(-1);
  hops[origin] = 0;
  const order = [origin];
  for (const node of order) {
    if (silent.has(node)) continue;
    for (const peer of links(node)) {
      if (hops[peer] !== -1) continue;
      hops[peer] = (hops[node] ?? 0) + 1;
      order.push(peer);
    }
  }
  return hops;
}
