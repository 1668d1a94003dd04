/**
 * The Kademlia model and its experiments, for scenario files.
 */

export { type CollusionOptions, kademliaColluding } from "./kademlia-collusion.ts";
export { type FigureOptions, kademliaFigure4, kademliaFigure5 } from "./kademlia-figures.ts";
export {
  type Answer,
  type Conduct,
  KademliaModel,
  type KademliaModelOptions,
  type ModelNode,
  type Outcome,
} from "./kademlia-model.ts";
