/**
 * Scenario: what one file of a simulation says, and what comes of it.
 *
 * A scenario file exports `scenario`, made by `defineScenario`. It draws all its randomness from the
 * context, so that the same seed gives the same result.
 */

import type { Random } from "./random.ts";

/** Rows for people and for CSV. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** One picture: curves over x. */
export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

export interface Axis {
  readonly label: string;
  /** Default: from the data. */
  readonly min?: number;
  readonly max?: number;
}

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A bar, and whether the figures hold it. */
export interface Verdict {
  readonly text: string;
  readonly held: boolean;
}

export interface ScenarioResult {
  readonly table: Table;
  readonly plots?: readonly Plot[];
  readonly verdicts?: readonly Verdict[];
  /** Further lines for people. */
  readonly notes?: readonly string[];
}

export interface ScenarioContext {
  readonly seed: number;
  /** How many nodes: as asked for, else the scenario's own number. */
  readonly nodes: number;
  /** From the seed. */
  readonly random: Random;
  /** Ends when the run is interrupted. */
  readonly signal: AbortSignal;
  /** For people who wait; may be called often. */
  progress(done: number, total: number, what?: string): void;
  /**
   * Lets the process hear of signals; rejects when the run was interrupted. To be awaited now and then in a
   * long calculation; where a `World` runs, it does so by itself.
   */
  rest(): Promise<void>;
}

export interface Scenario {
  /** Kebab-case; names the files of its results. */
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  readonly nodes: number;
  run(context: ScenarioContext): ScenarioResult | Promise<ScenarioResult>;
}

/** Throws `TypeError` or `RangeError`, naming the field, for what is no scenario. */
export function defineScenario(scenario: Scenario): Scenario {
  if (typeof scenario.name !== "string" || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(scenario.name)) {
    throw new TypeError("scenario.name must be words of a-z and 0-9 joined by hyphens");
  }
  if (typeof scenario.about !== "string" || scenario.about === "") {
    throw new TypeError("scenario.about must be a sentence");
  }
  if (!Number.isInteger(scenario.nodes) || scenario.nodes < 1) {
    throw new RangeError("scenario.nodes must be a whole number from 1");
  }
  if (typeof scenario.run !== "function") throw new TypeError("scenario.run must be a function");
  return scenario;
}
