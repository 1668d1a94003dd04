/**
 * Host: one node's place in the simulated internet: its doors, its NAT, its connections, and whether it is
 * still there. It decides nothing about links or partitions.
 */

import type { Connection } from "@testudo/core";
import type { SimConnection } from "./connection.ts";
import type { Owner } from "./scheduler.ts";

/**
 * What stands between a node and those who dial it.
 * - `public`: everybody can.
 * - `full-cone`: everybody, while the node has a connection, or dialled somebody not long ago.
 * - `restricted`: those whom it dialled not long ago, unless they are `symmetric`.
 * - `symmetric`: nobody, and no `restricted` node can be told to expect it.
 * - `none`: nobody.
 */
export type Nat = "public" | "full-cone" | "restricted" | "symmetric" | "none";

export const NATS: readonly Nat[] = ["public", "full-cone", "restricted", "symmetric", "none"];

export type Accept = (connection: Connection) => void;

/** How long a hole in a NAT stays open without a connection through it. */
const HOLE_MS = 120_000;
/** Holes of one NAT; the oldest goes. */
const MAX_HOLES = 1_024;

export class Host implements Owner {
  readonly name: string;
  readonly group: string;
  readonly nat: Nat;
  /** Bytes per second of everything it sends together. */
  readonly bandwidth: number;
  /** By port. */
  readonly doors: Map<string, Accept> = new Map();
  readonly ends: Set<SimConnection> = new Set();
  /** Which part of a partition it is in. */
  part = 0;
  /** Its process is no more: nothing of it runs, and nobody answers. */
  over = false;
  /** The machine is no more either: not even a refusal comes. */
  gone = false;
  #sentUntil = 0;
  #dialledAt = Number.NEGATIVE_INFINITY;
  #holes: Map<string, number> | undefined;

  constructor(name: string, group: string, nat: Nat, bandwidth: number) {
    this.name = name;
    this.group = group;
    this.nat = nat;
    this.bandwidth = bandwidth;
  }

  /** When bytes handed over at `now` have left, behind all others. */
  sent(now: number, bytes: number): number {
    if (this.bandwidth === Number.POSITIVE_INFINITY) return now;
    this.#sentUntil = Math.max(now, this.#sentUntil) + (bytes / this.bandwidth) * 1_000;
    return this.#sentUntil;
  }

  /** It dials somebody, whether or not that succeeds. */
  dials(name: string, now: number): void {
    this.#dialledAt = now;
    if (this.nat !== "restricted") return;
    this.#holes ??= new Map();
    this.#holes.delete(name);
    this.#holes.set(name, now);
    if (this.#holes.size <= MAX_HOLES) return;
    for (const oldest of this.#holes.keys()) {
      this.#holes.delete(oldest);
      break;
    }
  }

  /** Whether a dial of `from` comes through. */
  admits(from: Host, now: number): boolean {
    switch (this.nat) {
      case "public":
        return true;
      case "full-cone":
        return this.ends.size > 0 || now - this.#dialledAt <= HOLE_MS;
      case "restricted": {
        if (from.nat === "symmetric") return false;
        const since = this.#holes?.get(from.name) ?? Number.NEGATIVE_INFINITY;
        return now - since <= HOLE_MS;
      }
      default:
        return false;
    }
  }
}
