/**
 * Active view: a node's neighbours, and who of those that ask becomes one.
 *
 * At most one of a group; so many places are kept for the chosen, whom this node picked itself; whoever asks
 * with urgency displaces another, but only so often.
 */

import { Budget } from "./budget.ts";
import type { MembershipSettings } from "./membership-options.ts";
import { Names } from "./names.ts";

type Group = ((peer: string) => string | undefined) | undefined;

export class ActiveView {
  readonly names: Names;
  readonly chosen: Set<string> = new Set();
  readonly #places: number;
  readonly #chosenAtLeast: number;
  readonly #displacements: Budget;
  readonly #group: Group;

  constructor(settings: MembershipSettings, group: Group) {
    const { active, random, chosenAtLeast, displacedPerSecond } = settings;
    this.names = new Names(active, random);
    this.#places = active;
    this.#chosenAtLeast = chosenAtLeast;
    this.#displacements = new Budget(displacedPerSecond, 8 * displacedPerSecond);
    this.#group = group;
  }

  get size(): number {
    return this.names.size;
  }

  get free(): number {
    return this.#places - this.names.size;
  }

  has(peer: string): boolean {
    return this.names.has(peer);
  }

  add(peer: string, chosen: boolean): void {
    this.names.add(peer);
    if (chosen) this.chosen.add(peer);
  }

  delete(peer: string): boolean {
    this.chosen.delete(peer);
    return this.names.delete(peer);
  }

  groupIsFree(peer: string): boolean {
    const group = this.#group?.(peer);
    if (group === undefined) return true;
    for (const other of this.names.all) if (this.#group?.(other) === group) return false;
    return true;
  }

  /** Who must go for `peer` to come in: `undefined` for nobody, false when it may not. */
  roomFor(peer: string, urgent: boolean, chosen: boolean, now: number): string | undefined | false {
    if (!this.groupIsFree(peer)) return false;
    const strangers = this.size - this.chosen.size;
    const crowded = !chosen && strangers >= this.#places - this.#chosenAtLeast;
    if (!crowded && this.free > 0) return undefined;
    if (!urgent || !(chosen || this.#displacements.take("", now))) return false;
    if (!crowded && this.chosen.size > this.#chosenAtLeast) return this.names.any() ?? false;
    // Of the chosen only when none of the others is left, and for another chosen one.
    const stranger = this.names.anyThat((name) => !this.chosen.has(name));
    return stranger ?? (chosen ? this.names.any() : undefined) ?? false;
  }
}
