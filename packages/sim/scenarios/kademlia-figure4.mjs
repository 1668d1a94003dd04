/**
 * Figure 4 of S/Kademlia: what disjoint paths are worth, with buckets of 16.
 *
 *     npx testudo sim run packages/sim/scenarios/kademlia-figure4.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { kademliaFigure4 } from "@testudo/sim/model/kademlia";

export const scenario = defineScenario({
  name: "kademlia-figure4",
  about: "Lookups over disjoint paths among adversaries, k = 16 (S/Kademlia, figure 4)",
  nodes: 10_000,
  run: (context) => kademliaFigure4(context),
});
