/**
 * HyParView after mass failure.
 *
 *     npx testudo sim run packages/sim/scenarios/hyparview-healing.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { hyparviewHealing } from "@testudo/sim/model/gossip";

export const scenario = defineScenario({
  name: "hyparview-healing",
  about:
    "How much of the network a message reaches after mass failure, and how soon all of it again",
  nodes: 10_000,
  run: (context) => hyparviewHealing(context),
});
