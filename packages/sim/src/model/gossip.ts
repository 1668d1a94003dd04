/**
 * The models of gossip and their experiments, for scenario files.
 */

export { type HealingOptions, hyparviewHealing } from "./healing-figures.ts";
export {
  type FloodFigures,
  MembershipModel,
  type MembershipModelOptions,
} from "./membership-model.ts";
export { broadcastModes } from "./mode-figures.ts";
export { plumtreeSilentParents, type SilentOptions } from "./silent-figures.ts";
export { type CycleOptions, plumtreeFailures, plumtreeTable1 } from "./tree-figures.ts";
export { type BroadcastFigures, TreeModel, type TreeModelOptions } from "./tree-model.ts";
