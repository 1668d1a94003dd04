/**
 * Wishes: whom a node would like as a neighbour, is dialling or has asked. Bounded, each with a deadline.
 */

const MAX_WISHES = 16;

/** `fill`: for a free place. `newcomer`: on behalf of a walk. `reunion`: with urgency, though nobody is missing. */
export type WishKind = "join" | "fill" | "newcomer" | "reunion";

export interface Wish {
  readonly kind: WishKind;
  /** Asked; before that it is being dialled. */
  asked: boolean;
  deadline: number;
}

export class Wishes {
  readonly #all = new Map<string, Wish>();

  get size(): number {
    return this.#all.size;
  }

  get isFull(): boolean {
    return this.#all.size >= MAX_WISHES;
  }

  /** Places of our own that they would take. */
  get filling(): number {
    let filling = 0;
    for (const { kind } of this.#all.values()) if (kind !== "newcomer") filling++;
    return filling;
  }

  get deadline(): number | undefined {
    let next: number | undefined;
    for (const { deadline } of this.#all.values()) {
      if (next === undefined || deadline < next) next = deadline;
    }
    return next;
  }

  has(peer: string): boolean {
    return this.#all.has(peer);
  }

  get(peer: string): Wish | undefined {
    return this.#all.get(peer);
  }

  add(peer: string, kind: WishKind, deadline: number): void {
    this.#all.set(peer, { kind, asked: false, deadline });
  }

  delete(peer: string): boolean {
    return this.#all.delete(peer);
  }

  clear(): void {
    this.#all.clear();
  }

  /** Removes those whose time is up. */
  takeLate(now: number): readonly string[] {
    const late: string[] = [];
    for (const [peer, { deadline }] of this.#all) if (deadline <= now) late.push(peer);
    for (const peer of late) this.#all.delete(peer);
    return late;
  }
}
