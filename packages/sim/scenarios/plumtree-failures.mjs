/**
 * Plumtree while nodes die all the time.
 *
 *     npx testudo sim run packages/sim/scenarios/plumtree-failures.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { plumtreeFailures } from "@testudo/sim/model/gossip";

export const scenario = defineScenario({
  name: "plumtree-failures",
  about: "Broadcasts while one node in 200 dies between any two of them",
  nodes: 10_000,
  run: (context) => plumtreeFailures(context),
});
