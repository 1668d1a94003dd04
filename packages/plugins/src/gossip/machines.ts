/**
 * The machines of gossip, without sockets, clocks or timers: for the plugin beside them, and for models of
 * many nodes.
 */

export { Census, type CensusOptions, type CensusOut } from "./census.ts";
export { Delegation, type DelegationOptions } from "./delegation.ts";
export { Flood, type FloodOptions } from "./flood.ts";
export {
  HyParView,
  type HyParViewOptions,
  type MembershipMessage,
  type MembershipOut,
} from "./hyparview.ts";
export { type Bound, type Entry, Ids } from "./ids.ts";
export { decodeRanges, encodeRanges } from "./messages.ts";
export { Author, Item, readItem } from "./origin.ts";
export {
  type Announcement,
  type Misdeed,
  Plumtree,
  type PlumtreeOptions,
  type TreeLimits,
  type TreeOut,
} from "./plumtree.ts";
export { answer, type Range, Reconciliation, type ReconciliationOptions } from "./reconcile.ts";
export { type Mark, Seen, type SeenOptions, type Verdict } from "./seen.ts";
export type { Spreading, SpreadingOut } from "./spreading.ts";
export { Window, type WindowOptions } from "./window.ts";
