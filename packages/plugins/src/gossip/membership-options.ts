/**
 * Membership options: what a HyParView machine is told once, and whom it talks to.
 */

import { MAX_SHUFFLED, type MembershipMessage } from "./membership-message.ts";

export interface MembershipOut {
  /** To a peer that is connected. */
  send(to: string, message: MembershipMessage): void;
  dial(to: string): void;
  /** No longer needed here; others may still use the connection. */
  release(to: string): void;
  /** A neighbour now. */
  up(peer: string): void;
  down(peer: string): void;
  /** It does more than its budget allows. */
  penalise?(peer: string, why: "flood"): void;
}

export interface HyParViewOptions {
  readonly self: string;
  /** A whole number in [0, bound). */
  readonly random: (bound: number) => number;
  readonly out: MembershipOut;
  /** Neighbours. Default 5. */
  readonly active?: number;
  /** Names kept beside them. Default 30. */
  readonly passive?: number;
  /** Steps of a random walk. Default 6. */
  readonly arwl?: number;
  /** At how many steps before its end a walk leaves the name in a passive view. Default 3. */
  readonly prwl?: number;
  /** Neighbours in a shuffle. Default 3. */
  readonly ka?: number;
  /** Passive names in a shuffle. Default 4. */
  readonly kp?: number;
  /** Default 10,000. */
  readonly dialTimeoutMs?: number;
  /** How long a request to be neighbours waits for its answer. Default 2,000. */
  readonly neighborTimeoutMs?: number;
  /** How long a walk's way back is remembered. Default 10,000. */
  readonly walkTimeoutMs?: number;
  /** Messages of one peer in a second; twice as many at once. Default 32. */
  readonly messagesPerSecond?: number;
  /** How often in a second somebody with high priority may displace another; eight times as often at once. Default 2. */
  readonly displacedPerSecond?: number;
  /** At most one neighbour of a group; `undefined`: of none. Default: nobody is of any. */
  readonly group?: (peer: string) => string | undefined;
  /** Places for neighbours that this node picked itself: others have them only until it did. Default 0; half of `active` is sensible. */
  readonly chosenAtLeast?: number;
  /** Whether a name is one that this node may pick: not whoever came by itself. Default: every name. */
  readonly isOurs?: (peer: string) => boolean;
}

export type MembershipSettings = Required<Omit<HyParViewOptions, "group">>;

/** With the defaults. Throws `RangeError` for sizes that make no sense. */
export function membershipOptions(options: HyParViewOptions): MembershipSettings {
  const all = {
    active: 5,
    passive: 30,
    arwl: 6,
    prwl: 3,
    ka: 3,
    kp: 4,
    dialTimeoutMs: 10_000,
    neighborTimeoutMs: 2_000,
    walkTimeoutMs: 10_000,
    messagesPerSecond: 32,
    displacedPerSecond: 2,
    chosenAtLeast: 0,
    isOurs: () => true,
    ...options,
  };
  whole(all.active, 1, "active");
  whole(all.passive, 1, "passive");
  whole(all.arwl, 1, "arwl");
  whole(all.prwl, 0, "prwl");
  whole(all.ka, 0, "ka");
  whole(all.kp, 0, "kp");
  whole(all.chosenAtLeast, 0, "chosenAtLeast");
  if (all.ka + all.kp >= MAX_SHUFFLED) throw new RangeError("ka + kp must be less than 32");
  if (all.chosenAtLeast > all.active) throw new RangeError("chosenAtLeast must fit into active");
  return all;
}

function whole(value: number, least: number, name: string): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(`${name} must be a whole number from ${least}`);
  }
}
