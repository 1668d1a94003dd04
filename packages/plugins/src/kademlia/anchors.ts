/**
 * Anchors: whom to dial first after a restart, so that nobody gets in between by being quick. A machine: `now` and
 * chance come in.
 *
 * An attacker has keys for nothing and comes by himself. So whom this node dialled goes before whoever came to it, and
 * those of the last time go before strangers, too; and of equals those of other subnets go first.
 */

import type { Contact } from "./node-id.ts";
import { MAX_ANCHORS } from "./snapshot.ts";
import { spread } from "./spread.ts";

/** Who is here for so long is here to stay, even in passing: nobody would have kept him for want of use. */
export const LASTING_MS = 60_000;

/** Somebody who has answered this time. */
export interface Acquaintance<C extends Contact> {
  readonly contact: C;
  /** The stream to it, if there is one. */
  readonly stream:
    | {
        /** Since when, in ms. */
        readonly since: number;
        readonly passing: boolean;
        readonly side: "dialer" | "listener";
      }
    | undefined;
  /** It was an anchor the last time. */
  readonly before: boolean;
}

export interface AnchorOptions {
  readonly now: number;
  /** A whole number in [0, bound). */
  readonly random: (bound: number) => number;
}

/** At most `MAX_ANCHORS`, the most trusted first. */
export function chooseAnchors<C extends Contact>(
  all: readonly Acquaintance<C>[],
  { now, random }: AnchorOptions,
): C[] {
  const [dialled, before, came]: [C[], C[], C[]] = [[], [], []];
  for (const { contact, stream, before: was } of all) {
    const lasting = stream !== undefined && (!stream.passing || now - stream.since >= LASTING_MS);
    if (lasting && stream.side === "dialer") dialled.push(contact);
    else if (was) before.push(contact);
    else if (lasting) came.push(contact);
  }
  const chosen: C[] = [];
  const taken = new Set<string>();
  const take = (some: readonly C[]): void => {
    for (const contact of spread(some, MAX_ANCHORS - chosen.length, random)) {
      chosen.push(contact);
      for (const subnet of contact.subnets ?? []) taken.add(subnet);
    }
  };
  for (const group of [dialled, before, came]) {
    const isNew = ({ subnets = [] }: C): boolean => !subnets.some((subnet) => taken.has(subnet));
    const [elsewhere, again] = [group.filter(isNew), group.filter((contact) => !isNew(contact))];
    take(elsewhere);
    take(again);
  }
  return chosen;
}
