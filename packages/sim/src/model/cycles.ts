/**
 * Cycles: a long run of few and heavy steps, so that its progress shows and an interruption is heard.
 */

import { settled } from "../clock.ts";
import type { ScenarioContext } from "../scenario.ts";
import { MembershipModel, type MembershipModelOptions } from "./membership-model.ts";
import type { TreeModel } from "./tree-model.ts";

export class Cycles {
  readonly #context: ScenarioContext;
  readonly #total: number;
  #done = 0;

  constructor(context: ScenarioContext, total: number) {
    this.#context = context;
    this.#total = total;
  }

  /** Rejects with the signal's reason. */
  async each(count: number, what: string, step: (index: number) => void): Promise<void> {
    for (let index = 0; index < count; index++) {
      step(index);
      this.#context.progress(++this.#done, this.#total, what);
      await settled();
      this.#context.signal.throwIfAborted();
    }
  }
}

/** Everybody joins one after the other; the links carry the trees. */
export function joined(
  options: Omit<MembershipModelOptions, "up" | "down">,
  trees: readonly TreeModel[] = [],
): MembershipModel {
  const model = new MembershipModel({
    ...options,
    up: (node, peer) => {
      for (const tree of trees) tree.up(node, peer);
    },
    down: (node, peer) => {
      for (const tree of trees) tree.down(node, peer);
    },
  });
  model.joinAll();
  return model;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}

/** `share` of them are at most this. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

export function isNear(value: number, wanted: number, tolerance: number): boolean {
  return Math.abs(value - wanted) <= tolerance * wanted;
}
