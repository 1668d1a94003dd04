/**
 * @libp2p/gossipsub with a signature a message, which is its default. Fan-out only.
 */

import { gossipPeer } from "../lib/gossip-peer.mjs";

export const about =
  "@libp2p/gossipsub 17.1.1, StrictSign (the default), floodPublish, batchPublish, IP colocation weight 0";
export const sealed = true;
export const { listen, createDialer, createPublisher, createMember, fanoutMessages } =
  gossipPeer("StrictSign");
