/**
 * Spread: some of many contacts, over as many subnets as there are. Each subnet is equally likely, however many
 * nodes claim to be in it: an attacker with a thousand keys and eight subnets counts as eight.
 */

import type { Contact } from "./node-id.ts";

/** At most n, two of one subnet only when no other is left. `random(bound)`: a whole number in [0, bound). */
export function spread<C extends Contact>(
  contacts: readonly C[],
  n: number,
  random: (bound: number) => number,
): C[] {
  const groups = new Map<string, C[]>();
  for (const contact of contacts) {
    // Without a subnet everybody stands for himself.
    const name = contact.subnets?.[0] ?? `id ${contact.id}`;
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
