/**
 * Active view: a node's neighbours, and who of those that ask becomes one.
 *
 * At most one of a group; so many places are for the chosen, whom this node picked itself, and who displace others
 * there; whoever asks with urgency displaces another, too, but only so often.
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
  readonly #isOurs: (peer: string) => boolean;

  constructor(settings: MembershipSettings, group: Group) {
    const { active, random, chosenAtLeast, displacedPerSecond, isOurs } = settings;
    this.names = new Names(active, random);
    this.#places = active;
    this.#chosenAtLeast = chosenAtLeast;
    this.#displacements = new Budget(displacedPerSecond, 8 * displacedPerSecond);
    this.#group = group;
    this.#isOurs = isOurs;
  }

  get size(): number {
    return this.names.size;
  }

  get free(): number {
    return this.#places - this.names.size;
  }

  /** With what this node should ask one of its own choice to take a stranger's place: urgently while it chose nobody. */
  get claim(): "reunion" | "fill" | undefined {
    if (this.free > 0 || this.chosen.size >= this.#chosenAtLeast) return undefined;
    return this.chosen.size === 0 ? "reunion" : "fill";
  }

  has(peer: string): boolean {
    return this.names.has(peer);
  }

  add(peer: string, chosen: boolean): void {
    this.names.add(peer);
    if (chosen && this.#isOurs(peer)) this.chosen.add(peer);
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
    if (this.free > 0) return undefined;
    const picked = chosen && this.#isOurs(peer);
    const claims = picked && this.chosen.size < this.#chosenAtLeast;
    if (!claims && !urgent) return false;
    if (!picked && !this.#displacements.take("", now)) return false;
    if (this.chosen.size > this.#chosenAtLeast) return this.names.any() ?? false;
    // Of the chosen only when none of the others is left, and for another chosen one.
    const stranger = this.names.anyThat((name) => !this.chosen.has(name));
    return stranger ?? (picked ? this.names.any() : undefined) ?? false;
  }
}
