/**
 * Anchors: whom to dial first after a restart, so that nobody gets in between by being quick. A machine: `now` and
 * chance come in.
 *
 * An attacker has keys for nothing, comes by himself, and stays as long as he likes. So those whom this node dialled
 * and kept go first; whoever came to it counts for no more than any other node that answered. And each subnet counts
 * for as much as another, however many nodes claim to be in it.
 */

import type { Contact } from "./node-id.ts";
import { MAX_ANCHORS } from "./snapshot.ts";
import { spread } from "./spread.ts";

/** Who is here for so long is here to stay, even in passing: nobody would have kept him for want of use. */
export const LASTING_MS = 60_000;

/** Somebody who has answered. */
export interface Acquaintance<C extends Contact> {
  readonly contact: C;
  /** The stream to it, if there is one. */
  readonly stream?:
    | {
        /** Since when, in ms. */
        readonly since: number;
        readonly passing: boolean;
        readonly side: "dialer" | "listener";
      }
    | undefined;
}

export interface AnchorOptions {
  readonly now: number;
  /** A whole number in [0, bound). */
  readonly random: (bound: number) => number;
}

/** At most `MAX_ANCHORS`, the most trusted first; two of one subnet only where no other is left. */
export function chooseAnchors<C extends Contact>(
  all: readonly Acquaintance<C>[],
  { now, random }: AnchorOptions,
): C[] {
  const [kept, others]: [C[], C[]] = [[], []];
  for (const { contact, stream } of all) {
    const dialled = stream !== undefined && stream.side === "dialer";
    const lasting = dialled && (!stream.passing || now - stream.since >= LASTING_MS);
    (lasting ? kept : others).push(contact);
  }
  const chosen = spread(kept, MAX_ANCHORS, random);
  const taken = new Set(chosen.flatMap(({ subnets = [] }) => subnets));
  const isNew = ({ subnets = [] }: C): boolean => !subnets.some((subnet) => taken.has(subnet));
  for (const more of [others.filter(isNew), others.filter((contact) => !isNew(contact))]) {
    chosen.push(...spread(more, MAX_ANCHORS - chosen.length, random));
  }
  return chosen;
}
