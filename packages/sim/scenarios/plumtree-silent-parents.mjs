/**
 * A fifth of the tree goes silent.
 *
 *     npx testudo sim run packages/sim/scenarios/plumtree-silent-parents.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { plumtreeSilentParents } from "@testudo/sim/model/gossip";

export const scenario = defineScenario({
  name: "plumtree-silent-parents",
  about: "Delay that silent parents add, with one and with two eager links",
  nodes: 10_000,
  run: (context) => plumtreeSilentParents(context),
});
