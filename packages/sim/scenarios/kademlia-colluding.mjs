/**
 * Adversaries that work together against lookups: what the paper did not measure.
 *
 *     npx testudo sim run packages/sim/scenarios/kademlia-colluding.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { kademliaColluding } from "@testudo/sim/model/kademlia";

export const scenario = defineScenario({
  name: "kademlia-colluding",
  about: "Lookups over disjoint paths among adversaries that collude, k = 16",
  nodes: 10_000,
  run: (context) => kademliaColluding(context),
});
