/**
 * Churn: nodes that come and go. How long each stays, and how long its place is empty, is drawn from an
 * exponential distribution, as for arrivals that know nothing of each other.
 */

import type { SimNode } from "./node.ts";
import type { Random } from "./random.ts";

export interface ChurnOptions {
  /** Who takes part. Default: all that run now. */
  readonly nodes?: readonly SimNode[];
  /** How long a node stays on average, in milliseconds. */
  readonly meanUpMs: number;
  /** How long its place is empty on average. Default 0. */
  readonly meanDownMs?: number;
  /** How it leaves. Default: `kill`. */
  readonly how?: "stop" | "kill" | "vanish";
  /** Fills the place of one that left, and has the new one join; without it, or for `undefined`, the place stays empty. */
  readonly rejoin?: (left: SimNode) => SimNode | undefined;
}

export interface Churn {
  /** How many left so far, and how many came. */
  readonly left: number;
  readonly joined: number;
  /** Nobody leaves or comes any more. */
  stop(): void;
}

/** Who moves a churn on. */
export interface ChurnOwner {
  readonly random: Random;
  after(delayMs: number, callback: () => void): void;
}

export function startChurn(
  owner: ChurnOwner,
  options: ChurnOptions & { nodes: readonly SimNode[] },
): Churn {
  const { nodes, meanUpMs, meanDownMs = 0, how = "kill", rejoin } = options;
  if (!(meanUpMs > 0)) throw new RangeError("meanUpMs must be above 0");
  if (!(meanDownMs >= 0)) throw new RangeError("meanDownMs must be at least 0");
  const counts = { left: 0, joined: 0, on: true };
  const drawn = (meanMs: number): number => -meanMs * Math.log(1 - owner.random.next());
  const next = (meanMs: number, callback: () => void): void =>
    owner.after(drawn(meanMs), () => {
      if (counts.on) callback();
    });
  const stay = (node: SimNode): void => next(meanUpMs, () => leave(node));
  const leave = (node: SimNode): void => {
    if (!node.running) return;
    counts.left++;
    if (how !== "stop") node[how]();
    // One that cannot say goodbye in time is cut by its own bounds.
    else node.stop().catch(() => node.kill());
    next(meanDownMs, () => come(node));
  };
  const come = (left: SimNode): void => {
    const node = rejoin?.(left);
    if (node === undefined) return;
    counts.joined++;
    stay(node);
  };
  for (const node of nodes) stay(node);
  return {
    get left() {
      return counts.left;
    },
    get joined() {
      return counts.joined;
    },
    stop() {
      counts.on = false;
    },
  };
}
