/**
 * @testudo/sim: real networks and real plugins in one process, on virtual time.
 */

export type { Churn, ChurnOptions } from "./churn.ts";
export { EPOCH_MS, settled, VirtualClock } from "./clock.ts";
export { toCsv } from "./csv.ts";
export type { Host, Nat } from "./host.ts";
export type { LinkRule, WorldCounters } from "./internet.ts";
export type { LinkOptions } from "./line.ts";
export { type NodeOptions, SimNode } from "./node.ts";
export { Random } from "./random.ts";
export {
  type Axis,
  defineScenario,
  type Plot,
  type Scenario,
  type ScenarioContext,
  type ScenarioResult,
  type Series,
  type Table,
  type Verdict,
} from "./scenario.ts";
export { type PictureOptions, toSvg } from "./svg.ts";
export { toText } from "./text-table.ts";
export { Trace, type TraceOptions } from "./trace.ts";
export { World, type WorldOptions } from "./world.ts";
