/**
 * Spread: some of many contacts, over as many subnets as there are. Each subnet is equally likely, however many
 * nodes claim to be in it: an attacker with a thousand keys and eight subnets counts as eight. Who names several subnets
 * counts under the most crowded of them, so that a made-up address of its own beside the true one helps nobody.
 */

import type { Contact } from "./node-id.ts";

/** At most n, two of one subnet only when no other is left. `random(bound)`: a whole number in [0, bound). */
export function spread<C extends Contact>(
  contacts: readonly C[],
  n: number,
  random: (bound: number) => number,
): C[] {
  const crowd = new Map<string, number>();
  for (const { subnets = [] } of contacts) {
    for (const subnet of subnets) crowd.set(subnet, (crowd.get(subnet) ?? 0) + 1);
  }
  const groups = new Map<string, C[]>();
  for (const contact of contacts) {
    // Without a subnet everybody stands for himself.
    const name = mostCrowded(contact, crowd) ?? `id ${contact.id}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [contact]);
    else group.push(contact);
  }
  const chosen: C[] = [];
  let round = [...groups.values()];
  while (chosen.length < n && round.length > 0) {
    const left = [...round];
    while (chosen.length < n && left.length > 0) {
      const group = takeOne(left, random);
      chosen.push(takeOne(group, random));
    }
    round = round.filter((group) => group.length > 0);
  }
  return chosen;
}

function takeOne<T>(from: T[], random: (bound: number) => number): T {
  const at = random(from.length);
  const taken = from[at] as T;
  from[at] = from[from.length - 1] as T;
  from.pop();
  return taken;
}

function mostCrowded(
  { subnets = [] }: Contact,
  crowd: ReadonlyMap<string, number>,
): string | undefined {
  let most: string | undefined;
  for (const subnet of subnets) {
    if (most === undefined || (crowd.get(subnet) ?? 0) > (crowd.get(most) ?? 0)) most = subnet;
  }
  return most;
}
