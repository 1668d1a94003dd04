/**
 * @libp2p/gossipsub without signatures: its fastest configuration. Fan-out only.
 */

import { gossipPeer } from "../lib/gossip-peer.mjs";

export const about =
  "@libp2p/gossipsub 17.1.1, StrictNoSign, floodPublish, batchPublish, IP colocation weight 0";
export const sealed = true;
export const { listen, createDialer, createPublisher, createMember, fanoutMessages } =
  gossipPeer("StrictNoSign");
