/**
 * Three ways to broadcast, side by side.
 *
 *     npx testudo sim run packages/sim/scenarios/broadcast-modes.mjs --seed 1
 */

import { defineScenario } from "@testudo/sim";
import { broadcastModes } from "@testudo/sim/model/gossip";

export const scenario = defineScenario({
  name: "broadcast-modes",
  about: "Flood, tree and delegation: copies, hops and reach, with and without failures",
  nodes: 10_000,
  run: (context) => broadcastModes(context),
});
