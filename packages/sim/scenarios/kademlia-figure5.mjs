/**
 * Figure 5 of S/Kademlia: disjoint paths with buckets of twice their number.
 *
 *     npx testudo sim run packages/sim/scenarios/kademlia-figure5.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { kademliaFigure5 } from "@testudo/sim/model/kademlia";

export const scenario = defineScenario({
  name: "kademlia-figure5",
  about: "Lookups over disjoint paths among adversaries, k = 2d (S/Kademlia, figure 5)",
  nodes: 10_000,
  run: (context) => kademliaFigure5(context),
});
