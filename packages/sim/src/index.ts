/**
 * @testudo/sim: real networks and real plugins in one process, on virtual time.
 */

export { toCsv } from "./csv.ts";
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
