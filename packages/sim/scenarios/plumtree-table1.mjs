/**
 * Table 1 of Plumtree: what one broadcast costs.
 *
 *     npx testudo sim run packages/sim/scenarios/plumtree-table1.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { plumtreeTable1 } from "@testudo/sim/model/gossip";

export const scenario = defineScenario({
  name: "plumtree-table1",
  about: "Messages of one broadcast: flood and three kinds of Plumtree tree (Plumtree, table 1)",
  nodes: 10_000,
  run: (context) => plumtreeTable1(context),
});
