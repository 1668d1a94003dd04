/**
 * Kademlia collusion: adversaries that work together, beyond what the paper measured. Reported, not judged.
 *
 * - `silent`: as in the figures, an adversary ends the path that asks it.
 * - `colluding`: adversaries answer with each other only, closest first, so that a path stays among them.
 * - `key`: the same, while looking for the siblings of a key that is no node's id.
 * - `ground`: and 20 more of them have ids made for that key, closer to it than any honest node.
 */

import { Nearest, nodeIdIn } from "@testudo/plugins/kademlia/machines";
import type { Random } from "../random.ts";
import type { ScenarioContext, ScenarioResult } from "../scenario.ts";
import { type Answer, KademliaModel, type ModelNode, pair } from "./kademlia-model.ts";
import { Work } from "./work.ts";

const MODES = ["silent", "colluding", "key", "ground"] as const;
type Mode = (typeof MODES)[number];

export interface CollusionOptions {
  /** Lookups of one cell. Default 2,000. */
  readonly lookups?: number;
  /** Shares of adversaries in percent. Default 5, 10, 20, 30, 40, 50. */
  readonly shares?: readonly number[];
  /** Numbers of paths. Default 1, 4, 8. */
  readonly paths?: readonly number[];
  /** Ids made for each key. Default 20. */
  readonly ground?: number;
}

interface Cell {
  readonly mode: Mode;
  readonly d: number;
  /** Percent. */
  readonly f: number;
  readonly success: number;
  readonly queries: number;
  readonly honest: number;
}

/**
 * k = 16. Columns: `success`, lookups that reached an honest node near the target, in percent; `queries` of one
 * lookup, confirmations included; `honest`, honest nodes among the closest 16 that answered, on average.
 */
export async function kademliaColluding(
  context: ScenarioContext,
  {
    lookups = 2_000,
    shares = [5, 10, 20, 30, 40, 50],
    paths = [1, 4, 8],
    ground = 20,
  }: CollusionOptions = {},
): Promise<ScenarioResult> {
  const work = new Work(context, MODES.length * paths.length * shares.length * lookups);
  const { nodes, random } = context;
  const model = new KademliaModel({ nodes, k: 16, random: random.fork("tables") });
  const cells: Cell[] = [];
  for (const mode of MODES) {
    for (const d of paths) {
      for (const f of shares) {
        const label = `${mode} d=${d} f=${f} %`;
        const trial = new Trial(model, { mode, share: f / 100, ground }, work.random(label));
        await work.each(lookups, label, () => trial.run(d));
        cells.push({ mode, d, f, ...trial.figures(lookups) });
      }
    }
  }
  return {
    table: {
      columns: ["mode", "f", "d", "k", "success", "queries", "honest"],
      rows: cells.map(({ mode, f, d, success, queries, honest }) => [
        mode,
        f,
        d,
        model.k,
        round(success),
        round(queries),
        round(honest),
      ]),
    },
    plots: paths.map((d) => ({
      title: `Lookups that succeed against adversaries that collude, d=${d}, k=16`,
      x: { label: "adversaries, %", min: 0, max: 50 },
      y: { label: "success, %", min: 0, max: 100 },
      series: MODES.map((mode) => ({
        name: mode,
        points: cells
          .filter((cell) => cell.mode === mode && cell.d === d)
          .map(({ f, success }) => [f, success] as const),
      })),
    })),
  };
}

function round(value: number): number {
  return Number(value.toFixed(2));
}

/** One draw of adversaries, and the lookups among them. */
class Trial {
  readonly #model: KademliaModel;
  readonly #mode: Mode;
  readonly #ground: number;
  readonly #random: Random;
  readonly #honest: ModelNode[];
  readonly #hostile: Set<ModelNode>;
  #reached = 0;
  #queries = 0;
  #stored = 0;

  constructor(
    model: KademliaModel,
    { mode, share, ground }: { mode: Mode; share: number; ground: number },
    random: Random,
  ) {
    const { honest, hostile } = model.divide(share, random);
    this.#model = model;
    this.#mode = mode;
    this.#ground = mode === "ground" ? ground : 0;
    this.#random = random;
    this.#honest = honest;
    this.#hostile = hostile;
  }

  figures(lookups: number): { success: number; queries: number; honest: number } {
    return {
      success: (100 * this.#reached) / lookups,
      queries: this.#queries / lookups,
      honest: this.#stored / lookups,
    };
  }

  run(d: number): void {
    const random = this.#random;
    const [origin, node] = pair(this.#honest, random);
    const key = this.#mode === "key" || this.#mode === "ground";
    const target = key ? random.bytes(32) : node.nodeId;
    const made = this.#made(target);
    // Every adversary gives the same answer: it is made once.
    let among: Answer | undefined;
    const outcome = this.#model.lookup(origin, target, { d, confirm: true }, (asked) => {
      if (!this.#hostile.has(asked) && !made.includes(asked)) {
        return this.#withMade(asked, target, made);
      }
      if (this.#mode === "silent") return undefined;
      among ??= { contacts: this.#accomplices(target, made), terminal: false };
      return among;
    });
    if (outcome.reached) this.#reached++;
    this.#queries += outcome.queries;
    for (const found of outcome.closest) {
      if (!this.#hostile.has(found) && !made.includes(found)) this.#stored++;
    }
  }

  /** Ids that share 20 bits with the target, or ten more than its honest neighbours do. */
  #made(target: Uint8Array): ModelNode[] {
    const near = Math.max(20, Math.ceil(Math.log2(this.#model.nodes.length)) + 10);
    const random = (bound: number): number => this.#random.below(bound);
    return Array.from({ length: this.#ground }, (_, i) => {
      const nodeId = nodeIdIn(target, near + this.#random.below(4), random);
      return { id: `made${i}`, nodeId, index: -1 };
    });
  }

  /** An honest node near the target has the ids made for it among its siblings: they are valid. */
  #withMade(asked: ModelNode, target: Uint8Array, made: readonly ModelNode[]): Answer {
    const answer = this.#model.honest(asked, target);
    if (made.length === 0 || !answer.terminal) return answer;
    const nearest = new Nearest<ModelNode>(target, this.#model.k);
    for (const contact of answer.contacts) nearest.offer(contact);
    for (const contact of made) nearest.offer(contact);
    return { contacts: [...nearest.items], terminal: true };
  }

  #accomplices(target: Uint8Array, made: readonly ModelNode[]): ModelNode[] {
    const nearest = new Nearest<ModelNode>(target, this.#model.k);
    for (const contact of this.#hostile) nearest.offer(contact);
    for (const contact of made) nearest.offer(contact);
    return [...nearest.items];
  }
}
