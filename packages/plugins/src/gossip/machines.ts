/**
 * The machines of gossip, without sockets, clocks or timers: for the plugin beside them, and for models of
 * many nodes.
 */

export {
  HyParView,
  type HyParViewOptions,
  type MembershipMessage,
  type MembershipOut,
} from "./hyparview.ts";
export {
  type Announcement,
  type Misdeed,
  Plumtree,
  type PlumtreeOptions,
  type TreeLimits,
  type TreeOut,
} from "./plumtree.ts";
