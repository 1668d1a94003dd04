/**
 * The machines of S/Kademlia by themselves: no sockets, no clocks. The plugin drives them over a network,
 * the models of the simulator drive the very same code over nothing.
 */

export { type Acquaintance, type AnchorOptions, chooseAnchors, LASTING_MS } from "./anchors.ts";
export { SubnetCounts, subnetOf, subnetsOf } from "./diversity.ts";
export { Lookup, type LookupOptions, type Query } from "./lookup.ts";
export { Nearest } from "./nearest.ts";
export {
  type Contact,
  commonPrefix,
  compareDistance,
  leadingZeros,
  NODE_ID_BITS,
  NODE_ID_BYTES,
  nodeIdIn,
  nodeIdOf,
  Target,
} from "./node-id.ts";
export {
  DynamicSolver,
  type DynamicSolverOptions,
  KeySearch,
  type KeySearchOptions,
  type PuzzleClaim,
  SOLUTION_BYTES,
  staticBits,
  verifyPuzzle,
} from "./puzzle.ts";
export { Siblings } from "./siblings.ts";
export {
  decodeSnapshot,
  encodeSnapshot,
  MAX_ANCHORS,
  MAX_KEPT_RECORDS,
  type Snapshot,
} from "./snapshot.ts";
export { spread } from "./spread.ts";
export { type Insertion, RoutingTable, type RoutingTableOptions } from "./table.ts";
