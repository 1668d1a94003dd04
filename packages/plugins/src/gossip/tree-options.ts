/**
 * Tree options: what a Plumtree machine is told once, its limits, and whom it talks to.
 */

export interface Announcement {
  readonly id: string;
  /** At whoever reads it, would the payload come this way. */
  readonly hops: number;
}

/** `promise`: announced, grafted, never sent. `flood`: beyond its budget. `unwanted`: pushes on after being pruned. */
export type Misdeed = "promise" | "flood" | "unwanted";

export interface TreeOut<P> {
  /** Once for every message of others. */
  deliver(id: string, payload: P, from: string, hops: number): void;
  push(to: string, id: string, payload: P, hops: number): void;
  announce(to: string, entries: readonly Announcement[]): void;
  prune(to: string): void;
  /** `id`: send this payload too. */
  graft(to: string, id: string | undefined, hops: number): void;
  penalise?(peer: string, why: Misdeed): void;
}

export interface TreeLimits {
  /** Messages kept for those who graft. Default 4,096. */
  readonly messages: number;
  /** Bytes of them together, as `sizeOf` counts. Default 32 MiB. */
  readonly bytes: number;
  /** How long they are kept, in ms. Default 120,000. */
  readonly keepMs: number;
  /** Ids announced that have not come. Default 8,192. */
  readonly missing: number;
  /** Of these, first heard of from one peer. Default 2,048. */
  readonly missingPerPeer: number;
  /** Ids in one announcement; what is beyond is not read. Default 1,024. */
  readonly entries: number;
  /** Of one peer in a second, twice as many at once, as for the next three. Default 200. */
  readonly announcementsPerSecond: number;
  /** Default 5,000. */
  readonly idsPerSecond: number;
  /** Default 500. */
  readonly graftsPerSecond: number;
  /** Payload pushed although pruned. Default 100. */
  readonly unwantedPerSecond: number;
  /** How often one peer gets one payload by grafting. Default 3. */
  readonly copies: number;
}

export interface PlumtreeOptions<P> {
  readonly out: TreeOut<P>;
  /** How long an announced message may take to come by itself: the diameter's latency and more. */
  readonly timer1Ms: number;
  /** How long a graft waits for its payload: about a round trip and more. */
  readonly timer2Ms: number;
  /** Links that push to this node. Default 1. */
  readonly eagerLinks?: number;
  /** Swap for a link that is so many hops shorter; believes what announcers say. Default: never. */
  readonly optimise?: number;
  /** How long announcements are collected. Default 0: not at all. */
  readonly batchMs?: number;
  /**
   * Prune once in that many ms, and by the messages of one root that all nodes agree on (pruning.ts): for messages that
   * are under way together. Only with one eager link. Default: at once, by every duplicate, as in the paper.
   */
  readonly pruneEveryMs?: number;
  /**
   * A link that comes up beside a tree that is there (some links are eager, others were pruned) begins lazy, so that it
   * costs no duplicates; and who has no eager link asks for one. Default: every link begins eager, as in the paper.
   */
  readonly joinLazily?: boolean;
  /** Who said it: the least of them is the root. Default: every message has its own. */
  readonly rootOf?: (payload: P) => string;
  /** How long after a prune the same peer is not pruned again. Default 1,000. */
  readonly pruneBackoffMs?: number;
  /** Messages older than the ones kept here. Default: none is known. */
  readonly seen?: (id: string) => boolean;
  /** Bytes of a payload. Default: 0 for all. */
  readonly sizeOf?: (payload: P) => number;
  readonly limits?: Partial<TreeLimits>;
}

export const TREE_LIMITS: TreeLimits = {
  messages: 4096,
  bytes: 32 * 1024 * 1024,
  keepMs: 120_000,
  missing: 8192,
  missingPerPeer: 2048,
  entries: 1024,
  announcementsPerSecond: 200,
  idsPerSecond: 5000,
  graftsPerSecond: 500,
  unwantedPerSecond: 100,
  copies: 3,
};

/** Throws `RangeError` for times and counts that make no sense. */
export function checkTreeOptions(options: PlumtreeOptions<never>): void {
  atLeast(1, options.timer1Ms, "timer1Ms");
  atLeast(1, options.timer2Ms, "timer2Ms");
  atLeast(1, options.eagerLinks ?? 1, "eagerLinks");
  atLeast(1, options.optimise ?? 1, "optimise");
  atLeast(0, options.batchMs ?? 0, "batchMs");
  atLeast(1, options.pruneEveryMs ?? 1, "pruneEveryMs");
  atLeast(0, options.pruneBackoffMs ?? 0, "pruneBackoffMs");
  for (const [name, limit] of Object.entries(options.limits ?? {})) atLeast(1, limit, name);
}

function atLeast(least: number, value: number, name: string): void {
  if (!(value >= least)) throw new RangeError(`${name} must be a number from ${least}`);
}
