/**
 * Work: a long computation in pieces, so that its progress shows and an interruption is heard.
 */

import type { Random } from "../random.ts";
import type { ScenarioContext } from "../scenario.ts";

/** Steps between two looks at the outside: some milliseconds. */
const PIECE = 250;

export class Work {
  readonly #context: ScenarioContext;
  readonly #total: number;
  #done = 0;

  /** `total`: steps in all. */
  constructor(context: ScenarioContext, total: number) {
    this.#context = context;
    this.#total = total;
  }

  /** A stream of random numbers of its own for one part. */
  random(label: string): Random {
    return this.#context.random.fork(label);
  }

  /** Makes so many steps. Rejects with the signal's reason. */
  async each(steps: number, what: string, step: () => void): Promise<void> {
    for (let left = steps; left > 0; left -= PIECE) {
      const piece = Math.min(left, PIECE);
      for (let i = 0; i < piece; i++) step();
      this.#done += piece;
      this.#context.progress(this.#done, this.#total, what);
      await this.#context.rest();
    }
  }
}
